"""What conjugate gradients and MINRES share: one budget of products, a first x, safe numbers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators import RangedOperator, SymmetricOperator
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

    solution = refined_solution(
        rounds.solver, ranged, near, correct, tolerance, diverged=Outcome.NOT_FINITE
    )
    # Half of the dtype's digits are enough where more products do not help, not where they ran out.
    missed = (solution.stats.residual or 0.0) > tolerance
    if rounds.failure is not None and missed and solution.direction is not None:
        ran_out = rounds.failure is Outcome.NOT_CONVERGED
        direction = solution.direction if ran_out else None
        detail = f"in {max_products} products" if ran_out else ""
        solution = Solution(direction, rounds.failure, solution.stats, detail)
    solution = put_back(solution, ranged, near, down - ranged.exponent)
    stats = replace(
        solution.stats,
        products=rounds.products + ranged.probes,
        condition=rounds.seen,
        definiteness=rounds.definiteness,
    )
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
