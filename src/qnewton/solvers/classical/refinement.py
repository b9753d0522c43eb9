"""Iterative refinement, and when a residual is small enough to call a system solved.

A residual below the tolerance is not always representable. Rounding the *exact* x to float32
already costs up to 6e-8·‖A‖‖x‖/‖b‖; measured at N = 300 with a random b: 2e-6 at κ = 10³, 1e-5
at 10⁴, 1e-4 at 10⁵, and refined float32 solves reach exactly that, with x right to 3e-8. So the
rule is:

1. The residual is computed with float64 accumulation. While it exceeds the tolerance, the
   correction A⁻¹r from the same approximate inverse is added, at most ``MAX_REFINEMENTS``
   times and only while each round at least halves the residual. One round costs O(N²) against
   the factorisation's O(N³), and none is spent when the first x is good enough.
2. A residual at or below the tolerance is ``solved``. One that stays above it is still
   ``solved`` up to √eps (3e-4 in float32, 1.5e-8 in float64): refinement no longer helped, so
   the dtype is the limit, and half of its digits are right. Above that it is a failure that
   names both numbers; float64 or more damping helps.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, SymmetricOperator
from qnewton.operators.base import dtype_name
from qnewton.operators.scaling import norm_ratio, scaled
from qnewton.records import Outcome
from qnewton.solvers.solution import Solution, SolveStats

MAX_REFINEMENTS = 2


def residual_vector(matrix: SymmetricOperator | Tensor, x: Tensor, rhs: Tensor) -> Tensor:
    """Return b - A·x in float64, shape [N].

    Args:
        matrix: A, as entries or as an operator. Entries (a dense or sparse operator's
            too) are multiplied in float64; any other operator multiplies in its own dtype.
        x: Shape [N].
        rhs: b, shape [N].

    Cost: 2N² operations, or one product.
    """
    operator = matrix if isinstance(matrix, SymmetricOperator) else DenseOperator(matrix)
    return rhs.double() - operator.wide_product(x.double())


def relative_residual(matrix: SymmetricOperator | Tensor, x: Tensor, rhs: Tensor) -> float:
    """Return ‖b - A·x‖/‖b‖; 0 when both vanish, infinity when only b does."""
    return norm_ratio(residual_vector(matrix, x, rhs), rhs)


def judge(residual: float, tolerance: float, dtype: torch.dtype) -> tuple[Outcome, str]:
    """Return ``SOLVED`` if the residual is within the tolerance or the dtype's reach, and a detail.

    Example:
        >>> judge(1e-4, 1e-6, torch.float32)[0].describe()
        'solved'
        >>> outcome, detail = judge(1e-4, 1e-6, torch.float64)
        >>> outcome.describe(detail)
        'residual 1e-04 above 1e-06'
    """
    limit = max(tolerance, math.sqrt(torch.finfo(dtype).eps))
    if residual <= limit:
        return Outcome.SOLVED, ""
    return Outcome.RESIDUAL, f"{residual:.0e} above {limit:.0e}"


def refined_solution(
    solver: str,
    matrix: SymmetricOperator | Tensor,
    rhs: Tensor,
    correct: Callable[[Tensor], Tensor],
    tolerance: float,
    diverged: Outcome,
) -> Solution:
    """Return the solution built from an approximate inverse, refined where that pays."""
    x = correct(rhs)
    if not torch.isfinite(x).all():
        return Solution(None, diverged, SolveStats(solver=solver))
    r = residual_vector(matrix, x, rhs)
    residual, refinements = norm_ratio(r, rhs), 0
    while residual > tolerance and refinements < MAX_REFINEMENTS:
        refinements += 1
        candidate = (x.double() + correct(r.to(x.dtype)).double()).to(x.dtype)
        r = residual_vector(matrix, candidate, rhs)
        refined = norm_ratio(r, rhs)
        improved, halved = refined < residual, refined <= residual / 2
        if improved:
            x, residual = candidate, refined
        if not halved:
            break
    stats = SolveStats(solver=solver, residual=residual, refinements=refinements)
    outcome, detail = judge(residual, tolerance, x.dtype)
    return Solution(x, outcome, stats, detail)


def put_back(
    solution: Solution, matrix: SymmetricOperator | Tensor, rhs: Tensor, exponent: int
) -> Solution:
    """Return the solution x·2^exponent of a system from the x of the one that was solved for it."""
    x = solution.direction
    if x is None or exponent == 0:
        return solution
    back = scaled(x, exponent)
    name = dtype_name(x.dtype)
    if not torch.isfinite(back).all():
        stats = replace(solution.stats, residual=None)
        return Solution(None, Outcome.OVERFLOW, stats, name)
    kept = scaled(back, -exponent)
    if torch.equal(kept, x):
        return replace(solution, direction=back)
    stats = replace(solution.stats, residual=relative_residual(matrix, kept, rhs))
    limit = max(solution.stats.residual or 0.0, math.sqrt(torch.finfo(x.dtype).eps))
    if solution.solved and not (stats.residual or 0.0) <= limit:
        return Solution(back, Outcome.UNDERFLOW, stats, name)
    return replace(solution, direction=back, stats=stats)
