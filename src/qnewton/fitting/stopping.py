"""When a fit ends, and what it tells while it runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from qnewton.fitting.problem import Linearised, Problem
from qnewton.fitting.result import Status

# A sum of squares, and what it falls by, are known to a few roundings of the dtype.
_ROUNDINGS = 8.0

# Residuals are small differences: their rounding is that of data, and larger than their own.
_NOISE = 1e3


@dataclass(frozen=True)
class Progress:
    """What a callback gets after each accepted step; SciPy's names.

    Attributes:
        x: The parameters, shape [N].
        fun: The residuals, shape [M].
        cost: The cost there.
        nit: Steps accepted.
        nfev: Evaluations so far.
        njev: Jacobians so far.
        optimality: The largest entry of the gradient.
    """

    x: Tensor
    fun: Tensor
    cost: float
    nit: int
    nfev: int
    njev: int
    optimality: float


@dataclass(frozen=True)
class Limits:
    """Tolerances, each at least the rounding of the dtype, and the most evaluations.

    A tolerance that is no test is negative.

    Attributes:
        cost: Of the relative fall of the cost.
        step: Of a step, relative to the parameters.
        gradient: Of what can still be changed, relative to the residuals.
        evaluations: The most.
        rounding: Two costs that differ by no more may be equal.
    """

    cost: float
    step: float
    gradient: float
    evaluations: int
    rounding: float = 0.0

    def raised(self, rounding: float) -> "Limits":
        """Return them for numbers of this rounding: none asks for more than it gives."""
        least = _ROUNDINGS * rounding
        cost, step, gradient = (
            each if each < 0 else max(each, least) for each in (self.cost, self.step, self.gradient)
        )
        noise = max(least, min(cost, _NOISE * rounding))
        return replace(self, cost=cost, step=step, gradient=gradient, rounding=noise)

    def reached(self, cost: bool, step: bool) -> Status | None:
        """Return the status of two tests, None if neither holds."""
        if cost and step:
            return Status.COST_AND_STEP
        if cost:
            return Status.COST
        return Status.STEP if step else None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where a fit ended, why, after how many steps, and the first with second derivatives."""

    here: Linearised
    status: Status
    steps: int
    second_order_from: int | None


@dataclass(frozen=True)
class Settings:
    """What both algorithms are told: limits, the metric (None: the Jacobian's), and a listener."""

    limits: Limits
    scale: np.ndarray | None
    callback: Callable[[Progress], object] | None

    def stops(self, problem: Problem, here: Linearised, steps: int) -> bool:
        """Tell the callback; true where it raises StopIteration."""
        if self.callback is None:
            return False
        progress = Progress(
            x=problem.tensor(here.point.x),
            fun=here.point.residuals,
            cost=here.point.cost,
            nit=steps,
            nfev=problem.evaluations,
            njev=problem.jacobians,
            optimality=float(np.abs(here.reduced.gradient).max()),
        )
        try:
            self.callback(progress)
        except StopIteration:
            return True
        return False
