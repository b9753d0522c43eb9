"""What the quantum solver reported of every step: chance of success, queries, angle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from qnewton.records import BlockRecord, QuantumStats, StepRecord
from qnewton.report.panels import chart, log_axis, stacked
from qnewton.report.quantities import UNKNOWN, number_text
from qnewton.report.save import Picture
from qnewton.report.style import PLOT_WIDTH, VERMILLION, log_domain, log_ticks, themed
from qnewton.report.table import Table
from qnewton.report.vega import alt
from qnewton.report.words import words
from qnewton.runs import Run

_COLUMNS = ("step", "block (unknowns)", "algorithm", "κ_be", "degree", "success probability")
_COLUMNS += ("queries until success", "read-out", "shots", "angle to the exact step (rad)")
_COLUMNS += ("carried out by", "promise σ_min ≥ α/κ_be", "output")
_QUANTITIES = ["success probability", "queries until success", "angle to the exact step (rad)"]


def quantum_solves(run: Run) -> Picture | None:
    """Draw success probability, expected queries and angle by step; ``None`` if no solve has any.

    Of the systems of a step, the smallest probability, the sum of the queries and the largest
    angle count.
    """
    panels = quantum_panels(run)
    if not panels:
        return None
    return stacked(list(panels.values()), words("quantum_solves"))


def quantum_panels(run: Run) -> dict[str, Picture]:
    """Return what :func:`quantum_solves` draws, one picture per quantity that is known."""
    rows = _quantum_rows(run)
    return {
        quantity: _panel(quantity, found)
        for quantity in _QUANTITIES
        if (found := [row for row in rows if row["quantity"] == quantity])
    }


def _quantum_rows(run: Run) -> list[dict[str, Any]]:
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
            if value is not None and 0 < value < math.inf
        ]
    return rows


def _panel(quantity: str, rows: list[dict[str, Any]]) -> Picture:
    values = [row["value"] for row in rows]
    ends = log_domain(min(values), max(values))
    shape = {"point": alt.OverlayMarkDef(color=VERMILLION), "color": VERMILLION, "aria": False}
    drawn = (
        chart(rows)
        .mark_line(**shape)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(format="d", tickMinStep=1)),
            y=log_axis(alt.Y, "value", quantity, ends, log_ticks(*ends), "~g"),
            tooltip=["step:Q", alt.Tooltip("value:Q", format=".3g", title=quantity)],
        )
    )
    drawn = drawn.properties(width=PLOT_WIDTH, height=120)
    return Picture(themed(drawn), rows, words("quantum_solves"))


def quantum_table(run: Run) -> Table:
    """Return every solve of the quantum solver with what it would have taken."""
    rows = [
        (
            str(step.step),
            f"{block.name} ({block.n:,})",
            stats.algorithm,
            *map(number_text, (stats.kappa, float(stats.degree), stats.success_probability)),
            number_text(stats.expected_queries),
            stats.readout or "ideal",
            UNKNOWN if stats.shots is None else f"{stats.shots:,}",
            number_text(stats.angle),
            stats.execution,
            _PROMISE[stats.promise_held],
            _RESOLVED[stats.resolved],
        )
        for step in run.steps
        for block, stats in quantum_attempts(step)
    ]
    note = "Queries are those of one state; a read-out with shots takes as many states."
    return Table("Quantum solves", _COLUMNS, rows, note, frozenset({1, 2, 7, 10, 11, 12}))


def quantum_attempts(step: StepRecord) -> Iterator[tuple[BlockRecord, QuantumStats]]:
    """Yield what the quantum solver reported of each system of a step that it tried."""
    for block in step.blocks:
        for attempt in block.attempts:
            if attempt.quantum is not None:
                yield block, attempt.quantum


_PROMISE = {True: "held", False: "broken", None: "not known"}
_RESOLVED = {True: "output state", False: "a solution within the promise"}
