"""Queries of the discrete adiabatic walk of Costa et al., and how its work is shared out."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qnewton.queries.arrays import Array, Numbers, highest
from qnewton.queries.counted import counted
from qnewton.records import QueryCount
from qnewton.records.messages import check

PROVEN_CONSTANT = 2305.0
"""c of the adiabatic theorem, proven (perhaps for definite A only)."""

SEEN_CONSTANT = 1.84
"""c seen numerically for N ≤ 16 and κ ≤ 50: beyond that an extrapolation."""

_READINGS = {1: "q = 1: this project's reading, not the published cost", 2: "q = 2 as published"}


def costa_2022(
    *, kappa: float, epsilon: float, constant: float = PROVEN_CONSTANT, power: int = 2
) -> QueryCount:
    """Count walk steps of the discrete adiabatic solver, minimised over the adiabatic error Δ.

    With δ = Δ²-Δ⁴/4, ε_f = ε√((1-δ)(1-ε²/4))/((1-ε²/2)√δ) and S = 1-δ(1-ε_f²)::

        C = ½κ·ln(2/ε_f)·(1/S^q + 1) + c·κ/(Δ·S^q)

    Args:
        kappa: κ_be = α/σ_min(A), at least 1.
        epsilon: Error of the solution state, above 0 and at most 0.5.
        constant: c: :data:`PROVEN_CONSTANT`, or :data:`SEEN_CONSTANT`, an extrapolation.
        power: q: 2, the published cost, or 1, this project's own reading of what repeating an
            attempt until it succeeds takes (15 to 37% less); nobody published it.

    Returns:
        The expected count, retries included.

    Raises:
        ValueError: Outside these limits.
        OverflowError: If the count exceeds the largest float64.

    Cost:
        A dozen evaluations of the formula, and a table of its minima for each c and q.

    Reference:
        Costa et al., arXiv:2111.08152; Dalzell et al., arXiv:2312.07690, as transcribed.

    Example:
        >>> proven = costa_2022(kappa=1e3, epsilon=1e-2)
        >>> seen = costa_2022(kappa=1e3, epsilon=1e-2, constant=SEEN_CONSTANT)
        >>> proven.expected > 100 * seen.expected, seen.provenance
        (True, 'extrapolated')
    """
    check("kappa", kappa, "must be finite and at least 1", kappa >= 1)
    check("epsilon", epsilon, "must be above 0 and at most 0.5", 0 < epsilon <= 0.5)
    check("constant", constant, "must be finite and above 0", constant > 0)
    check("power", power, "must be 1 or 2", power in (1, 2))
    seen = constant < PROVEN_CONSTANT
    theorem = f"Costa et al., arXiv:2111.08152, c = {constant:g}, {_READINGS[power]}"
    known = "extrapolated" if seen or power == 1 else "transcribed"
    plan = walk_plan(kappa, epsilon, constant, power)
    return counted(float(plan.expected), theorem, provenance=known)


@dataclass(frozen=True)
class WalkPlan:
    """How a solve by the walk is shared out between its two stages.

    Attributes:
        delta: Δ, the error that the walk may leave.
        steps: c·κ/Δ, the walk's steps.
        filtering: κ·ln(2/ε_f), the steps of the filter that follows.
        log_filter: ln ε_f, what the filter leaves of the rest.
        success: S, the chance that the filter lets the state pass.
        expected: Steps until success, failures found half way through the filter on average.
    """

    delta: Array
    steps: Array
    filtering: Array
    log_filter: Array
    success: Array
    expected: Array


def walk_plan(kappa: Numbers, epsilon: Numbers, constant: Numbers, power: int) -> WalkPlan:
    """Return the cheapest plan of :func:`costa_2022`, for numbers or arrays that broadcast.

    Example:
        >>> plan = walk_plan(1e3, 1e-2, SEEN_CONSTANT, power=2)
        >>> [round(float(value)) for value in (plan.steps, plan.filtering, plan.expected)]
        [5064, 4337, 11671]
    """
    epsilon, constant = np.broadcast_arrays(np.asarray(epsilon, dtype=np.float64), constant)

    def cheapness(delta: Array) -> Array:
        return -_per_kappa(np.maximum(delta, epsilon), epsilon, constant, power)

    # Δ has no use below ε, where the filter has no work.
    start = np.empty(epsilon.shape)
    for value in np.unique(constant):
        chosen = constant == value
        start[chosen] = np.interp(np.log(epsilon[chosen]), *_best_deltas(float(value), power))
    best, delta = highest(cheapness, start, 0.005)
    better = cheapness(epsilon) >= best
    delta = np.where(better, epsilon, np.maximum(delta, epsilon))
    log_filter, overlap = _filter(delta, epsilon)
    kappa = np.asarray(kappa, dtype=np.float64)
    return WalkPlan(
        delta=delta,
        steps=kappa * (constant / delta),
        filtering=kappa * (math.log(2) - log_filter),
        log_filter=log_filter,
        success=1 - overlap * -np.expm1(2 * log_filter),
        expected=kappa * -np.where(better, cheapness(epsilon), best),
    )


def _filter(delta: Array, epsilon: Array) -> tuple[Array, Array]:
    """Return ln ε_f, at most 0, and δ of an error Δ in (0, √2)."""
    overlap = np.maximum(delta**2 - delta**4 / 4, 1e-300)  # the square of a tiny ε underflows
    log_filter = (
        np.log(epsilon)
        + 0.5 * (np.log1p(-overlap) + np.log1p(-(epsilon**2) / 4))
        - np.log1p(-(epsilon**2) / 2)
        - 0.5 * np.log(overlap)
    )
    return np.minimum(log_filter, 0.0), overlap


def _per_kappa(delta: Array, epsilon: Array, constant: Array, power: int) -> Array:
    """Return C/κ at an error Δ in [ε, √2)."""
    log_filter, overlap = _filter(np.minimum(delta, 1.4142), epsilon)
    success = (1 - overlap * -np.expm1(2 * log_filter)) ** power
    filtering = 0.5 * (math.log(2) - log_filter) * (1 / success + 1)
    return filtering + constant / (delta * success)


@lru_cache(maxsize=64)
def _best_deltas(constant: float, power: int) -> tuple[Array, Array]:
    """Return ln ε, ascending, and the best Δ of a grid for each."""
    # Dense where the best Δ may be ε itself, beside which costs rise steeply.
    large = np.linspace(math.log(1e-3), math.log(0.5), 600)
    log_epsilon = np.append(np.linspace(math.log(5e-324) + 1, math.log(1e-3), 200)[:-1], large)
    delta = np.linspace(0.0, 1.4, 1401)[1:]
    epsilon = np.exp(log_epsilon)[:, None]
    costs = _per_kappa(np.maximum(delta, epsilon), epsilon, np.full(1, constant), power)
    best = np.argmin(costs, axis=1)
    return log_epsilon, np.maximum(delta[best], epsilon[:, 0])
