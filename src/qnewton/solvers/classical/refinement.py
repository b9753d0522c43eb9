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

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, SparseOperator, SymmetricOperator
from qnewton.solvers.solution import SOLVED, Solution, SolveStats

MAX_REFINEMENTS = 2
# Float64 products are made a panel of rows at a time, in memory that is used again: 4 MB stay in a
# processor's cache, so that a residual takes little longer than a product. A copy and ``mv`` were
# a quarter faster, or seven times slower: their threads divide a panel differently, and what one
# core wrote the other one reads.
_PANEL_ENTRIES = {"cpu": 1 << 19, "cuda": 1 << 24}


def residual_vector(matrix: SymmetricOperator | Tensor, x: Tensor, rhs: Tensor) -> Tensor:
    """Return b - A·x in float64, shape [N].

    Args:
        matrix: A, as entries or as an operator. Entries (a dense or sparse operator's
            too) are multiplied in float64; any other operator multiplies in its own dtype.
        x: Shape [N].
        rhs: b, shape [N].

    Cost: 2N² operations, or one product.
    """
    if isinstance(matrix, DenseOperator):
        matrix = matrix.dense()
    if isinstance(matrix, SparseOperator):
        return rhs.double() - matrix.compressed.double() @ x.double()
    if isinstance(matrix, SymmetricOperator):
        return rhs.double() - (matrix @ x).double()
    x64 = x.double()
    if matrix.dtype == torch.float64:
        return rhs.double() - matrix @ x64
    n, kind = len(matrix), matrix.device.type
    rows = min(n, max(1, _PANEL_ENTRIES.get(kind, _PANEL_ENTRIES["cuda"]) // n))
    panel, product = x64.new_empty(rows, n), x64.new_empty(n)
    for start in range(0, n, rows):
        block = matrix[start : start + rows]
        multiplied = torch.mul(block, x64, out=panel[: len(block)])
        torch.sum(multiplied, 1, out=product[start : start + rows])
    return rhs.double() - product


def relative_residual(matrix: SymmetricOperator | Tensor, x: Tensor, rhs: Tensor) -> float:
    """Return ‖b - A·x‖/‖b‖; 0 when both vanish, infinity when only b does."""
    return _relative(residual_vector(matrix, x, rhs), rhs)


def judge(residual: float, tolerance: float, dtype: torch.dtype) -> str:
    """Return ``solved`` if the residual is within the tolerance or the dtype's reach.

    Example:
        >>> judge(1e-4, 1e-6, torch.float32), judge(1e-4, 1e-6, torch.float64)
        ('solved', 'residual 1e-04 above 1e-06')
    """
    limit = max(tolerance, math.sqrt(torch.finfo(dtype).eps))
    return SOLVED if residual <= limit else f"residual {residual:.0e} above {limit:.0e}"


def refined_solution(
    solver: str,
    matrix: SymmetricOperator | Tensor,
    rhs: Tensor,
    correct: Callable[[Tensor], Tensor],
    tolerance: float,
    diverged: str,
) -> Solution:
    """Return the solution built from an approximate inverse, refined where that pays.

    Args:
        solver: Name for the statistics.
        matrix: A, entries or operator.
        rhs: b, shape [N].
        correct: Maps r of shape [N] to an approximation of A⁻¹r in the same dtype.
        tolerance: Largest residual that counts as solved.
        diverged: Outcome to report when ``correct`` gives something that is not finite.
    """
    x = correct(rhs)
    if not torch.isfinite(x).all():
        return Solution(None, diverged, SolveStats(solver=solver))
    r = residual_vector(matrix, x, rhs)
    residual, refinements = _relative(r, rhs), 0
    while residual > tolerance and refinements < MAX_REFINEMENTS:
        refinements += 1
        candidate = (x.double() + correct(r.to(x.dtype)).double()).to(x.dtype)
        r = residual_vector(matrix, candidate, rhs)
        refined = _relative(r, rhs)
        improved, halved = refined < residual, refined <= residual / 2
        if improved:
            x, residual = candidate, refined
        if not halved:
            break
    stats = SolveStats(solver=solver, residual=residual, refinements=refinements)
    return Solution(x, judge(residual, tolerance, x.dtype), stats)


def _relative(residual: Tensor, rhs: Tensor) -> float:
    size, scale = float(residual.norm()), float(rhs.double().norm())
    if scale == 0.0:
        return 0.0 if size == 0.0 else math.inf
    return size / scale
