"""What the emulated quantum solver reported of every step: chance of success, queries, angle."""

import math
from collections.abc import Iterator
from typing import Any

import altair as alt

from qnewton.records import BlockRecord, QuantumStats, StepRecord
from qnewton.report.page_tables import PageTable
from qnewton.report.quantities import UNKNOWN, number_text
from qnewton.report.save import Picture, inline_data
from qnewton.report.style import PLOT_WIDTH, VERMILLION, themed
from qnewton.runs import Run

_DRAWN = {
    "success_probability": "success probability",
    "expected_queries": "queries until success",
    "angle": "angle to the exact step (rad)",
}


def quantum_solves(run: Run) -> Picture | None:
    """Draw success probability, expected queries and angle by step; ``None`` if no solve has any.

    Of several systems a step, the smallest probability, the sum of the queries and the largest
    angle count.
    """
    rows: list[dict[str, Any]] = []
    for step in run.steps:
        found = [stats for _, stats in quantum_attempts(step)]
        if not found:
            continue
        angles = [stats.angle for stats in found if stats.angle is not None]
        values = {
            "success_probability": min(stats.success_probability for stats in found),
            "expected_queries": math.fsum(stats.expected_queries for stats in found),
            "angle": max(angles) if angles else None,
        }
        rows += [
            {"step": step.step, "quantity": title, "value": values[name]}
            for name, title in _DRAWN.items()
            if values[name] is not None and values[name] > 0
        ]
    if not rows:
        return None
    titles = [title for title in _DRAWN.values() if any(row["quantity"] == title for row in rows)]
    chart = (
        alt.Chart(inline_data(rows))
        .mark_line(point=alt.OverlayMarkDef(color=VERMILLION), color=VERMILLION)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(format="d", tickMinStep=1)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(type="log"), axis=_EXPONENTS),
            tooltip=["step:Q", "quantity:N", alt.Tooltip("value:Q", format=".3g")],
        )
        .properties(width=PLOT_WIDTH, height=90)
        .facet(row=alt.Row("quantity:N", title=None, sort=titles, header=_HEADER))
        .resolve_scale(y="independent")
    )
    return Picture(
        themed(chart),
        rows,
        "The emulated quantum solver, step by step, by its own mathematics: the probability that "
        "one attempt is post-selected, the calls to the block-encoding until one is (attempts "
        "repeated, shots not counted), and the angle between the step taken, as read, and the "
        "exact solution of the same system.",
    )


def quantum_table(run: Run) -> PageTable:
    """Return every solve of the quantum solver with what it would have taken."""
    rows = [
        (
            str(step.step),
            f"{block.name} ({block.n:,})",
            stats.algorithm,
            number_text(stats.kappa),
            number_text(float(stats.degree)),
            number_text(stats.success_probability),
            number_text(stats.expected_queries),
            "ideal" if stats.readout is None else stats.readout,
            UNKNOWN if stats.shots is None else f"{stats.shots:,}",
            number_text(stats.angle),
            {True: "held", False: "broken", None: "not known"}[stats.promise_held],
            "output state" if stats.resolved else "a solution within the promise",
        )
        for step in run.steps
        for block, stats in quantum_attempts(step)
    ]
    headers = (
        "step",
        "block (unknowns)",
        "algorithm",
        "κ_be",
        "degree",
        "success probability",
        "queries until success",
        "read-out",
        "shots",
        "angle to the exact step (rad)",
        "promise σ_min ≥ α/κ_be",
        "emulated",
    )
    note = "Queries are those of one state; a read-out with shots takes as many states."
    return PageTable("Quantum solves", headers, rows, note, frozenset({1, 2, 7, 10, 11}))


def quantum_attempts(step: StepRecord) -> Iterator[tuple[BlockRecord, QuantumStats]]:
    """Yield what the quantum solver reported of each system of a step that it tried."""
    for block in step.blocks:
        for attempt in block.attempts:
            if attempt.quantum is not None:
                yield block, attempt.quantum


_EXPONENTS = alt.Axis(format="~g", labelOverlap=True, tickCount=4)
_HEADER = alt.Header(labelAngle=0, labelAlign="left", labelAnchor="start", labelOrient="top")
