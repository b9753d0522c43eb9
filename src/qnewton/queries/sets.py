"""The four sets of a count that a price is made with, from the paper's to the most hopeful."""

import math
from collections.abc import Mapping
from typing import Literal, get_args

from qnewton.queries.costa import SEEN_CONSTANT, costa_2022
from qnewton.queries.dalzell import cheapest_epsilon, dalzell_2024, dalzell_2024_norm_known
from qnewton.queries.jennings import JENNINGS_MIN_KAPPA, jennings_2023
from qnewton.records import QueryCount
from qnewton.records.messages import check

QuerySet = Literal["paper", "rigorous", "warm-start", "optimistic"]

QUERY_SETS: Mapping[str, str] = {
    "paper": "Jennings et al. 2023 v1, Theorem 1",
    "rigorous": "Dalzell 2024, Eq. 118: nothing about the solution is known",
    "warm-start": "Dalzell 2024, the norm known from the last step",
    "optimistic": "Costa et al. as published, the constant seen at N ≤ 16: an extrapolation",
}
"""Every set with a line for people."""


def knows_norm(query_set: str) -> bool:
    """Return whether a set counts on the norm of the last step's solution.

    Example:
        >>> [name for name in QUERY_SETS if knows_norm(name)]
        ['warm-start', 'optimistic']
    """
    return query_set in ("warm-start", "optimistic")


def query_count(
    query_set: str, *, alpha: float, kappa: float, epsilon: float, guess_factor: float = 1.0
) -> QueryCount:
    """Count the queries of one set; the numbers are those of the set's theorem.

    Args:
        query_set: A key of :data:`QUERY_SETS`.
        alpha: α/‖A‖₂ of the block-encoding, at least 1; κ_be = α·κ.
        kappa: Condition number of A. ``paper`` counts one below √12 as √12.
        epsilon: Error of the solution state. ``warm-start`` runs at a smaller one where that is
            cheaper.
        guess_factor: For ``warm-start``: how far off the guessed norm may be.

    Raises:
        ValueError: If the set is unknown or an argument outside its theorem.
        OverflowError: If the count exceeds the largest float64.

    Example:
        >>> for name in QUERY_SETS:
        ...     count = query_count(name, alpha=1, kappa=1e3, epsilon=1e-2)
        ...     print(f"{name:10s} {count.expected:.0f}")
        paper      691001
        rigorous   40204
        warm-start 5807
        optimistic 11671
    """
    if query_set not in get_args(QuerySet):
        known = ", ".join(QUERY_SETS)
        raise ValueError(f"no set of counts is called {query_set!r}; choose {known}")
    check("alpha", alpha, "must be finite and at least 1, since α ≥ ‖A‖₂", alpha >= 1)
    check("kappa", kappa, "must be finite and at least 1", kappa >= 1)
    if query_set == "paper":
        kappa = max(kappa, JENNINGS_MIN_KAPPA)
        return jennings_2023(alpha=alpha, kappa=kappa, epsilon=epsilon)
    encoded = alpha * kappa
    if not math.isfinite(encoded):
        raise OverflowError("alpha·kappa exceeds the largest float64; lower one of them")
    if query_set == "rigorous":
        return dalzell_2024(kappa=encoded, epsilon=epsilon)
    if query_set == "optimistic":
        return costa_2022(kappa=encoded, epsilon=epsilon, constant=SEEN_CONSTANT)
    # Checks the ε that was asked for before it is replaced.
    dalzell_2024_norm_known(kappa=encoded, epsilon=epsilon, guess_factor=guess_factor)
    cheapest = float(cheapest_epsilon(epsilon, guess_factor))
    return dalzell_2024_norm_known(kappa=encoded, epsilon=cheapest, guess_factor=guess_factor)
