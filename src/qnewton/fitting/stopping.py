"""When a fit ends, and what it tells while it runs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qnewton.fitting.problem import Linearised, Problem
from qnewton.fitting.result import Status


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
    rounding: float

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
