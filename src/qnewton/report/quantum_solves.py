"""What the emulated quantum solver reported of every step: chance of success, queries, angle."""

import math
from collections.abc import Iterator
from typing import Any

import altair as alt

from qnewton.records import BlockRecord, QuantumStats, StepRecord
from qnewton.report.panels import chart
from qnewton.report.quantities import UNKNOWN, number_text
from qnewton.report.save import Picture
from qnewton.report.style import PLOT_WIDTH, VERMILLION, themed
from qnewton.report.table import Column, Table, table_of
from qnewton.report.words import words
from qnewton.runs import Run

_QUANTITIES = ["success probability", "queries until success", "angle to the exact step (rad)"]


def quantum_solves(run: Run) -> Picture | None:
    """Draw success probability, expected queries and angle by step; ``None`` if no solve has any.

    Of the systems of a step, the smallest probability, the sum of the queries and the largest
    angle count.
    """
    rows: list[dict[str, Any]] = []
    for step in run.steps:
        found = [stats for _, stats in quantum_attempts(step)]
        if not found:
            continue
        angles = [stats.angle for stats in found if stats.angle is not None]
        values = {
            "success probability": min(stats.success_probability for stats in found),
            "queries until success": math.fsum(stats.expected_queries for stats in found),
            "angle to the exact step (rad)": max(angles, default=None),
        }
        rows += [
            {"step": step.step, "quantity": quantity, "value": value}
            for quantity, value in values.items()
            if value is not None and value > 0
        ]
    if not rows:
        return None
    drawn = (
        chart(rows)
        .mark_line(point=alt.OverlayMarkDef(color=VERMILLION), color=VERMILLION)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(format="d", tickMinStep=1)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(type="log"), axis=_EXPONENTS),
            tooltip=["step:Q", "quantity:N", alt.Tooltip("value:Q", format=".3g")],
        )
        .properties(width=PLOT_WIDTH, height=90)
        .facet(row=alt.Row("quantity:N", title=None, sort=_QUANTITIES, header=_HEADER))
        .resolve_scale(y="independent")
    )
    return Picture(themed(drawn), rows, words("quantum_solves"))


def quantum_table(run: Run) -> Table:
    """Return every solve of the quantum solver with what it would have taken."""
    solves = [(step, *found) for step in run.steps for found in quantum_attempts(step)]
    columns: tuple[Column[tuple[StepRecord, BlockRecord, QuantumStats]], ...] = (
        Column("step", lambda s: str(s[0].step)),
        Column("block (unknowns)", lambda s: f"{s[1].name} ({s[1].n:,})", words=True),
        Column("algorithm", lambda s: s[2].algorithm, words=True),
        Column("κ_be", lambda s: number_text(s[2].kappa)),
        Column("degree", lambda s: number_text(float(s[2].degree))),
        Column("success probability", lambda s: number_text(s[2].success_probability)),
        Column("queries until success", lambda s: number_text(s[2].expected_queries)),
        Column("read-out", lambda s: s[2].readout or "ideal", words=True),
        Column("shots", lambda s: UNKNOWN if s[2].shots is None else f"{s[2].shots:,}"),
        Column("angle to the exact step (rad)", lambda s: number_text(s[2].angle)),
        Column("promise σ_min ≥ α/κ_be", lambda s: _PROMISE[s[2].promise_held], words=True),
        Column("emulated", lambda s: _RESOLVED[s[2].resolved], words=True),
    )
    note = "Queries are those of one state; a read-out with shots takes as many states."
    return table_of("Quantum solves", columns, solves, note)


def quantum_attempts(step: StepRecord) -> Iterator[tuple[BlockRecord, QuantumStats]]:
    """Yield what the quantum solver reported of each system of a step that it tried."""
    for block in step.blocks:
        for attempt in block.attempts:
            if attempt.quantum is not None:
                yield block, attempt.quantum


_PROMISE = {True: "held", False: "broken", None: "not known"}
_RESOLVED = {True: "output state", False: "a solution within the promise"}
_EXPONENTS = alt.Axis(format="~g", labelOverlap=True, tickCount=4)
_HEADER = alt.Header(labelAngle=0, labelAlign="left", labelAnchor="start", labelOrient="top")
