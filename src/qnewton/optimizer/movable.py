"""Curvature restricted to the parameters that may move."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import (
    DenseOperator,
    LinearSystem,
    MatrixFreeOperator,
    SymmetricOperator,
    WrappedOperator,
)


class PrincipalOperator(WrappedOperator):
    """The rows and columns of a symmetric matrix that an index names.

    Args:
        base: The whole matrix, shape [N, N].
        index: Which rows, shape [M].

    Cost: a product of the whole matrix each; for entries, those of the whole.
    """

    forms_anew: ClassVar[bool] = True

    def __init__(self, base: SymmetricOperator, index: Tensor) -> None:
        super().__init__(base)
        self._index = index

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([M, M])``."""
        return torch.Size((len(self._index), len(self._index)))

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v for v of shape [M], or A·V for V of shape [M, K]."""
        self.check_vector(vector)
        whole = vector.new_zeros((self.base.n, *vector.shape[1:]))
        whole[self._index] = vector
        return (self.base @ whole)[self._index]

    def dense(self) -> Tensor:
        """Return the M × M entries, bitwise symmetric."""
        return self.base.dense()[self._index][:, self._index]


def movable_systems(
    systems: Sequence[LinearSystem], lengths: Mapping[int, float]
) -> list[LinearSystem]:
    """Return the systems of the parameters whose β is not 0, the others held where they are.

    Of a solution of the whole system, the part of parameters that may move does not even have to
    descend once the rest of it is left out.

    Args:
        systems: One per block; those that nobody holds are returned as they are.
        lengths: β of each parameter, by its id.
    """
    found = []
    for system in systems:
        moves = [lengths[id(parameter)] > 0.0 for parameter in system.parameters]
        if all(moves):
            found.append(system)
        elif any(moves):
            sizes = torch.tensor([parameter.numel() for parameter in system.parameters])
            kept = torch.tensor(moves).repeat_interleave(sizes)
            index = kept.nonzero().squeeze(1).to(system.rhs.device)
            found.append(
                LinearSystem(
                    operator=PrincipalOperator(system.operator, index),
                    rhs=system.rhs[index],
                    parameters=tuple(
                        p for p, moved in zip(system.parameters, moves, strict=True) if moved
                    ),
                    name=system.name,
                    curvature=system.curvature,
                )
            )
    return found


def scaled_operator(operator: SymmetricOperator, lengths: Tensor) -> SymmetricOperator:
    """Return B·H·B for B = diag(lengths): what the loss sees of unknowns that move by their share.

    Args:
        operator: H, shape [N, N].
        lengths: Shape [N].
    """
    if bool((lengths == 1.0).all()):
        return operator
    scale = lengths.to(operator.dtype)
    if isinstance(operator, DenseOperator):
        return DenseOperator(scale[:, None] * operator.dense() * scale)
    return MatrixFreeOperator(
        operator.n,
        lambda vector: scale * (operator @ (scale * vector)),
        operator.dtype,
        operator.device,
    )
