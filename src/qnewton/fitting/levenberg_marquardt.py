"""Levenberg-Marquardt in a trust region (Moré 1978), with geodesic acceleration.

The scaled variables are y = Dp, D the largest column norms seen, so that the fit does not depend
on units. A step minimises the model in a ball, and bends where the ball binds.
"""

from qnewton.fitting.acceleration import bend
from qnewton.fitting.problem import Linearised, Problem
from qnewton.fitting.quadratic import Quadratic
from qnewton.fitting.stopping import Settings
from qnewton.fitting.trust_region import FIRST_RADIUS, Trial, TrustRegion, fall, first_scale
from qnewton.fitting.vectors import norm


class LevenbergMarquardt(TrustRegion):
    """Levenberg-Marquardt, for a problem without bounds."""

    @classmethod
    def begin(cls, problem: Problem, start: Linearised, settings: Settings) -> "LevenbergMarquardt":
        """Return the state at the start."""
        scale = first_scale(start, settings)
        return cls(problem, settings, scale, FIRST_RADIUS * (norm(scale * start.point.x) or 1.0))

    def tried(self, here: Linearised, model: Quadratic) -> Trial:
        """Evaluate the residuals one step away, bent where the ball binds."""
        ball = model.step(self.radius, self.shift)
        bent = bend(self.problem, here, model, ball, 1 / self.scale)
        y = ball.y if bent is None else bent
        point = self.problem.at(here.point.x + y / self.scale)
        return Trial(ball, point, fall(here.point, point), ball.predicted / here.point.cost)
