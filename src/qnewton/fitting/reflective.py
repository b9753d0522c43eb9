"""Trust region with bounds, from within (Branch, Coleman and Li 1999).

In the variables y = p/d, d = √v/D with v the distance to the bound that the descent points to, the
ball is flat along a bound that is near. The Newton system gets the diagonal |g|·|dv/dx|, which ends
at the bound's multiplier. A step that leaves the box is compared with its reflection at the
first bound, and with steepest descent; the best of the three by the model is tried.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from qnewton.fitting.acceleration import bend
from qnewton.fitting.bounds import Bounds
from qnewton.fitting.problem import Linearised, Problem
from qnewton.fitting.quadratic import BallStep, Quadratic, general_model, least_squares_model
from qnewton.fitting.stopping import Settings
from qnewton.fitting.trust_region import FIRST_RADIUS, Trial, TrustRegion, fall, first_scale
from qnewton.fitting.vectors import norm

# How far to go towards a bound at least; nearer as the gradient vanishes.
_LEAST_WAY = 0.995


@dataclass(frozen=True, eq=False)
class Barrier:
    """A point as the bounds see it.

    Attributes:
        here: The point with its linear model.
        stretch: d, shape [N]: p = d·y.
        diagonal: What the bounds add to the matrix in y, shape [N].
        second: S, or ``None``.
    """

    here: Linearised
    stretch: np.ndarray
    diagonal: np.ndarray
    second: np.ndarray | None

    @cached_property
    def gradient(self) -> np.ndarray:
        """In y, shape [N]."""
        return self.stretch * self.here.reduced.gradient

    @cached_property
    def model(self) -> Quadratic:
        """The model in y."""
        triangle = self.here.reduced.triangle * self.stretch
        if self.second is not None:
            second = self.second * np.outer(self.stretch, self.stretch)
            matrix = triangle.T @ triangle + second + np.diag(self.diagonal)
            return general_model(matrix, self.gradient)
        rows = np.vstack([triangle, np.diag(np.sqrt(self.diagonal))])
        rotated = np.concatenate([self.here.reduced.rotated, np.zeros(len(self.stretch))])
        return least_squares_model(rows, rotated)

    @cached_property
    def left(self) -> float:
        """The norm of what the model could remove of the residuals."""
        free = self.model.free()
        return math.sqrt(max(0.0, -float(self.model.gradient @ free)))

    def along(self, direction: np.ndarray, start: np.ndarray) -> tuple[float, float]:
        """Return slope and half the curvature of the model from ``start`` along ``direction``."""
        curved = self._product(direction)
        return float(curved @ start + self.gradient @ direction), 0.5 * float(curved @ direction)

    def value(self, y: np.ndarray) -> float:
        """Return the model at y."""
        return float(self.gradient @ y + 0.5 * (self._product(y) @ y))

    def _product(self, y: np.ndarray) -> np.ndarray:
        p = self.stretch * y
        found = self.stretch * self.here.reduced.curved(p) + self.diagonal * y
        return found if self.second is None else found + self.stretch * (self.second @ p)


@dataclass
class Reflective(TrustRegion):
    """The trust-region reflective algorithm."""

    bounds: Bounds = field(kw_only=True)
    seen: Barrier | None = None

    @classmethod
    def begin(
        cls, problem: Problem, start: Linearised, settings: Settings, bounds: Bounds
    ) -> "Reflective":
        """Return the state at the start."""
        scale = first_scale(start, settings)
        v, _ = bounds.distances(start.point.x, start.reduced.gradient)
        radius = FIRST_RADIUS * norm(scale * start.point.x / np.sqrt(v)) or 1.0
        return cls(problem, settings, scale, radius, bounds=bounds)

    def barrier(self, here: Linearised) -> Barrier:
        """Return the point as the bounds see it; kept until another is asked for."""
        second = self.second.matrix if self.second.trusted else None
        if self.seen is None or self.seen.here is not here or self.seen.second is not second:
            gradient = here.reduced.gradient
            v, slope = self.bounds.distances(here.point.x, gradient)
            # Distances are in units of x; where they count, they are brought into the metric's.
            v = np.where(slope != 0, v * self.scale, v)
            diagonal = gradient * slope / self.scale
            self.seen = Barrier(here, np.sqrt(v) / self.scale, diagonal, second)
        return self.seen

    def left(self, here: Linearised) -> float:
        """Return the norm of the part of the residuals that the model could remove."""
        return self.barrier(here).left

    def model(self, here: Linearised, step: int) -> Quadratic:
        """Return the model in the variables that the bounds stretch."""
        self.second.used(step)
        return self.barrier(here).model

    def grown(self, ball: BallStep) -> float:
        """Return the radius after a good step, which a bound may have cut short."""
        return max(self.radius, 2 * ball.norm)

    def tried(self, here: Linearised, model: Quadratic) -> Trial:
        """Evaluate the residuals at the best of the steps that stay inside."""
        barrier, ball = self.barrier(here), model.step(self.radius, self.shift)
        best = self._best(barrier, ball)
        y = best.y if best.cut else self._bent(here, model, ball)
        point = self.problem.at(self.bounds.inside(here.point.x + barrier.stretch * y))
        cost = here.point.cost
        owed = 0.5 * float((barrier.diagonal * best.y) @ best.y) / cost
        return Trial(best, point, fall(here.point, point), best.predicted / cost, owed)

    def _bent(self, here: Linearised, model: Quadratic, ball: BallStep) -> np.ndarray:
        """Return the step with its acceleration, if that stays inside."""
        stretch = self.barrier(here).stretch
        bent = bend(self.problem, here, model, ball, stretch)
        if bent is None or self.bounds.reach(here.point.x, stretch * bent)[0] <= 1:
            return ball.y
        return bent

    def _best(self, barrier: Barrier, ball: BallStep) -> BallStep:
        x, d = barrier.here.point.x, barrier.stretch
        way, hit = self.bounds.reach(x, d * ball.y)
        if way > 1:
            return ball
        relative = norm(barrier.gradient) / (1 + barrier.here.point.cost)
        near = max(_LEAST_WAY, 1 - relative)
        steps = [
            near * way * ball.y,
            self._reflected(barrier, ball.y, way, hit, near),
            self._steepest(barrier, near),
        ]
        values = [math.inf if y is None else barrier.value(y) for y in steps]
        k = int(np.argmin(values))
        y = steps[k]
        assert y is not None
        return BallStep(y, ball.shift, norm(y), -values[k], cut=True)

    def _reflected(
        self, barrier: Barrier, y: np.ndarray, way: float, hit: np.ndarray, near: float
    ) -> np.ndarray | None:
        """Return the best point behind the first bound on the reflected path, within the ball."""
        x, d = barrier.here.point.x, barrier.stretch
        start, direction = way * y, np.where(hit, -y, y)
        to_ball = _to_sphere(start, direction, self.radius)
        to_bound, _ = self.bounds.reach(x + d * start, d * direction)
        most = min(near * to_bound, to_ball)
        least = (1 - near) * way
        if not least < most:
            return None
        return start + _least(*barrier.along(direction, start), least, most) * direction

    def _steepest(self, barrier: Barrier, near: float) -> np.ndarray:
        """Return the best point along -gradient, within ball and box."""
        x, d, direction = barrier.here.point.x, barrier.stretch, -barrier.gradient
        to_bound, _ = self.bounds.reach(x, d * direction)
        most = min(near * to_bound, self.radius / norm(direction))
        zero = np.zeros_like(direction)
        return _least(*barrier.along(direction, zero), 0.0, most) * direction


def _least(slope: float, half: float, low: float, high: float) -> float:
    """Return where slope·t + half·t² is least in [low, high]."""
    inner = [-slope / (2 * half)] if half > 0 else []
    candidates = [low, high, *(t for t in inner if low < t < high)]
    return min(candidates, key=lambda t: slope * t + half * t * t)


def _to_sphere(start: np.ndarray, direction: np.ndarray, radius: float) -> float:
    """Return t ≥ 0 with ‖start + t·direction‖ = radius, 0 if the start is outside."""
    a, b = float(direction @ direction), float(start @ direction)
    c = float(start @ start) - radius**2
    return (math.sqrt(max(0.0, b * b - a * c)) - b) / a if c < 0 else 0.0
