"""Costa et al.'s discrete adiabatic solver with filtering, its constant proven or seen."""

import math
from functools import lru_cache

from qnewton.cost.queries.domain import check, counted
from qnewton.records import QueryCount

PROVEN_CONSTANT = 2305.0
"""c of the adiabatic theorem, proven (perhaps for definite A only)."""

SEEN_CONSTANT = 1.84
"""c seen numerically for N ≤ 16 and κ ≤ 50: beyond that an extrapolation."""

_READINGS = {1: "q = 1: this project's reading, not the published cost", 2: "q = 2 as published"}

_GOLDEN = (math.sqrt(5) - 1) / 2


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
        About a hundred evaluations of the formula.

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
    return counted(
        kappa * _least(epsilon, constant, power),
        1.0,
        theorem=f"Costa et al., arXiv:2111.08152, c = {constant:g}, {_READINGS[power]}",
        provenance="extrapolated" if seen or power == 1 else "transcribed",
        preparations_a_query=2.0,
    )


def per_kappa(delta: float, epsilon: float, constant: float, power: int) -> float:
    """Return C/κ at an adiabatic error Δ in (0, √2); infinite where the filter has no work.

    Example:
        >>> round(per_kappa(0.5, 1e-2, 1.84, 1), 3)
        10.233
    """
    overlap = delta**2 - delta**4 / 4
    log_filter = (
        math.log(epsilon)
        + 0.5 * (math.log1p(-overlap) + math.log1p(-(epsilon**2) / 4))
        - math.log1p(-(epsilon**2) / 2)
        - 0.5 * math.log(overlap)
    )
    if log_filter >= 0:
        return math.inf
    success = (1 - overlap * (1 - math.exp(2 * log_filter))) ** power
    return 0.5 * (math.log(2) - log_filter) * (1 / success + 1) + constant / (delta * success)


@lru_cache(maxsize=1024)
def _least(epsilon: float, constant: float, power: int) -> float:
    """Minimise over Δ by golden section between the neighbours of the best of a grid."""
    grid = [math.sqrt(2) * k / 40 for k in range(1, 40)]
    best = min(grid, key=lambda delta: per_kappa(delta, epsilon, constant, power))
    low, high = best - math.sqrt(2) / 40 + 1e-12, min(best + math.sqrt(2) / 40, 1.414)
    for _ in range(45):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at_left = per_kappa(left, epsilon, constant, power)
        at_right = per_kappa(right, epsilon, constant, power)
        if at_left < at_right:
            high = right
        else:
            low = left
    return per_kappa((low + high) / 2, epsilon, constant, power)
