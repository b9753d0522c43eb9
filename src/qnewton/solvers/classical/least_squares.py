"""Solvers that work on a factor itself, and so never square its condition number."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import Factor, LowRankOperator, SymmetricOperator
from qnewton.operators.ritz import condition_seen_by_lsmr
from qnewton.operators.scaling import into_range, scaled
from qnewton.records import Estimate, Outcome
from qnewton.solvers.classical.factorization import Factorization, condition_of_factor
from qnewton.solvers.classical.refinement import judge, put_back, relative_residual
from qnewton.solvers.solution import Solution, SolveStats

# Rows of U over its columns from which Q is worth its operations.
_REDUCED = 1.4
# A part of b outside U's range that is no longer than this many units of rounding is rounding.
_ROUNDING = 8.0


class AugmentedQR(Factorization):
    """R of the rows (Uᵀ; √λ·I), with RᵀR = U Uᵀ + λI, by Householder reflections.

    U Uᵀ is never formed: its condition number is the square of U's, and half of the digits go with
    it. Where the target t of least squares is known, b = U·t, x = R⁻¹(Qᵀ(t; 0)) is the solution of
    min ‖Uᵀx - t‖² + λ‖x‖² to eps·κ(U). Where only b is, RᵀR·x = b, the seminormal equations, give
    what the rounding of b itself leaves: usually less than eps·κ(U)², as Cholesky does. For N
    well above k the same is done in the k dimensions of U's range, U = Q·S; what b holds outside it
    is divided by λ, unless rounding put it there.

    An operator without a factor has the outcome ``needs a low-rank factor``; one with fewer columns
    than rows and without damping ``needs damping above 0``.

    Cost: 2kN² + 4N³/3 operations, or 4Nk² + 2k³ for k well below N; each solve 8Nk.

    Reference: Golub and Van Loan, Matrix Computations, 4th ed., 5.3 and 6.1.4; Björck, Stability
    analysis of the method of seminormal equations, Linear Algebra Appl. 88/89 (1987) 31.

    Example:
        >>> from qnewton.operators import DenseFactor
        >>> low = LowRankOperator(DenseFactor(torch.tensor([[3.0, 0.0], [0.0, 1e-3]])), shift=0.0)
        >>> found = AugmentedQR(low).solve(torch.tensor([9.0, 1e-6])).direction
        >>> torch.allclose(found, torch.ones(2))
        True
    """

    solver: ClassVar[str] = "augmented_qr"

    def _read(self, operator: SymmetricOperator) -> Outcome:
        self._matrix = operator
        if not isinstance(operator, LowRankOperator):
            return Outcome.NO_FACTOR
        self._matrix, self._exponent = operator.in_range()
        self._shift = self._matrix.shift
        columns = self._matrix.factor.dense()
        if not torch.isfinite(columns).all():
            return Outcome.NOT_FINITE
        n, k = columns.shape
        self._basis: Tensor | None = None
        if n > k and self._shift == 0.0:
            return Outcome.NO_DAMPING
        if n > _REDUCED * k:
            self._basis, columns = torch.linalg.qr(columns)
        return self._factorize(columns)

    def _factorize(self, matrix: Tensor) -> Outcome:
        n = len(matrix)
        damping = math.sqrt(self._shift) * torch.eye(n, dtype=matrix.dtype, device=matrix.device)
        rows = torch.cat([matrix.mT, damping]) if self._shift > 0.0 else matrix.mT
        self._reflectors, self._scales = torch.geqrf(rows)
        self._triangle = self._reflectors[:n].triu()
        self.condition = condition_of_factor(self._triangle)
        return Outcome.SINGULAR if self.condition is None else Outcome.FACTORIZED

    def _beginning(self, target: Tensor) -> Callable[[Tensor], Tensor]:
        targets = [target]
        return lambda rhs: self._fitted(targets.pop()) if targets else self._apply(rhs)

    def _fitted(self, target: Tensor) -> Tensor:
        """Return argmin ‖Uᵀx - t‖² + λ‖x‖², which lies in U's range."""
        above = target.new_zeros(len(self._reflectors))
        above[: len(target)] = target
        rotated = torch.ormqr(self._reflectors, self._scales, above[:, None], transpose=True)
        inner = rotated[: len(self._triangle)]
        y = torch.linalg.solve_triangular(self._triangle, inner, upper=True).squeeze(1)
        return y if self._basis is None else self._basis @ y

    def _apply(self, rhs: Tensor) -> Tensor:
        if self._basis is None:
            return self._seminormal(rhs)
        inside = self._basis.mT @ rhs
        x, outside = self._basis @ self._seminormal(inside), rhs - self._basis @ inside
        limit = _ROUNDING * math.sqrt(len(rhs)) * torch.finfo(rhs.dtype).eps
        if float(outside.norm()) <= limit * float(rhs.norm()):
            return x
        return x + outside / self._shift

    def _seminormal(self, rhs: Tensor) -> Tensor:
        """Return (RᵀR)⁻¹·b."""
        upper = self._triangle
        inner = torch.linalg.solve_triangular(upper.mT, rhs[:, None], upper=False)
        return torch.linalg.solve_triangular(upper, inner, upper=True).squeeze(1)


