"""The loop that both algorithms share: try a step, judge it, set the radius, see whether to end."""

import math
from dataclasses import dataclass, field

import numpy as np

from qnewton.fitting.problem import Linearised, Point, Problem
from qnewton.fitting.quadratic import BallStep, Quadratic, general_model, least_squares_model
from qnewton.fitting.result import Status
from qnewton.fitting.secant import SecondOrder
from qnewton.fitting.stopping import Outcome, Settings
from qnewton.fitting.vectors import norm

# Moré's (1978): a step is taken if the cost falls by this share of what was predicted, the radius
# shrinks below the second and grows from the third on.
TAKEN = 1e-4
_POOR = 0.25
_GOOD = 0.75

# The first radius, in units of ‖Dx‖.
FIRST_RADIUS = 3.0

# A column of the Jacobian may be nearly zero at the start and let its parameter run away; the
# metric holds it as if it had at least this share of ‖Dx‖.
LEAST_SHARE = 1 / 30

# Unless it is so small that its size says nothing: up to this many times its norm.
_MOST_HELD = 1e6

# Once a tolerance is met, steps go on as long as they leave at most this share of what a step can
# change: digits are cheap there, and the last steps of a fit give most of them.
STILL_FALLING = 0.9

# Parameters at zero are moved by any step; this one is none.
_NO_RADIUS = 1e-150

# A share of the first parameters that is nothing; its square is one of the first residuals.
_NOTHING = 1e-16

# Trials refused on end where all costs agree within the tolerance: rounding, and not the model.
REFUSED = 3


@dataclass(frozen=True, eq=False)
class Trial:
    """A step tried: what the ball allowed, where it led, and the falls of the cost, relative.

    Attributes:
        ball: The step in scaled variables.
        point: Where it led.
        actual: How far the cost fell.
        predicted: How far the model fell.
        owed: Part of the model that is no part of the cost: the barrier of bounds.
    """

    ball: BallStep
    point: Point
    actual: float
    predicted: float
    owed: float = 0.0

    @property
    def ratio(self) -> float:
        """What was kept of what was predicted."""
        return (self.actual - self.owed) / self.predicted if self.predicted > 0 else 0.0


