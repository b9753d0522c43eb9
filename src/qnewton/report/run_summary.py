"""What a training run came to, in lines: Newton's share, its layers, the quantum solver."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from qnewton.records import StepRecord
from qnewton.report.quantities import number_text, share_text
from qnewton.report.quantum_solves import quantum_attempts

_MOST_NAMES = 4


@dataclass(frozen=True, kw_only=True)
class QuantumSummary:
    """The quantum solver's own figures over a run; each is of one solve.

    Attributes:
        solves: How many systems it solved.
        lowest_success: The smallest success probability of an attempt.
        median_queries: Median of the queries until success.
        largest_angle: Largest angle in radians between the step taken and the exact solution;
            ``None`` when nobody solved any system exactly.
        broken_promises: Solves whose σ_min was below α/κ_be.
        unresolved: Solves that are a solution within the promise, not the output state.
    """

    solves: int
    lowest_success: float
    median_queries: float
    largest_angle: float | None
    broken_promises: int
    unresolved: int


def quantum_summary(steps: Sequence[StepRecord]) -> QuantumSummary | None:
    """Return what the quantum solver reported over ``steps``; ``None`` if it never ran."""
    found = [stats for step in steps for _, stats in quantum_attempts(step)]
    if not found:
        return None
    return QuantumSummary(
        solves=len(found),
        lowest_success=min(stats.success_probability for stats in found),
        median_queries=statistics.median(stats.expected_queries for stats in found),
        largest_angle=max(
            (stats.angle for stats in found if stats.angle is not None), default=None
        ),
        broken_promises=sum(stats.promise_held is False for stats in found),
        unresolved=sum(not stats.resolved for stats in found),
    )


def quantum_text(steps: Sequence[StepRecord]) -> str | None:
    """Return the quantum solver's figures as a line; ``None`` if it never ran.

    Example:
        >>> quantum_text([]) is None
        True
    """
    summary = quantum_summary(steps)
    if summary is None:
        return None
    many = "s" if summary.solves > 1 else ""
    text = (
        f"{summary.solves} quantum solve{many}, emulated: success probability at least "
        f"{number_text(summary.lowest_success)}, {number_text(summary.median_queries)} queries "
        "until success (median)"
    )
    if summary.largest_angle is not None:
        text += f", at most {number_text(summary.largest_angle)} rad from the exact step"
    if summary.broken_promises:
        text += f"; the promise on κ was broken in {summary.broken_promises}"
    if summary.unresolved:
        text += f"; {summary.unresolved} not resolved, solutions within the promise"
    return text


def coverage_text(steps: Sequence[StepRecord]) -> str | None:
    """Return which share of the parameters had a Newton system, and which blocks had none.

    ``None`` where every parameter had one, or no step was Newton's.

    Example:
        >>> coverage_text([]) is None
        True
    """
    last = next((step for step in reversed(steps) if step.newton_share is not None), None)
    if last is None or not last.first_order_blocks:
        return None
    names = last.first_order_blocks
    listed = ", ".join(names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (
        f"Newton covers {share_text(last.newton_share)} of the parameters; above max_newton, on "
        f"first-order steps: {listed}{more}"
    )


def rescaling_text(steps: Sequence[StepRecord]) -> str | None:
    """Return how the last step's layers were put together; ``None`` where they were not.

    Example:
        >>> rescaling_text([]) is None
        True
    """
    for step in reversed(steps):
        found = {b.name: b.rescaled_by for b in step.blocks if b.rescaled_by is not None}
        if found:
            largest = max(found, key=lambda name: abs(found[name]))
            return (
                f"layers put together by the Fisher matrix between them: in the last step their "
                f"factors were {min(found.values()):.2f} to {max(found.values()):.2f}, sum "
                f"{sum(found.values()):.2f}, largest {largest}"
            )
    return None
