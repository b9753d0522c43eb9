"""What every count is checked with: a theorem's limits, and the largest float."""

import math

from qnewton.records import QueryCount


def check(field: str, value: float, limits: str, holds: bool) -> None:
    """Raise ``ValueError`` naming the field and its limits unless ``holds`` and it is finite."""
    if not (holds and math.isfinite(value)):
        raise ValueError(f"{field} is {value!r}; it {limits}")


def counted(
    queries: float,
    success_probability: float,
    *,
    theorem: str,
    provenance: str,
    preparations_a_query: float,
) -> QueryCount:
    """Return the count of an attempt that is repeated until it succeeds.

    Raises:
        OverflowError: If the expected count exceeds the largest float64.
    """
    expected = queries / success_probability if success_probability > 0 else math.inf
    if not math.isfinite(preparations_a_query * expected):
        raise OverflowError("the query count exceeds the largest float64; lower kappa or 1/epsilon")
    return QueryCount(
        queries=queries,
        success_probability=success_probability,
        expected=expected,
        theorem=theorem,
        provenance=provenance,
        state_preparations=preparations_a_query * expected,
    )
