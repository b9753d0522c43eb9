"""The problem of one fit: points, their linear models, and the count of what they took."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qnewton.fitting.jacobian import Route, Trace
from qnewton.fitting.losses import Loss
from qnewton.fitting.reduced import Reduced, Reducer


@dataclass(frozen=True, eq=False)
class Point:
    """Parameters in float64, shape [N], and what an evaluation there left."""

    x: np.ndarray
    trace: Trace
    cost: float

    @property
    def residuals(self) -> Tensor:
        """f, shape [M]."""
        return self.trace.residuals


@dataclass(frozen=True, eq=False)
class Linearised:
    """A point with its Jacobian and their reduction.

    Attributes:
        point: The point.
        jacobian: Jᵀ of the residuals, shape [N, M].
        transposed: The same scaled by the loss, shape [N, M].
        reduced: From the scaled residuals and Jacobian.
    """

    point: Point
    jacobian: Tensor
    transposed: Tensor
    reduced: Reduced


@dataclass
class Problem:
    """A function with a route to its Jacobian, a loss, and two counters."""

    like: Tensor
    route: Route
    loss: Loss
    reducer: Reducer
    evaluations: int = 0
    jacobians: int = 0

    def at(self, x: np.ndarray) -> Point:
        """Evaluate the residuals; the point has the parameters as rounded to their dtype.

        Raises:
            ValueError: If their number has changed.
        """
        tensor = self.tensor(x)
        self.evaluations += 1
        trace = self.route.evaluate(tensor)
        if len(trace.residuals) != self.reducer.residuals:
            raise ValueError(
                f"fun returned {len(trace.residuals)} residuals after "
                f"{self.reducer.residuals} before; their number must not change during a fit"
            )
        return Point(_array(tensor), trace, self.loss.cost(trace.residuals))

    def linearise(self, point: Point) -> Linearised:
        """Make the Jacobian of a point and reduce it."""
        return self.reduced(point, self.route.transposed(point.trace))

    def reduced(self, point: Point, jacobian: Tensor) -> Linearised:
        """Reduce a point with a Jacobian that was made for it."""
        self.jacobians += 1
        weighed, scaled = self.loss.weigh(point.residuals, jacobian)
        return Linearised(point, jacobian, scaled, self.reducer(scaled, weighed))

    def second_derivative(
        self, here: Linearised, step: np.ndarray, share: float
    ) -> np.ndarray | None:
        """Return Jᵀ times the second derivative of the residuals along a step, shape [N].

        From one evaluation at a share of the step; ``None`` where that is not finite or the loss is
        robust, whose own curvature it would miss.
        """
        if self.loss.robust:
            return None
        probe = self.at(here.point.x + share * step)
        if not math.isfinite(probe.cost):
            return None
        slope = self.tensor(step) @ here.transposed
        second = ((probe.residuals - here.point.residuals) / share - slope) * (2 / share)
        return _array(here.transposed @ second)

    def tensor(self, x: np.ndarray) -> Tensor:
        """Return parameters as the function gets them."""
        return self.like.new_tensor(x)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.double().cpu().numpy()
