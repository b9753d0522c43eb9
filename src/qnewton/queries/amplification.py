"""What amplification makes of the queries of one attempt, its success probability known or not."""

import math
from functools import lru_cache

import numpy as np

from qnewton.queries.arrays import Array, Numbers, check_all

_TAN_ROOT = 1.1655611852072114  # the root of tan x = 2x in (0, π/2)


def amplified_queries(queries: float, success_probability: float) -> float:
    """Return the expected queries until success with the best fixed number of rounds.

    r rounds turn the success amplitude sin θ = √p into sin((2r+1)θ), for 2r+1 times the
    queries; the r ≥ 0 that minimises (2r+1)/sin²((2r+1)θ) is taken. Where (2r+1)θ passes π/2, θ is
    made smaller first, so that r rounds succeed for certain.

    Args:
        queries: Queries of one attempt without amplification.
        success_probability: p in (0, 1], known beforehand; an unknown p costs more
            (:func:`searched_queries`).

    Returns:
        Expected queries, never above ``queries / p``; they do not fall as p falls.

    Raises:
        ValueError: If p is outside (0, 1].

    Reference: Brassard et al., quant-ph/0005055, Theorem 4 for the certain success, with the number
    of rounds optimised for the expectation (the usual ⌊π/4θ⌋ is worse than none for
    0.317 < p < 0.5).

    Example:
        >>> amplified_queries(100, 0.4), round(amplified_queries(100, 1e-4))
        (250.0, 13800)
    """
    return queries * float(amplified_times(success_probability))


def amplified_times(success_probability: Numbers) -> Array:
    """Return ``amplified_queries(1, p)`` of every p.

    Example:
        >>> amplified_times(np.array([1.0, 1e-4])).round()
        array([  1., 138.])
    """
    p = _checked(success_probability)
    angle = np.arcsin(np.sqrt(p))
    # u/sin²(uθ) falls, then rises on (0, π/θ), with its minimum where tan(uθ) = 2uθ; later
    # lobes start above it. So the best odd u = 2r+1 is next to that minimum, or r = 0.
    best = np.floor((_TAN_ROOT / angle - 1.0) / 2.0)
    times = 1.0 / p
    for rounds in (best, best + 1.0):
        u = 2.0 * np.maximum(rounds, 0.0) + 1.0
        times = np.minimum(times, u / np.sin(np.minimum(u * angle, np.pi / 2.0)) ** 2)
    return times


def searched_queries(queries: float, success_probability: float) -> float:
    """Return the expected queries until success if the success probability is unknown.

    Stage s draws a number of rounds evenly from 0 to ⌈m_s⌉ - 1, amplifies, and measures;
    m_s = (6/5)^s grows until an attempt succeeds; once it is above 1/sin 2θ a stage does with
    probability 1/4 at least. The expectation is exact for the p that is given, which the algorithm
    itself does not use.

    Args:
        queries: Queries of one attempt without amplification.
        success_probability: p in (0, 1].

    Returns:
        Expected queries, a small constant times ``queries / √p``.

    Raises:
        ValueError: If p is outside (0, 1].

    Cost: a few scalar operations per stage, of which there are about log(1/p).

    Reference: Boyer, Brassard, Høyer and Tapp, quant-ph/9605034, Section 4 (Lemma 2 and
    Theorem 3); Brassard et al., quant-ph/0005055, Theorem 3.

    Example:
        >>> round(searched_queries(100, 1e-4)), round(amplified_queries(100, 1e-4))
        (28839, 13800)
    """
    _checked(success_probability)
    angle = math.asin(math.sqrt(success_probability))
    return queries * float(_searched(np.array([angle]))[0])


def searched_times(success_probability: Numbers) -> Array:
    """Return the least function above ``searched_queries(1, p)`` that does not fall as p falls.

    Args:
        success_probability: p in (0, 1], a number or an array.

    Cost: a look into a table, made once in some milliseconds; 1% too high at most.

    Example:
        >>> searched_times(np.array([1.0, 1e-4])).round()
        array([  1., 288.])
    """
    p = _checked(success_probability)
    angles, times = _searched_table()
    angle = np.arcsin(np.sqrt(p))
    found = times[np.maximum(np.searchsorted(angles, angle, side="right") - 1, 0)]
    # Below the table the search is self-similar, and θ times it stays below its largest there.
    return np.where(angle < angles[0], times[0] * angles[0] / angle, found)


@lru_cache(maxsize=1)
def _searched_table() -> tuple[Array, Array]:
    """Return angles, ascending, and the most that a search takes at or above each."""
    angles = np.append(np.geomspace(1e-4, math.pi / 2.0, 4000)[:-1], math.pi / 2.0)
    times = _searched(angles)
    most = np.maximum.accumulate(times[::-1])[::-1]
    most[0] = max(most[0], float(np.max(times * angles)) / angles[0])
    return angles, most


def _searched(angles: Array) -> Array:
    """Return expected queries at angles θ, shape [angles], at one query a round."""
    slope, chance = np.sin(2 * angles), np.sin(angles) ** 2
    expected, reached, bound = np.zeros_like(angles), np.ones_like(angles), 1.0
    while np.any(reached):
        rounds = math.ceil(bound)
        # Σ_{r<R} (2r+1)/R = R, and Σ_{r<R} sin²((2r+1)θ)/R = 1/2 - sin(4Rθ)/(4R sin 2θ).
        expected += reached * rounds
        if rounds > 1:
            turned = np.sin(4 * rounds * angles) / (4 * rounds * slope)
            chance = np.maximum(0.0, 0.5 - turned)
        reached = reached * (1.0 - chance)
        reached[reached * rounds <= _NEGLIGIBLE * expected] = 0.0
        bound *= _STAGE_GROWTH
    return expected


# Boyer et al. take 6/5; any growth below 4/3 does.
_STAGE_GROWTH = 6 / 5
_NEGLIGIBLE = 1e-15


def _checked(success_probability: Numbers) -> Array:
    limits = "must lie in (0, 1]"
    return check_all("the success probability", success_probability, limits, 5e-324, 1.0)
