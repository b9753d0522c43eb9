"""What amplification makes of the queries of one attempt, its success probability known or not."""

import math

from qnewton.records.messages import check


def amplified_queries(queries: float, success_probability: float) -> float:
    """Return the expected queries until success with the best fixed number of rounds.

    r rounds turn the success amplitude sin θ = √p into sin((2r+1)θ), for 2r+1 times the
    queries; the r ≥ 0 that minimises (2r+1)/sin²((2r+1)θ) is taken.

    Args:
        queries: Queries of one attempt without amplification.
        success_probability: p in (0, 1], known beforehand; an unknown p costs more
            (:func:`searched_queries`).

    Returns:
        Expected queries, never above ``queries / p``.

    Raises:
        ValueError: If p is outside (0, 1].

    Reference: Brassard et al., quant-ph/0005055, with the number of rounds optimised for the
    expectation (the usual ⌊π/4θ⌋ is worse than none for 0.317 < p < 0.5).

    Example:
        >>> amplified_queries(100, 0.4), round(amplified_queries(100, 1e-4))
        (250.0, 13800)
    """
    _check(success_probability)
    angle = math.asin(math.sqrt(success_probability))
    # u/sin²(uθ) falls, then rises on (0, π/θ), with its minimum where tan(uθ) = 2uθ; later
    # lobes start above it. So the best odd u = 2r+1 is next to that minimum, or r = 0.
    best = (_TAN_ROOT / angle - 1.0) / 2.0
    rounds = {0, max(0, math.floor(best)), max(0, math.ceil(best))}
    return queries * min((2 * r + 1) / math.sin((2 * r + 1) * angle) ** 2 for r in rounds)


def searched_queries(queries: float, success_probability: float) -> float:
    """Return the expected queries until success when nobody knows the success probability.

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
    _check(success_probability)
    angle = math.asin(math.sqrt(success_probability))
    slope = math.sin(2 * angle)
    expected, reached, bound = 0.0, 1.0, 1.0
    while True:
        rounds = math.ceil(bound)
        # Σ_{r<R} (2r+1)/R = R, and Σ_{r<R} sin²((2r+1)θ)/R = 1/2 - sin(4Rθ)/(4R sin 2θ).
        expected += reached * rounds
        chance = success_probability
        if rounds > 1:
            chance = max(0.0, 0.5 - math.sin(4 * rounds * angle) / (4 * rounds * slope))
        reached *= 1.0 - chance
        if reached * rounds <= _NEGLIGIBLE * expected:
            break
        bound *= _STAGE_GROWTH
    return queries * expected


def _check(success_probability: float) -> None:
    holds = 0.0 < success_probability <= 1.0
    check("the success probability", success_probability, "must lie in (0, 1]", holds)


# Boyer et al. take 6/5; any growth below 4/3 does.
_STAGE_GROWTH = 6 / 5
_NEGLIGIBLE = 1e-15
_TAN_ROOT = 1.1655611852072114  # the root of tan x = 2x in (0, π/2)
