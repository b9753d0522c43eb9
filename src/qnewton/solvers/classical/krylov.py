"""Krylov solvers in rounds that refine the residual, and MINRES, the minimum of its norm."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import RangedOperator, SymmetricOperator
from qnewton.operators.krylov_basis import KrylovBasis
from qnewton.operators.ritz import condition_seen_by_minres
from qnewton.operators.scaling import into_range, norm_ratio, scaled
from qnewton.records import Definiteness, Estimate, Outcome
from qnewton.solvers.classical.refinement import put_back, refined_solution
from qnewton.solvers.solution import Solution, SolveStats


class Rounds(ABC):
    """A Krylov solver, as often as refinement asks for it, within one budget of products."""

    solver: ClassVar[str]

    def __init__(self, operator: RangedOperator, target: float, max_products: int) -> None:
        self.operator = operator
        self.target = target  # the residual norm to reach
        self.max_products = max_products
        self.products = 0
        self.failure: Outcome | None = None
        self.definiteness: Definiteness | None = None
        self.seen: Estimate | None = None  # the condition number that the first round showed

    @abstractmethod
    def run(self, rhs: Tensor) -> Tensor:
        """Return x with ‖rhs - A·x‖ ≤ target/2, or the last iterate with ``failure`` set."""


def solve_in_rounds(
    make: Callable[[RangedOperator, float, int], Rounds],
    operator: SymmetricOperator,
    rhs: Tensor,
    tolerance: float,
    max_products: int,
    start: Tensor | None,
) -> Solution:
    """Solve A·x = b by a Krylov solver, refined; A and b are moved where their norms are safe."""
    ranged, (near, down) = RangedOperator(operator), into_range(rhs)
    rounds = make(ranged, tolerance * float(near.double().norm()), max_products)
    if not torch.isfinite(rhs).all():
        return Solution(None, Outcome.NOT_FINITE, SolveStats(solver=rounds.solver))
    guess = start  # only the first round has a guess to start from

    def correct(left: Tensor) -> Tensor:
        nonlocal guess
        if guess is None:
            return rounds.run(left)
        first, left = _left_by(ranged, guess, left, down)
        guess = None
        rounds.products += 1
        x = rounds.run(left)
        return x if first is None else first + x

    known = (rounds.solver, ranged, near, correct)
    solution = refined_solution(*known, tolerance, diverged=Outcome.NOT_FINITE)
    # Half of the dtype's digits are enough where more products do not help, not where they ran out.
    missed = (solution.stats.residual or 0.0) > tolerance
    if rounds.failure is not None and missed and solution.direction is not None:
        ran_out = rounds.failure is Outcome.NOT_CONVERGED
        direction = solution.direction if ran_out else None
        detail = f"in {max_products} products" if ran_out else ""
        solution = Solution(direction, rounds.failure, solution.stats, detail)
    solution = put_back(solution, ranged, near, down - ranged.exponent)
    seen = {"condition": rounds.seen, "definiteness": rounds.definiteness}
    stats = replace(solution.stats, products=rounds.products + ranged.probes, **seen)
    return replace(solution, stats=stats)


def _left_by(
    operator: RangedOperator, start: Tensor, rhs: Tensor, exponent: int
) -> tuple[Tensor | None, Tensor]:
    """Return y = 2^(e-f)·start and what it leaves of ``rhs`` = 2^-f·b, for 2^-e·A: one product."""
    # A y that the dtype cannot hold, or beside which b is rounding, is no guess: ``None``, and all
    # of ``rhs`` is left.
    near, size = into_range(start)
    image = operator @ near
    move = operator.exponent - exponent
    left = rhs - scaled(image, move + size)
    useful = norm_ratio(left, rhs) <= 1.0 / torch.finfo(rhs.dtype).eps
    return (scaled(start, move), left) if useful else (None, rhs)


MINRES_BASIS_ENTRIES = 1 << 24
"""Entries of basis vectors that MINRES keeps: 64 MB in float32. Its price counts them, too."""

# β_k of a Krylov space that is complete, against the norm seen: rounding of float64 vectors.
_EXHAUSTED = 1e-14


@dataclass(frozen=True)
class NegativeCurvature:
    """A direction along which xᵀAx ≤ 0, met on the way.

    Attributes:
        direction: Unit vector r̂, shape [N], float64, with bᵀr̂ > 0: a residual of MINRES.
        curvature: r̂ᵀA·r̂.
    """

    direction: Tensor
    curvature: float


def minimum_residual(
    operator: SymmetricOperator,
    rhs: Tensor,
    tolerance: float = 1e-6,
    max_products: int = 1000,
    start: Tensor | None = None,
) -> Solution:
    """Solve A·x = b for symmetric A, definite or not, without ever forming its entries.

    Vectors are kept in float64; products run in the operator's dtype. Every new one is made
    orthogonal to those before, without which rounding finds the ends of the spectrum again and
    again: on a Hessian of 13,002 unknowns, 1,460 products become 445.

    Args:
        operator: A, shape [N, N].
        rhs: b, shape [N], in the operator's dtype.
        tolerance: Stop at ‖b - A·x‖ ≤ tolerance·‖b‖.
        max_products: Most products to spend, all rounds together.
        start: First x, shape [N], such as the last step's; zero by default. Costs one product.

    Returns:
        The solution; ``not converged in K products`` when the budget runs out, with the last x.
        Its statistics hold the condition number seen.

    Cost: at most κ·ln(2/tolerance) products for an indefinite A and about those of conjugate
    gradients for a definite one; (15 + 4k)N operations beside the k-th, 6 vectors, and as many
    of the basis as ``MINRES_BASIS_ENTRIES`` hold.

    Reference: Paige and Saunders, SIAM J. Numer. Anal. 12 (1975) 617.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> matrix = torch.diag(torch.tensor([2.0, -1.0, 4.0]))
        >>> minimum_residual(DenseOperator(matrix), torch.ones(3)).direction
        tensor([ 0.5000, -1.0000,  0.2500])
    """
    return solve_in_rounds(_Minres, operator, rhs, tolerance, max_products, start)


class _Minres(Rounds):
    solver: ClassVar[str] = "minres"

    def run(self, rhs: Tensor) -> Tensor:
        """Return x by one run of MINRES, which starts anew in every round."""
        process = MinimumResidual(self.operator, rhs)
        while process.residual > self.target / 2 and not process.finished:
            if self.max_products == self.products:
                self.failure = Outcome.NOT_CONVERGED
                break
            process.advance()
            self.products += 1
        if self.seen is None:
            self.definiteness = "indefinite" if process.negative is not None else None
            self.seen = condition_seen_by_minres(process.alphas, process.betas)
        return process.x.to(rhs.dtype)


class MinimumResidual:
    """The iteration itself: x_k minimises ‖b - A·x‖ over the Krylov space of b.

    Args:
        operator: A, shape [N, N].
        rhs: b, shape [N].

    Attributes:
        x: x_k, shape [N], float64.
        residual: ‖b - A·x_k‖ by recurrence.
        finished: Whether the Krylov space is exhausted: more products change nothing.
        alphas: The diagonal of the tridiagonal so far.
        betas: The entries below it, one for each of ``alphas``.
        negative: The first residual r with rᵀA·r ≤ 0, free of extra products; ``None`` while
            every residual met positive curvature.

    Reference: Liu and Roosta, A Newton-MR algorithm with complexity guarantees, SIAM J. Optim.
    33 (2023), Lemma 3.1, for the curvature: r_{k-1}ᵀA r_{k-1} = -c_{k-1}γ_k⁽¹⁾‖r_{k-1}‖².
    """

    def __init__(self, operator: SymmetricOperator, rhs: Tensor) -> None:
        self._operator = operator
        b = rhs.double()
        self.residual = float(b.norm())
        self.x = torch.zeros_like(b)
        self.finished = self.residual == 0.0
        self.alphas: list[float] = []
        self.betas: list[float] = []
        self.negative: NegativeCurvature | None = None
        self._v = b / self.residual if self.residual > 0.0 else b
        self._v_before = torch.zeros_like(b)
        kept = min(MINRES_BASIS_ENTRIES // len(b), len(b)) + 1
        self._basis = KrylovBasis(self._v, operator.dtype, most=kept)
        self._w = torch.zeros_like(b)
        self._w_before = torch.zeros_like(b)
        self._r = self._v.clone()  # r_{k-1}/‖r_{k-1}‖, for its curvature
        self._norm = self._beta = self._delta = self._epsilon = 0.0
        self._cosine, self._sine = -1.0, 0.0

    def advance(self) -> None:
        """Take one step: one product.

        A product that is not finite makes ``x`` so and ends the iteration.
        """
        v = self._v
        product = (self._operator @ v.to(self._operator.dtype)).double()
        alpha = float(v @ product)
        # Not in place: an operator may return what it was given.
        product = torch.add(product, v, alpha=-alpha).add_(self._v_before, alpha=-self._beta)
        beta = self._basis.clear(product)
        if not (math.isfinite(alpha) and math.isfinite(beta)):
            self.x = torch.full_like(self.x, math.nan)
            self.finished = True
            return
        self.alphas.append(alpha)
        self.betas.append(beta)
        cosine, sine = self._cosine, self._sine
        above = cosine * self._delta + sine * alpha
        pivot = sine * self._delta - cosine * alpha
        if self.negative is None and cosine * pivot >= 0.0:
            self.negative = NegativeCurvature(self._r.clone(), -cosine * pivot)
        gamma = math.hypot(pivot, beta)
        self._norm = max(self._norm, abs(alpha) + beta)
        if gamma <= torch.finfo(torch.float64).eps * self._norm:
            self.finished = True  # A maps what is left of b to zero: singular and inconsistent
            return
        self._cosine, self._sine = pivot / gamma, beta / gamma
        w = torch.add(v, self._w, alpha=-above)
        w.add_(self._w_before, alpha=-self._epsilon).div_(gamma)
        self.x.add_(w, alpha=self._cosine * self.residual)
        self._w_before, self._w = self._w, w
        self._epsilon, self._delta = sine * beta, -cosine * beta
        following = product.div_(beta) if beta > 0.0 else product
        self._r.mul_(self._sine).add_(following, alpha=-self._cosine)
        self.residual *= self._sine
        self._v_before, self._v, self._beta = v, following, beta
        self._basis.append(following, 1.0)
        self.finished = beta <= _EXHAUSTED * self._norm
