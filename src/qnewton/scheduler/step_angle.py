"""How far a quantum solver's direction is from the one the system asks for."""

import math
from dataclasses import replace

from torch import Tensor

from qnewton.operators import LinearSystem
from qnewton.operators.scaling import into_range
from qnewton.solvers import Solution, solve

_TOLERANCE = 1e-6


def with_angle(system: LinearSystem, solution: Solution) -> Solution:
    """Return the solution with the angle to the exact one in its quantum figures.

    The exact one is MINRES's, to a residual of 1e-6; the angle stays ``None`` where that does not
    converge or there is no direction. Nothing but the record sees it.

    Cost: MINRES, about κ ln(2/tolerance) products at most.
    """
    quantum = solution.stats.quantum
    if solution.direction is None or quantum is None:
        return solution
    exact = solve(system, "minres", tolerance=_TOLERANCE)
    if exact.direction is None or not exact.solved:
        return solution
    angle = angle_between(solution.direction, exact.direction)
    return replace(solution, stats=replace(solution.stats, quantum=replace(quantum, angle=angle)))


def angle_between(one: Tensor, other: Tensor) -> float | None:
    """Return the angle in radians, in [0, π]; ``None`` if a vector is zero.

    Example:
        >>> import torch
        >>> angle_between(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
        1.5707963267948966
    """
    a, b = into_range(one.double())[0], into_range(other.double())[0]
    lengths = float(a.norm()), float(b.norm())
    if 0.0 in lengths:
        return None
    a, b = a / lengths[0], b / lengths[1]
    # The arc cosine of the product loses half of the digits of a small angle.
    return 2.0 * math.atan2(float((a - b).norm()), float((a + b).norm()))
