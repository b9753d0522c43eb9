"""The count of an attempt that is repeated until it succeeds."""

import math

from qnewton.records import QueryCount


def counted(
    queries: float,
    theorem: str,
    success: float = 1.0,
    *,
    provenance: str = "transcribed",
    preparations_a_query: float = 2.0,
) -> QueryCount:
    """Return the count of an attempt that is repeated until it succeeds.

    Raises:
        OverflowError: If the expected count exceeds the largest float64.
    """
    expected = queries / success if success > 0 else math.inf
    if not math.isfinite(preparations_a_query * expected):
        raise OverflowError("the query count exceeds the largest float64; lower kappa or 1/epsilon")
    return QueryCount(
        queries=queries,
        success_probability=success,
        expected=expected,
        theorem=theorem,
        provenance=provenance,
        state_preparations=preparations_a_query * expected,
    )
