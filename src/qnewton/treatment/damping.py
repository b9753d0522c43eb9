"""Damping: A = H + λI."""

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import (
    DenseOperator,
    LowRankOperator,
    OwnedOperator,
    SymmetricOperator,
    WrappedOperator,
    as_operator,
)
from qnewton.records import Treatment
from qnewton.treatment.entries import finite_largest, largest_entry


def damp(
    operator: SymmetricOperator | Tensor, strength: float, *, relative: bool = False
) -> SymmetricOperator:
    """Return A = H + λI, with λ = ``strength``, or ``strength``·max|H_ij| when ``relative``.

    An operator that holds its entries stays dense and a low-rank one stays low-rank; any other
    stays lazy, its products being Hv + λv, unless ``relative`` asks for its entries.

    Args:
        operator: The curvature H, an operator or a symmetric tensor of shape [N, N]. The entries of
            an :class:`~qnewton.operators.OwnedOperator` are taken over, and A owns them.
        strength: λ, or the factor ε of λ = ε·max|H_ij|; at least 0.
        relative: Scale ``strength`` by the largest entry in absolute value.

    Returns:
        The damped operator; its ``treatment`` records λ, added to any damping already there.

    Raises:
        ValueError: If ``strength`` is negative or λ is not finite in the operator's dtype, if the
            operator is already pruned, or if ``relative`` meets an entry that is not finite.

    Cost: one copy of the N² entries of a dense operator, none of an owned one; for a low-rank one
    nothing, or with ``relative`` its diagonal, where the largest entry of a positive semidefinite
    matrix lies; for a lazy one nothing, or with ``relative`` what its ``dense()``
    costs.

    Reference: Q-Newton (arXiv:2405.00252), section V-D; the relative form is its authors' code.

    Example:
        >>> damped = damp(torch.tensor([[2.0, 1.0], [1.0, 0.0]]), 0.5)
        >>> damped.dense().diagonal(), damped.treatment.damping
        (tensor([2.5000, 0.5000]), 0.5)
    """
    if not (math.isfinite(strength) and strength >= 0.0):
        raise ValueError(f"damping {strength!r} must be a finite number of at least 0")
    operator = as_operator(operator)
    if operator.treatment.max_per_row is not None:
        pruned = f"pruned to {operator.treatment.max_per_row} entries per row"
        raise ValueError(f"the operator is already {pruned}; damp before pruning")
    factor = strength if relative else None
    if isinstance(operator, LowRankOperator):
        shift = strength * finite_largest(operator.largest()) if relative else strength
        _check_range(shift, operator.dtype)
        return operator.shifted(shift, _record(operator.treatment, shift, factor))
    lazy = not isinstance(operator, DenseOperator)
    if lazy and not relative:
        _check_range(strength, operator.dtype)
        return DampedOperator(operator, strength)
    kind = OwnedOperator if isinstance(operator, OwnedOperator) else DenseOperator
    matrix = operator.take()
    shift = strength * largest_entry(matrix) if relative else strength
    _check_range(shift, matrix.dtype)
    matrix.diagonal().add_(shift)
    return kind(matrix, _record(operator.treatment, shift, factor))


class DampedOperator(WrappedOperator):
    """H + λI for an operator H that is only multiplied with.

    Args:
        base: The operator H.
        shift: λ, at least 0.
    """

    forms_anew: ClassVar[bool] = True

    def __init__(self, base: SymmetricOperator, shift: float) -> None:
        super().__init__(base)
        self.shift = shift
        self.treatment = _record(base.treatment, shift, None)

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return Hv + λv: one product with H."""
        return torch.add(self.base @ vector, vector, alpha=self.shift)

    def dense(self) -> Tensor:
        """Return the entries of H with λ on the diagonal, a new matrix at each call."""
        matrix = self.base.dense()
        matrix = matrix if self.base.forms_anew else matrix.clone()
        matrix.diagonal().add_(self.shift)
        return matrix


def _check_range(shift: float, dtype: torch.dtype) -> None:
    limit = torch.finfo(dtype).max
    if not 0.0 <= shift <= limit:
        raise ValueError(f"damping {shift!r} is outside [0, {limit:.3g}], the range of {dtype}")


def _record(treatment: Treatment, shift: float, relative: float | None) -> Treatment:
    return replace(treatment, damping=treatment.damping + shift, relative_damping=relative)
