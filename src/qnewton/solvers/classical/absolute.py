"""The absolute Hessian: a direction that descends whatever the signs of the eigenvalues."""

from dataclasses import replace

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.base import dtype_name
from qnewton.operators.scaling import into_range, largest, norm_ratio, scaled, shifted_number
from qnewton.records import Outcome
from qnewton.solvers.classical.refinement import judge
from qnewton.solvers.solution import Solution, SolveStats


def solve_absolute(operator: SymmetricOperator, rhs: Tensor, tolerance: float = 1e-6) -> Solution:
    r"""Solve (\|H\| + λI)·x = b for A = H + λI, with \|H\| = V\|Λ\|Vᵀ and λ from A's treatment.

    Negative eigenvalues are taken by their size: x descends along them instead of climbing, and
    leaves a saddle as fast as Newton's method would be drawn to it.

    Args:
        operator: A, shape [N, N]; its entries are read, its treatment says λ.
        rhs: b = -g, shape [N].
        tolerance: Largest relative residual, of the system that is solved.

    Returns:
        The solution; ``singular`` if \|H\| + λI is, ``not finite`` for entries that are not.

    Cost: an eigendecomposition in float64, about 9N³ operations.

    Reference: Dauphin et al., Identifying and attacking the saddle point problem, NeurIPS 2014,
    section 5 (arXiv:1406.2572).

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> saddle = DenseOperator(torch.diag(torch.tensor([2.0, -4.0])))
        >>> solve_absolute(saddle, torch.ones(2)).direction
        tensor([0.5000, 0.2500])
    """
    stats = SolveStats(solver="absolute")
    matrix = operator.dense().double()
    if not (torch.isfinite(matrix).all() and torch.isfinite(rhs).all()):
        return Solution(None, Outcome.NOT_FINITE, stats)
    matrix, up = into_range(matrix)
    shift = shifted_number(operator.treatment.damping, -up)
    values, vectors = torch.linalg.eigh(matrix)
    sizes = (values - shift).abs() + shift
    if float(sizes.min()) <= torch.finfo(torch.float64).eps * float(sizes.max()):
        return Solution(None, Outcome.SINGULAR, stats)
    b, down = into_range(rhs.double())
    x = scaled(vectors @ ((vectors.mT @ b) / sizes), down - up).to(rhs.dtype)
    name = dtype_name(rhs.dtype)
    if not torch.isfinite(x).all():
        return Solution(None, Outcome.OVERFLOW, stats, name)
    stored = scaled(x.double(), up - down)
    residual = norm_ratio(b - vectors @ (sizes * (vectors.mT @ stored)), b)
    outcome, detail = judge(residual, tolerance, rhs.dtype)
    if outcome is not Outcome.SOLVED and largest(x) < torch.finfo(rhs.dtype).tiny:
        outcome, detail = Outcome.UNDERFLOW, name
    return Solution(x, outcome, replace(stats, residual=residual), detail)
