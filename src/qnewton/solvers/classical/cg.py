"""Conjugate gradients: positive definite systems through products alone."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from qnewton.operators import RangedOperator, SymmetricOperator
from qnewton.operators.scaling import into_range
from qnewton.records import Outcome
from qnewton.solvers.classical.first_guess import FirstGuess
from qnewton.solvers.classical.preconditioner import Preconditioner, RangedPreconditioner
from qnewton.solvers.classical.refinement import put_back, refined_solution
from qnewton.solvers.classical.ritz import condition_seen_by_cg
from qnewton.solvers.solution import Solution, SolveStats


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
    tolerance the iteration starts again on what is left (see ``refinement``).

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
    each, and 4 vectors.

    Reference: Hestenes and Stiefel 1952; Saad, Iterative Methods, 2nd ed., algorithm 6.18.

    Example:
        >>> from qnewton.operators import MatrixFreeOperator
        >>> solution = conjugate_gradients(MatrixFreeOperator(3, lambda v: 2 * v), torch.ones(3))
        >>> solution.direction, solution.stats.products
        (tensor([0.5000, 0.5000, 0.5000]), 1)
    """
    if not torch.isfinite(rhs).all():
        return Solution(None, Outcome.NOT_FINITE, SolveStats(solver="cg"))
    # A and b are solved with where their norms are safe, and x is put back.
    ranged, (near, down) = RangedOperator(operator), into_range(rhs)
    target = tolerance * float(near.double().norm())
    guess = None if start is None else FirstGuess(ranged, start, down)
    safe = None if preconditioner is None else RangedPreconditioner(preconditioner)
    descent = _Descent(ranged, target, max_products, safe, guess)
    solution = refined_solution("cg", ranged, near, descent.run, tolerance, Outcome.NOT_FINITE)
    # Half of the dtype's digits are enough where more products do not help, not where they ran out.
    missed = (solution.stats.residual or 0.0) > tolerance
    if descent.failure is not None and missed and solution.direction is not None:
        indefinite = descent.failure is Outcome.NOT_DEFINITE
        direction = None if indefinite else solution.direction
        detail = "" if indefinite else f"in {max_products} products"
        solution = Solution(direction, descent.failure, solution.stats, detail)
    solution = put_back(solution, ranged, near, down - ranged.exponent)
    seen = condition_seen_by_cg(descent.steps, descent.ratios)
    stats = replace(
        solution.stats,
        products=descent.products + ranged.probes,
        condition=seen,
        definiteness="indefinite" if descent.failure is Outcome.NOT_DEFINITE else None,
    )
    return replace(solution, stats=stats)


class _Descent:
    """Conjugate gradients, as often as refinement asks, within one budget."""

    def __init__(
        self,
        operator: SymmetricOperator,
        target: float,
        max_products: int,
        preconditioner: Preconditioner | None,
        start: FirstGuess | None,
    ) -> None:
        self.operator = operator
        self.target = target
        self.max_products = max_products
        self.preconditioner = preconditioner
        self.start = start
        self.products = 0
        self.failure: Outcome | None = None
        self.steps: list[float] = []  # of the first round, for the spectrum they tell of
        self.ratios: list[float] = []

    def run(self, rhs: Tensor) -> Tensor:
        """Return x with ‖rhs - A·x‖ ≤ target/2, or the last iterate with ``failure`` set.

        Half the target, since the true residual is a little larger than the recursive one. A
        product that is not finite gives an x that is not finite.
        """
        guess, self.start = self.start, None  # only the first round has a guess to start from
        first = None
        if guess is not None:
            self.products += 1
            first, rhs = guess.left_of(rhs)
        x = torch.zeros_like(rhs)
        scale = float(rhs.double().norm())
        if scale == 0.0:
            return x if first is None else first
        r = rhs / scale  # a gradient's norm may be too small to square
        z = self._precondition(r)
        p, squared = z.clone(), 1.0
        # Memory for all rounds: fresh pages cost more than the arithmetic on large vectors.
        work, wide = torch.empty_like(r), r.double()
        inner = squared if z is r else _dot(r, z, work)
        steps, ratios = ([], []) if self.steps else (self.steps, self.ratios)
        while self.failure is None and math.sqrt(squared) * scale > self.target / 2:
            if self.products == self.max_products:
                self.failure = Outcome.NOT_CONVERGED
                break
            product = self.operator @ p
            self.products += 1
            curvature = _dot(p, product, work)
            if not math.isfinite(curvature):
                return torch.full_like(x, math.nan)
            if curvature <= 0.0:
                self.failure = Outcome.NOT_DEFINITE
                break
            step = inner / curvature
            x.add_(p, alpha=step)
            r.add_(product, alpha=-step)
            z = self._precondition(r)
            wide.copy_(r)
            squared, previous = float(wide @ wide), inner
            inner = squared if z is r else _dot(r, z, work)
            steps.append(step)
            ratios.append(inner / previous)
            p.mul_(ratios[-1]).add_(z)
        x = x * scale
        return x if first is None else first + x

    def _precondition(self, r: Tensor) -> Tensor:
        return r if self.preconditioner is None else self.preconditioner(r)


def _dot(left: Tensor, right: Tensor, work: Tensor) -> float:
    """Return the inner product, its terms rounded as the vectors are and summed in float64."""
    return float(torch.sum(torch.mul(left, right, out=work), dtype=torch.float64))
