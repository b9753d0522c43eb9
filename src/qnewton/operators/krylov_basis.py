"""The orthonormal basis of a Krylov space, against which its next vector is reorthogonalised."""

import math

import torch
from torch import Tensor

_GROWTH = 32
# One pass leaves the basis orthogonal to (‖removed‖/β) times what it was; more than this, again.
_ENOUGH = 0.1


class KrylovBasis:
    """Orthonormal vectors v_1 … v_k, as many as there is room for.

    In exact arithmetic a three-term recurrence is orthogonal to all of them. Rounding loses that as
    soon as an eigenvalue at an end of the spectrum is found, and then finds the same one again.

    Args:
        first: v_1, shape [N], of norm 1.
        dtype: In which vectors are kept. Where it is narrower than that of the recurrence the basis
            is as orthogonal as it can hold, which is what products in it leave anyway.
        most: Vectors that are kept; later ones are not.

    Example:
        >>> basis = KrylovBasis(torch.tensor([1.0, 0.0]), torch.float32, most=2)
        >>> following = torch.tensor([1e-3, 2.0])
        >>> basis.clear(following), following
        (2.0, tensor([0., 2.]))
    """

    def __init__(self, first: Tensor, dtype: torch.dtype, most: int) -> None:
        self._most, self._length = most, 0
        self._rows = first.new_empty((min(_GROWTH, most), len(first)), dtype=dtype)
        self.append(first, 1.0)

    def __getitem__(self, index: int) -> Tensor:
        """Return v_{index + 1}."""
        return self._rows[: self._length][index]

    def append(self, vector: Tensor, scale: float) -> None:
        """Keep ``scale`` times a vector, unless there is no room."""
        k = self._length
        if k == self._most:
            return
        if k == len(self._rows):
            # Blocks, because most runs end long before N vectors.
            room = min(max(_GROWTH, k // 2), self._most - k)
            self._rows = torch.cat([self._rows, self._rows.new_empty(room, self._rows.shape[1])])
        self._rows[k].copy_(vector).mul_(scale)
        self._length += 1

    def clear(self, vector: Tensor) -> float:
        """Remove the basis from a vector in place, and return the norm of what is left.

        Cost: 4Nk operations, 8Nk where one pass is too few.
        """
        removed = self._remove(vector)
        left = _norm(vector)
        if _norm(removed) <= _ENOUGH * left:
            return left
        self._remove(vector)
        return _norm(vector)

    def combination(self, weights: Tensor) -> Tensor:
        """Return V·w for w of shape [k], of the first k vectors."""
        return self._rows[: len(weights)].mT @ weights.to(self._rows)

    def _remove(self, vector: Tensor) -> Tensor:
        rows = self._rows[: self._length]
        along = torch.mv(rows, vector.to(rows.dtype))
        vector.sub_(torch.mv(rows.mT, along))
        return along


def _norm(vector: Tensor) -> float:
    # A third of the time of vector.norm(), which small matrices notice.
    return math.sqrt(float(vector.dot(vector)))
