"""Conjugate gradients: positive definite systems through products alone."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import RangedOperator, SparseOperator, SymmetricOperator
from qnewton.operators.krylov_basis import KrylovBasis
from qnewton.operators.ritz import condition_seen_by_cg
from qnewton.operators.scaling import excess, largest, scaled
from qnewton.records import Outcome
from qnewton.solvers.classical.krylov import Rounds, solve_in_rounds
from qnewton.solvers.classical.preconditioner import Preconditioner
from qnewton.solvers.solution import Solution


def conjugate_gradients(
    operator: SymmetricOperator,
    rhs: Tensor,
    tolerance: float = 1e-6,
    max_products: int = 1000,
    preconditioner: Preconditioner | None = None,
    start: Tensor | None = None,
) -> Solution:
    """Solve A·x = b for positive definite A without ever forming its entries.

    The recursive residual drifts from the true one in float32; when the true one exceeds the
    tolerance the iteration starts again on what is left (see ``refinement``). Residuals are kept
    orthogonal to the first ``CG_BASIS`` of them, without a preconditioner, from 256 unknowns on,
    unless A is sparse: the few large eigenvalues of a network's Hessian are found in these, and
    rounding would find them again. Ten outliers above ones, N = 2,048, take 22 products (47).

    Args:
        operator: A, shape [N, N].
        rhs: b, shape [N], in the operator's dtype.
        tolerance: Stop at ‖b - A·x‖ ≤ tolerance·‖b‖.
        max_products: Most products to spend, all rounds together.
        preconditioner: M⁻¹, positive definite, in A's dtype; its own products are not counted.
        start: First x, shape [N], such as the last step's; zero by default. Costs one product.

    Returns:
        The solution; ``not positive definite`` when a direction p has pᵀAp ≤ 0, with no x;
        ``not converged in K products`` when the budget runs out, with the last x. Its statistics
        hold the condition number seen, of the preconditioned matrix if there is a preconditioner.

    Cost: at most ½√κ ln(2√κ/tolerance) products in exact arithmetic, 10N operations beside
    each, and 4 vectors; with the basis 4N·min(k, ``CG_BASIS``) more beside the k-th.

    Reference: Hestenes and Stiefel 1952; Saad, Iterative Methods, 2nd ed., algorithm 6.18.

    Example:
        >>> from qnewton.operators import MatrixFreeOperator
        >>> solution = conjugate_gradients(MatrixFreeOperator(3, lambda v: 2 * v), torch.ones(3))
        >>> solution.direction, solution.stats.products
        (tensor([0.5000, 0.5000, 0.5000]), 1)
    """
    plain = preconditioner is None and not isinstance(operator, SparseOperator)
    kept = CG_BASIS if plain and operator.n >= CG_BASIS_FROM else 0

    def make(ranged: RangedOperator, target: float, most: int) -> _Descent:
        return _Descent(ranged, target, most, preconditioner, kept)

    return solve_in_rounds(make, operator, rhs, tolerance, max_products, start)


CG_BASIS = 32
"""Residuals that the later ones are made orthogonal to; calibration times CG with them."""

CG_BASIS_FROM = 256
"""Fewest unknowns for which that is done: below, its kernel starts cost as much as a product."""


class _Descent(Rounds):
    """Conjugate gradients, preconditioned where there is something to precondition with."""

    solver: ClassVar[str] = "cg"

    def __init__(
        self,
        operator: RangedOperator,
        target: float,
        max_products: int,
        preconditioner: Preconditioner | None,
        kept: int,
    ) -> None:
        super().__init__(operator, target, max_products)
        self._preconditioner = preconditioner
        self._kept = kept
        self._exponent: int | None = None

    def run(self, rhs: Tensor) -> Tensor:
        """Return x; a product that is not finite gives an x that is not finite."""
        x = torch.zeros_like(rhs)
        scale = float(rhs.double().norm())
        if scale == 0.0:
            return x
        r = rhs / scale  # a gradient's norm may be too small to square
        z = self._precondition(r)
        p, squared = z.clone(), 1.0
        basis = KrylovBasis(r, r.dtype, most=self._kept) if self._kept else None
        # Memory for all rounds: fresh pages cost more than the arithmetic on large vectors.
        work, wide = torch.empty_like(r), r.double()
        inner = squared if z is r else _dot(r, z, work)
        steps: list[float] = []
        ratios: list[float] = []
        # Half the target, since the true residual is a little larger than the recursive one.
        while self.failure is None and math.sqrt(squared) * scale > self.target / 2:
            if self.products == self.max_products:
                self.failure = Outcome.NOT_CONVERGED
                break
            product = self.operator @ p
            self.products += 1
            curvature = _dot(p, product, work)
            if not math.isfinite(curvature):
                x = torch.full_like(x, math.nan)
                break
            if curvature <= 0.0:
                self.failure, self.definiteness = Outcome.NOT_DEFINITE, "indefinite"
                break
            step = inner / curvature
            x.add_(p, alpha=step)
            r.add_(product, alpha=-step)
            if basis is not None:
                basis.clear(r)
            z = self._precondition(r)
            wide.copy_(r)
            squared, previous = float(wide @ wide), inner
            if basis is not None and squared > 0.0:
                basis.append(r, 1.0 / math.sqrt(squared))
            inner = squared if z is r else _dot(r, z, work)
            steps.append(step)
            ratios.append(inner / previous)
            p.mul_(ratios[-1]).add_(z)
        if self.seen is None:
            self.seen = condition_seen_by_cg(steps, ratios)
        return x * scale

    def _precondition(self, r: Tensor) -> Tensor:
        """Return 2^-e·M⁻¹·r with the e that the first one shows: any multiple of M⁻¹ does."""
        if self._preconditioner is None:
            return r
        found = self._preconditioner(r)
        if self._exponent is None:
            self._exponent = excess(largest(found), found.dtype)
        return scaled(found, -self._exponent)


def _dot(left: Tensor, right: Tensor, work: Tensor) -> float:
    """Return the inner product, its terms rounded as the vectors are and summed in float64."""
    return float(torch.sum(torch.mul(left, right, out=work), dtype=torch.float64))
