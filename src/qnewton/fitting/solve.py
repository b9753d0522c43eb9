"""One fit from its request: the route to Jacobians, the algorithm, and the result."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from qnewton.fitting.bounds import Bounds, start_within
from qnewton.fitting.choices import Method
from qnewton.fitting.covariance import inverse_gram
from qnewton.fitting.expanded import Expanded, agrees
from qnewton.fitting.jacobian import graphed
from qnewton.fitting.levenberg_marquardt import LevenbergMarquardt
from qnewton.fitting.losses import Loss
from qnewton.fitting.problem import Linearised, Point, Problem
from qnewton.fitting.reduced import Reducer
from qnewton.fitting.reflective import Reflective
from qnewton.fitting.residuals import Residuals
from qnewton.fitting.result import FitResult, Status
from qnewton.fitting.routes import First, fallback, first_route
from qnewton.fitting.stopping import Outcome, Settings
from qnewton.fitting.trust_region import TrustRegion

# A share of the cost that a free step would remove, and a share of the first cost that is nothing.
_PROMISED = 1e-4
_NOTHING = 1e-16


@dataclass(frozen=True)
class Request:
    """What a fit is asked for; the start is the tensor that the residuals are like."""

    residuals: Residuals
    jacobian: Callable[..., Any] | str | None
    bounds: Bounds
    loss: Loss
    method: Method
    settings: Settings


def solve(request: Request) -> FitResult:
    """Return the fit.

    Raises:
        ValueError: If residuals or their Jacobian are not finite at the start.
    """
    like = request.residuals.like
    x = start_within(request.bounds, like.double().cpu().numpy())
    first = first_route(request.residuals, request.jacobian, request.bounds, like.new_tensor(x))
    # Residuals may be coarser than the parameters, as those of a float32 formula are.
    limits = request.settings.limits.raised(first.trace.rounding)
    request = replace(request, settings=replace(request.settings, limits=limits))
    problem = Problem(like, first.route, request.loss, Reducer(len(first.trace.residuals), len(x)))
    start = _begun(problem, x, first)
    outcome = _better(request, problem, start, _algorithm(request, problem, start).run(start))
    if isinstance(problem.route, Expanded):
        here = outcome.here
        plain = graphed(request.residuals, like.new_tensor(here.point.x))
        if not agrees(plain, here.point.trace, here.jacobian):
            # Its columns were apart at the start and are not here: the fit goes on without it.
            problem.route = fallback(request.residuals, plain)
            again = problem.linearise(problem.at(here.point.x))
            if outcome.status > 0:
                outcome = _algorithm(request, problem, again).run(again)
            else:
                # Stopped from outside: only the Jacobian is made anew.
                outcome = replace(outcome, here=again)
    return _result(request, problem, outcome)


def _better(request: Request, problem: Problem, start: Linearised, first: Outcome) -> Outcome:
    """Return a fit or, where it stuck, the better of it and one in a metric of fixed sizes.

    The metric follows the Jacobian, which may lead into a flat valley that another passes by.
    """
    if request.settings.scale is not None or not _stuck(start, first):
        return first
    fixed = replace(request.settings, scale=1 / np.maximum(1, np.abs(start.point.x)))
    second = _algorithm(replace(request, settings=fixed), problem, start).run(start)
    return second if second.here.point.cost < first.here.point.cost else first


def _stuck(start: Linearised, outcome: Outcome) -> bool:
    """Return whether steps became small where the model still promised much."""
    here, cost = outcome.here, outcome.here.point.cost
    return (
        outcome.status is Status.STEP
        and here.reduced.projected**2 > _PROMISED * 2 * cost
        and cost > _NOTHING * start.point.cost
    )


def _begun(problem: Problem, x: np.ndarray, first: First) -> Linearised:
    """Return the start with its Jacobian."""
    found = first.trace.residuals
    for i in torch.nonzero(~found.isfinite()).flatten().tolist():
        raise ValueError(f"residual {i} is {float(found[i])} at x0; start where all are finite")
    point = Point(x, first.trace, problem.loss.cost(found))
    if not math.isfinite(point.cost):
        raise ValueError(
            f"residuals of up to {float(found.abs().max()):.3g} at x0 have no finite sum of "
            "squares; start nearer, or scale them"
        )
    problem.evaluations += 1
    if first.transposed is None:
        start = problem.linearise(point)
    else:
        start = problem.reduced(point, first.transposed)
    if not start.reduced.finite:
        raise ValueError(
            f"the Jacobian at x0 = {x.tolist()} is not finite; start elsewhere, or pass "
            "jac='2-point'"
        )
    return start


def _algorithm(request: Request, problem: Problem, start: Linearised) -> TrustRegion:
    if request.method is Method.LEVENBERG_MARQUARDT:
        return LevenbergMarquardt.begin(problem, start, request.settings)
    return Reflective.begin(problem, start, request.settings, request.bounds)


def _result(request: Request, problem: Problem, outcome: Outcome) -> FitResult:
    here, like = outcome.here, request.residuals.like
    x, reduced = here.point.x, here.reduced
    m, n = problem.reducer.residuals, len(x)
    jacobian = request.loss.curved(here.point.residuals, here.jacobian).T
    spread = inverse_gram(jacobian) if m > n else None
    v, _ = request.bounds.distances(x, reduced.gradient)
    active = request.bounds.active(x, max(request.settings.limits.step, 0.0))
    return FitResult(
        x=like.new_tensor(x),
        cost=here.point.cost,
        fun=here.point.residuals,
        jac=jacobian,
        grad=like.new_tensor(reduced.gradient),
        optimality=float(np.abs(v * reduced.gradient).max()),
        active_mask=torch.from_numpy(active).to(like.device),
        nfev=problem.evaluations,
        njev=problem.jacobians,
        status=outcome.status,
        covariance=None if spread is None else spread * (2 * here.point.cost / (m - n)),
        iterations=outcome.steps,
        jacobian=problem.route.kind,
        second_order_from=outcome.second_order_from,
    )
