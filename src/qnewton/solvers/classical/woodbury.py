"""Woodbury's identity: a damped low-rank system solved in as many dimensions as its factor has."""

from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import LowRankOperator, SymmetricOperator
from qnewton.records import Outcome
from qnewton.solvers.classical.factorization import Factorization, solve_by_factor

# The first split leaves λ/(λ + σ²) of b's part along a singular vector of U, the second its square.
_SPLITS = 2


class WoodburyFactorization(Factorization):
    """(U Uᵀ + λI)⁻¹b = (b - U·M⁻¹Uᵀb)/λ, M = λI_k + UᵀU, from a Cholesky factor of M in float64.

    That difference cancels where b lies in the span of U, as a gradient does beside its own Fisher
    matrix: in float32 by all of its digits at ‖U‖²/λ = 10⁷. So b is split first, b = U·c + r with
    Uᵀr small, and each part takes its own form, x = U·M⁻¹c + (r - U·M⁻¹Uᵀr)/λ. What is left is
    what storing x costs: a residual of eps·‖U‖²/λ for a b far outside the span. An operator
    without a factor has the outcome ``needs a low-rank factor``, one without damping ``needs
    damping above 0``.

    Cost: UᵀU (2k²N operations, fewer for a factor of products), k³/3 once; each solve eight
    products with U or Uᵀ, residual included, 16kN operations. No N² entries.

    Reference: Woodbury 1950; Golub and Van Loan, Matrix Computations, 4th ed., 2.1.4.

    Example:
        >>> from qnewton.operators import DenseFactor
        >>> low = LowRankOperator(DenseFactor(torch.tensor([[1.0], [2.0]])), shift=1.0)
        >>> WoodburyFactorization(low).solve(torch.tensor([1.0, 2.0])).direction
        tensor([0.1667, 0.3333])
    """

    solver: ClassVar[str] = "woodbury"

    def _read(self, operator: SymmetricOperator) -> Outcome:
        self._matrix = operator
        if not isinstance(operator, LowRankOperator):
            return Outcome.NO_FACTOR
        if operator.shift == 0.0:
            return Outcome.NO_DAMPING
        operator, self._exponent = operator.in_range()
        self._matrix = operator
        self._factor, self._shift = operator.factor, operator.shift
        return self._factorize(self._factor.gram())

    def _factorize(self, matrix: Tensor) -> Outcome:
        if not torch.isfinite(matrix).all():
            return Outcome.NOT_FINITE
        # Only the lower triangle is read, so rounding that differs above does not matter.
        small = matrix.double()
        small = small.clone() if small is matrix else small
        small.diagonal().add_(self._shift)
        self._small, info = torch.linalg.cholesky_ex(small)
        return Outcome.FACTORIZED if int(info) == 0 else Outcome.NOT_DEFINITE

    def _apply(self, rhs: Tensor) -> Tensor:
        inside = torch.zeros(len(self._small), dtype=torch.float64, device=rhs.device)
        outside = rhs
        for _ in range(_SPLITS):
            step = self._shrunk(self._factor.project(outside).double())
            outside = outside - self._factor @ step.to(rhs.dtype)
            inside += step
        leftover = self._factor.project(outside).double() / self._shift
        return self._factor @ self._shrunk(inside - leftover).to(rhs.dtype) + outside / self._shift

    def _shrunk(self, y: Tensor) -> Tensor:
        """Return M⁻¹·y."""
        return solve_by_factor(self._small, y)
