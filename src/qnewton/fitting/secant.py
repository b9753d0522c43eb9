"""Second derivatives of the residuals, S ≈ Σ rᵢ∇²rᵢ, learnt from steps.

Gauss-Newton leaves S out, and where residuals stay large its error falls by a constant factor per
step. The secant follows Dennis, Gay and Welsch (1981): S is sized, then takes the least change that
reproduces how the gradient changed beyond JᵀJ. As in their NL2SOL, it is used while it predicts
better than Gauss-Newton; here what is predicted is the gradient, which rounding spares longer
than the cost.
"""

import math
from dataclasses import dataclass

import numpy as np

from qnewton.fitting.problem import Linearised

# A step that leaves more than this share of the gradient is slow.
_SLOW = 0.1

# Residuals are large where the cost stays at this share, and a step can change at most that share.
_LEVEL = 0.9
_CHANGEABLE = 0.1

# Where J has lost rank a step seems to change much; then a cost that stays at this share tells.
_FLAT = 0.9999


@dataclass
class SecondOrder:
    """S while a fit runs: nothing until Gauss-Newton is slow.

    Attributes:
        matrix: S, shape [N, N]; ``None`` while Gauss-Newton does.
        trusted: Whether S foretold the last gradient better than nothing did.
        since: The first step whose model held S.
    """

    matrix: np.ndarray | None = None
    trusted: bool = False
    since: int | None = None

    def learn(self, before: Linearised, after: Linearised, astray: bool, scale: np.ndarray) -> None:
        """Take in an accepted step; ``astray`` says that the model was wrong, or free and slow."""
        if self.matrix is None and not (astray and _begins(before, after)):
            return
        n = len(before.point.x)
        second = np.zeros((n, n)) if self.matrix is None else self.matrix
        step = after.point.x - before.point.x
        change = after.reduced.gradient - before.reduced.gradient
        missed = (change - before.reduced.curved(step)) / scale
        left = missed - (second @ step) / scale
        self.trusted = self.matrix is None or float(left @ left) < float(missed @ missed)
        self.matrix = _updated(second, step, change, change - after.reduced.curved(step))

    def used(self, step: int) -> np.ndarray | None:
        """Return S for the model of a step if it is trusted, and remember the first."""
        if self.matrix is None or not self.trusted:
            return None
        if self.since is None:
            self.since = step
        return self.matrix


def _begins(before: Linearised, after: Linearised) -> bool:
    """Return whether residuals stay large and the fit is slow."""
    left, cost = after.reduced.projected, after.point.cost
    if left <= _SLOW * before.reduced.projected:
        return False
    little = left**2 <= _CHANGEABLE * 2 * cost
    return cost > (_LEVEL if little else _FLAT) * before.point.cost


def _updated(
    second: np.ndarray, step: np.ndarray, change: np.ndarray, beyond: np.ndarray
) -> np.ndarray:
    """Return S with S·s = y♯, ``beyond``, y the ``change`` of the gradient (section 3.2)."""
    along = float(step @ second @ step)
    if along != 0:
        second = second * min(1.0, abs(float(step @ beyond) / along))
    curvature = float(change @ step)
    if curvature <= 0 or not math.isfinite(curvature):
        return second
    missing = beyond - second @ step
    cross = np.outer(missing, change)
    share = float(missing @ step) / curvature
    return second + (cross + cross.T - share * np.outer(change, change)) / curvature
