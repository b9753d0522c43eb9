"""Geodesic acceleration: a step that bends with the residuals (Transtrum and Sethna 2012).

Where a ball binds a step v, the path through smaller balls is curved. Its acceleration a minimises
‖Ja + r_vv‖ in the metric of the ball, r_vv the second derivative of the residuals along v, and
v + a/2 follows the path further. It costs one evaluation, and saves many in narrow valleys.
"""

import numpy as np

from qnewton.fitting.problem import Linearised, Problem
from qnewton.fitting.quadratic import BallStep, Quadratic
from qnewton.fitting.vectors import norm

# r_vv is a difference over this share of v.
PROBE = 0.1

# A step bends only where 2‖a‖ is at most this share of ‖v‖: beyond, the series does not hold.
MOST = 0.75


def bend(
    problem: Problem, here: Linearised, model: Quadratic, ball: BallStep, stretch: np.ndarray
) -> np.ndarray | None:
    """Return v + a/2 in scaled variables, p = stretch·y; ``None`` where the step stays straight."""
    if ball.shift == 0:
        return None
    second = problem.second_derivative(here, ball.y * stretch, PROBE)
    if second is None:
        return None
    acceleration = -model.solved(second * stretch, ball.shift)
    if not 2 * norm(acceleration) <= MOST * ball.norm:
        return None
    return ball.y + 0.5 * acceleration