@dataclass
class TrustRegion:
    """The state of one fit: the metric D, the radius of the ball, its λ, and S."""

    problem: Problem
    settings: Settings
    scale: np.ndarray
    radius: float
    shift: float = 0.0
    refused: int = 0
    second: SecondOrder = field(default_factory=SecondOrder)

    def run(self, here: Linearised) -> Outcome:
        """Step from ``here`` until a test says enough."""
        limits, steps, status, first = self.settings.limits, 0, None, here
        while status is None:
            if self._level(here) or self._vanished(first, here):
                status = Status.GRADIENT
            elif self.problem.evaluations >= limits.evaluations:
                status = Status.EVALUATIONS
            else:
                there, status = self._advance(here, steps)
                steps += there is not here
                here = there
                if status is None and self.settings.stops(self.problem, here, steps):
                    status = Status.STOPPED
        return Outcome(here, status, steps, self.second.since)

    def _level(self, here: Linearised) -> bool:
        """Return whether steps can change too small a share of the residuals."""
        # Squares of tiny residuals are zero before the residuals are.
        cost = here.point.cost
        return cost == 0 or self.left(here) <= self.settings.limits.gradient * math.sqrt(2 * cost)

    def _vanished(self, first: Linearised, here: Linearised) -> bool:
        """Return whether residuals and parameters are nothing beside the first ones.

        Where both fall to zero together, as at a double root, a step is a large share of the rest.
        """
        if here.point.cost > _NOTHING**4 * first.point.cost:
            return False
        return norm(self.scale * here.point.x) <= _NOTHING * norm(self.scale * first.point.x)

    def left(self, here: Linearised) -> float:
        """Return the norm of the part of the residuals that the model could remove."""
        return here.reduced.projected

    def model(self, here: Linearised, step: int) -> Quadratic:
        """Return the quadratic model in scaled variables."""
        reduced, second = here.reduced, self.second.used(step)
        triangle = reduced.triangle / self.scale
        if second is None:
            return least_squares_model(triangle, reduced.rotated)
        matrix = triangle.T @ triangle + second / np.outer(self.scale, self.scale)
        return general_model(matrix, reduced.gradient / self.scale)

    def tried(self, here: Linearised, model: Quadratic) -> Trial:
        """Evaluate the residuals one step away."""
        raise NotImplementedError

    def grown(self, ball: BallStep) -> float:
        """Return the radius after a good step."""
        return 2 * ball.norm

    def _advance(self, here: Linearised, steps: int) -> tuple[Linearised, Status | None]:
        """Try steps until one is taken or the fit ends."""
        model, self.refused = self.model(here, steps + 1), 0
        while True:
            trial = self.tried(here, model)
            there = self._taken(here, trial)
            self._resize(here, trial, there)
            self.refused += there is None
            if there is not None:
                self.second.learn(here, there, self._astray(trial), self.scale)
                if self.settings.scale is None:
                    # Only up: a metric that followed the Jacobian down could lose its hold.
                    self.scale = np.maximum(self.scale, there.reduced.column_norms)
            enough = self._enough(here, trial, there)
            if there is not None or enough is not None:
                return there or here, enough
            if self.problem.evaluations >= self.settings.limits.evaluations:
                return here, Status.EVALUATIONS

    def _taken(self, here: Linearised, trial: Trial) -> Linearised | None:
        """Return the linear model of the trial if it is the next point."""
        rounded = self._close(trial) and abs(trial.actual) <= self.settings.limits.rounding
        if not rounded and trial.ratio < TAKEN:
            return None
        there = self.problem.linearise(trial.point)
        if not there.reduced.finite:
            return None
        # The cost is rounded by more than it falls: the gradient decides.
        if trial.ratio < TAKEN and self.left(there) >= self.left(here):
            return None
        return there

    def _astray(self, trial: Trial) -> bool:
        """Return whether the model is to blame for a slow step, and not the ball."""
        return trial.ball.free or self.refused > 0 or not _GOOD <= trial.ratio <= 2 - _GOOD

    def _close(self, trial: Trial) -> bool:
        tolerance = self.settings.limits.cost
        return abs(trial.actual) <= tolerance and trial.predicted <= tolerance

    def _enough(self, here: Linearised, trial: Trial, there: Linearised | None) -> Status | None:
        """Return why the fit ends, None while it goes on."""
        limits = self.settings.limits
        at = here if there is None else there
        last = trial.ball.shift == 0 if there is not None else self.refused >= REFUSED
        # A short step foretells little: what a free one would gain must be little, too.
        little = self.left(at) ** 2 <= 2 * limits.cost * at.point.cost
        size = limits.step * norm(self.scale * at.point.x)
        unmoved = self._unmoved(here, trial)
        cost = little and (last or unmoved) and self._close(trial)
        short = min(self.radius, trial.ball.norm) <= size
        found = limits.reached(cost, short or (unmoved and not cost))
        if found is None or there is None:
            return found
        return None if self.left(there) <= STILL_FALLING * self.left(here) else found

    def _unmoved(self, here: Linearised, trial: Trial) -> bool:
        """Return whether a step is lost in the rounding of the parameters, whatever xtol says."""
        return self.radius < _NO_RADIUS or np.array_equal(trial.point.x, here.point.x)

    def _resize(self, here: Linearised, trial: Trial, there: Linearised | None) -> None:
        """Set the next radius by how well the model foretold the cost (Moré 1978, section 4)."""
        ball = trial.ball
        if there is not None and (trial.ratio >= _GOOD or ball.free or self._close(trial)):
            self.radius = self.grown(ball)
            self.shift = 0.5 * ball.shift
        elif trial.ratio <= _POOR or there is None:
            share = _shrink(here, trial)
            # At most half of what was tried, or a Newton step inside the ball would come again.
            self.radius = min(share * min(self.radius, 10 * ball.norm), 0.5 * ball.norm)
            self.shift = ball.shift / share
        else:
            self.shift = ball.shift


def _shrink(here: Linearised, trial: Trial) -> float:
    """Return the minimum of the parabola through cost, slope and the cost that was found."""
    if not math.isfinite(trial.actual):
        return 0.1
    if trial.actual >= 0:
        return 0.5
    ball = trial.ball
    slope = ball.shift * ball.norm**2 / (2 * here.point.cost) - trial.predicted
    return min(0.5, max(0.1, 0.5 * slope / (slope + 0.5 * trial.actual)))


def first_scale(start: Linearised, settings: Settings) -> np.ndarray:
    """Return the metric D at the start, shape [N]: as given, else the column norms, held up."""
    if settings.scale is not None:
        return settings.scale
    norms, sizes = start.reduced.column_norms, np.abs(start.point.x)
    scale = np.where(norms > 0, norms, 1.0)
    least = LEAST_SHARE * norm(scale * sizes)
    if least == 0:
        return scale
    # Of a parameter at zero nothing is known.
    sized = np.maximum(sizes, least / (_MOST_HELD * scale))
    return np.where(sizes > 0, np.maximum(scale, least / sized), scale)


def fall(here: Point, there: Point) -> float:
    """Return how far the cost fell, relative to where it was; -∞ where it is not finite."""
    return 1 - there.cost / here.cost if math.isfinite(there.cost) else -math.inf