def lsmr(
    operator: SymmetricOperator,
    rhs: Tensor,
    tolerance: float = 1e-6,
    max_products: int = 1000,
    *,
    target: Tensor | None,
) -> Solution:
    """Solve (U Uᵀ + λI)·x = U·t through the least squares that it is the normal equation of.

    LSMR minimises ‖b - A·x‖ over the Krylov space of b, as MINRES does, but by the bidiagonal
    matrix of U, so that rounding is multiplied by κ(U) and not by its square. Vectors are kept in
    float64; products run in the operator's dtype.

    Args:
        operator: A, held as a :class:`~qnewton.operators.LowRankOperator`, U of shape [N, k].
        rhs: b = U·t, shape [N], in the operator's dtype.
        tolerance: Stop at ‖b - A·x‖ ≤ tolerance·‖b‖.
        max_products: Most products to spend.
        target: t, shape [k]; without it, the outcome is ``needs the target of least squares``.

    Returns:
        The solution; ``not converged in K products`` when the budget runs out, with the last x. Its
        statistics hold the condition number seen.

    Cost: at most ½√κ ln(2/tolerance) products of U and Uᵀ, κ that of A; 10N + 3k operations beside
    each, and 4 vectors of N and one of k.

    Reference: Fong and Saunders, LSMR: an iterative algorithm for sparse least-squares problems,
    SIAM J. Sci. Comput. 33 (2011) 2950, section 2.8.

    Example:
        >>> from qnewton.operators import DenseFactor
        >>> factor, target = DenseFactor(torch.tensor([[1.0, 0.0], [2.0, 1.0]])), torch.ones(2)
        >>> operator = LowRankOperator(factor, shift=1.0)
        >>> found = lsmr(operator, factor @ target, target=target).direction
        >>> torch.allclose(found, torch.tensor([0.0, 0.5]), atol=1e-6)
        True
    """
    stats = SolveStats(solver="lsmr")
    if not isinstance(operator, LowRankOperator):
        return Solution(None, Outcome.NO_FACTOR, stats)
    if target is None:
        return Solution(None, Outcome.NO_TARGET, stats)
    if not (torch.isfinite(rhs).all() and torch.isfinite(target).all()):
        return Solution(None, Outcome.NOT_FINITE, stats)
    ranged, exponent = operator.in_range()
    near, down = into_range(rhs)
    process = _Lsmr(ranged, near, scaled(target, exponent // 2 - down))
    wanted = tolerance / 2 * process.residual
    while process.residual > wanted and not process.finished and process.products < max_products:
        process.advance()
    stats = replace(stats, products=process.products, condition=process.condition())
    x = process.x.to(rhs.dtype)
    if not torch.isfinite(x).all():
        return Solution(None, Outcome.NOT_FINITE, stats)
    residual = relative_residual(ranged, x, near)
    outcome, detail = judge(residual, tolerance, rhs.dtype)
    # Half of the dtype's digits are enough where more products do not help, not where they ran out.
    if residual > tolerance and process.residual > wanted and not process.finished:
        outcome, detail = Outcome.NOT_CONVERGED, f"in {max_products} products"
    solution = Solution(x, outcome, replace(stats, residual=residual), detail)
    return put_back(solution, ranged, near, down - exponent)


class _Lsmr:
    """The iteration; ``residual`` is ‖b - A·x_k‖ by recurrence, in the notation of the paper."""

    def __init__(self, operator: LowRankOperator, rhs: Tensor, target: Tensor) -> None:
        self._factor: Factor = operator.factor
        self._damping = math.sqrt(operator.shift)
        self._u, self._v = target.double(), rhs.double()
        beta, self.residual = float(self._u.norm()), float(self._v.norm())
        self.finished = self.residual == 0.0 or beta == 0.0
        self.x, self._h_bar = torch.zeros_like(self._v), torch.zeros_like(self._v)
        if not self.finished:
            # α₁β₁v₁ = U·t, which is the right-hand side.
            self._u, self._v = self._u / beta, self._v / self.residual
        self._alpha = self._alpha_bar = self.residual / (beta or 1.0)
        self._zeta_bar = self.residual
        self._h = self._v
        self._rho = self._rho_bar = self._c_bar = 1.0
        self._s_bar = 0.0
        self._diagonal: list[float] = []
        self._off: list[float] = []

    @property
    def products(self) -> int:
        """Products with U and Uᵀ so far."""
        return len(self._diagonal)

    def condition(self) -> Estimate | None:
        """Return the condition number of A that the bidiagonal matrix shows."""
        return condition_seen_by_lsmr(self._diagonal, self._off)

    def advance(self) -> None:
        """Take one step: one product with Uᵀ and one with U."""
        alpha, dtype = self._alpha, self._factor.dtype
        u, beta = self._unit(self._factor.project(self._v.to(dtype)), self._u, alpha)
        v, after = self._unit(self._factor @ u.to(dtype), self._v, beta)
        self._diagonal.append(alpha**2 + beta**2 + self._damping**2)
        self._off.append(beta * after)
        damped = math.hypot(self._alpha_bar, self._damping)
        rho_before, self._rho = self._rho, math.hypot(damped, beta)
        c, s = damped / self._rho, beta / self._rho
        theta, self._alpha_bar = s * after, c * after
        rho_bar_before, theta_bar = self._rho_bar, self._s_bar * self._rho
        self._rho_bar = math.hypot(self._c_bar * self._rho, theta)
        self._c_bar, self._s_bar = self._c_bar * self._rho / self._rho_bar, theta / self._rho_bar
        zeta, self._zeta_bar = self._c_bar * self._zeta_bar, -self._s_bar * self._zeta_bar
        back = theta_bar * self._rho / (rho_before * rho_bar_before)
        self._h_bar = torch.add(self._h, self._h_bar, alpha=-back)
        self.x.add_(self._h_bar, alpha=zeta / (self._rho * self._rho_bar))
        self._h = torch.add(v, self._h, alpha=-theta / self._rho)
        self._u, self._v, self._alpha = u, v, after
        self.residual = abs(self._zeta_bar)
        self.finished = beta == 0.0 or after == 0.0 or not math.isfinite(self.residual)

    @staticmethod
    def _unit(product: Tensor, before: Tensor, length: float) -> tuple[Tensor, float]:
        """Return what a product leaves beside the vector before, to length 1, and its length."""
        vector = torch.add(product.double(), before, alpha=-length)
        norm = float(vector.norm())
        return (vector / norm if norm > 0.0 else vector), norm
