"""A low-rank matrix plus a multiple of the identity, held as its factor."""

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator
from qnewton.operators.factor import Factor, ScaledFactor
from qnewton.operators.scaling import excess, largest, shifted_number
from qnewton.operators.symmetric import add_outer_, mirror_upper_
from qnewton.records import Treatment

_COLUMN_ENTRIES = 1 << 24  # of the columns that are multiplied at once


class LowRankOperator(SymmetricOperator):
    """A = U Uᵀ + λI from a factor U of shape [N, k]; its products never form N² entries.

    Positive semidefinite at λ = 0, and λ_min(A) ≥ λ.

    Args:
        factor: U; see :class:`~qnewton.operators.Factor`.
        shift: λ, at least 0.
        treatment: What was done to reach it.
        outer: Forms the entries of U Uᵀ, a new matrix at each call, where somebody knows a cheaper
            way than multiplying columns.

    Attributes:
        factor: U.
        shift: λ.

    Raises:
        ValueError: If λ is negative.

    Cost: a product is one with U and one with Uᵀ.

    Example:
        >>> from qnewton.operators import DenseFactor
        >>> low = LowRankOperator(DenseFactor(torch.tensor([[1.0], [2.0]])), shift=0.5)
        >>> low @ torch.tensor([1.0, 0.0]), low.rank
        (tensor([1.5000, 2.0000]), 1)
    """

    forms_anew: ClassVar[bool] = True

    def __init__(
        self,
        factor: Factor,
        shift: float = 0.0,
        treatment: Treatment | None = None,
        outer: Callable[[], Tensor] | None = None,
    ) -> None:
        if not shift >= 0.0:
            raise ValueError(f"shift is {shift!r}; it must be 0 or more")
        self.factor = self._held_by = factor
        self.shift = shift
        self._outer = outer
        if treatment is not None:
            self.treatment = treatment

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, N])``."""
        return torch.Size((self.factor.shape[0],) * 2)

    @property
    def rank(self) -> int:
        """Largest rank that U Uᵀ can have, min(N, k)."""
        return min(self.factor.shape)

    def diagonal(self) -> Tensor:
        """Return the squared norms of U's rows, plus λ; shape [N]."""
        return self.factor.row_squares() + self.shift

    def largest(self) -> float:
        """Return max|A_ij|: it lies on the diagonal, A being positive semidefinite."""
        return float(self.factor.row_squares().max()) + self.shift

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v = U(Uᵀv) + λv."""
        self.check_vector(vector)
        return torch.add(self.factor @ self.factor.project(vector), vector, alpha=self.shift)

    def shifted(self, shift: float, treatment: Treatment) -> "LowRankOperator":
        """Return A + ``shift``·I with its ``treatment``; nothing is formed or copied."""
        return LowRankOperator(self.factor, self.shift + shift, treatment, self._outer)

    def in_range(self) -> tuple["LowRankOperator", int]:
        """Return 2^-e·A and an even e, 0 unless UᵀU would leave its dtype's range.

        Cost: the squared norms of U's rows; where those leave the range, U's entries.
        """
        limits = torch.finfo(self.dtype)
        square = float(self.factor.row_squares().max())
        inside = limits.tiny / limits.eps <= square < math.inf
        if inside or self.shift * limits.eps >= limits.tiny:
            exponent = excess(max(square, self.shift), self.dtype)
        else:
            # Twice the exponent of U's largest entry is that of its square.
            size = math.frexp(largest(self.factor.dense()))[1]
            exponent = excess(math.ldexp(1.0, max(-1000, min(2 * size, 1000))), self.dtype)
        if exponent == 0:
            return self, 0
        factor = ScaledFactor(self.factor, -exponent // 2)
        shift = shifted_number(self.shift, -exponent)
        return LowRankOperator(factor, shift, self.treatment), exponent

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric, a new matrix at each call.

        Cost: N²k operations unless ``outer`` knows better, N² entries and some columns of U.
        """
        matrix = _outer_product(self.factor) if self._outer is None else self._outer()
        matrix.diagonal().add_(self.shift)
        return matrix


def _outer_product(factor: Factor) -> Tensor:
    """Return U Uᵀ, some columns and one panel of rows of its upper half at a time."""
    n, k = factor.shape
    matrix = torch.zeros(n, n, dtype=factor.dtype, device=factor.device)
    step = max(1, _COLUMN_ENTRIES // n)
    for start in range(0, k, step):
        add_outer_(matrix, factor.columns(start, min(start + step, k)))
    return mirror_upper_(matrix)
