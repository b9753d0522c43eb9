"""What a count of queries takes to be known, from the paper's to the most hopeful."""

from collections.abc import Mapping
from typing import Literal

QuerySet = Literal["paper", "rigorous", "warm-start", "optimistic"]
"""Which counts of queries a price uses; :data:`QUERY_SETS` says what each is."""

QUERY_SETS: Mapping[str, str] = {
    "paper": "the count of Jennings et al. 2023 v1, Theorem 1, alone",
    "rigorous": "nothing is known of the solution, and every constant of the count is a theorem's",
    "warm-start": "the solution's norm is known from the last step",
    "optimistic": "as warm-start, and Costa's constant as seen at N ≤ 16: an extrapolation",
}
"""Every set with a line for people."""


def knows_norm(query_set: str) -> bool:
    """Return whether a set counts on the norm of the last step's solution.

    Example:
        >>> [name for name in QUERY_SETS if knows_norm(name)]
        ['warm-start', 'optimistic']
    """
    return query_set in ("warm-start", "optimistic")
