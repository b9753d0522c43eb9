"""The picture of Fig. 5: prices along κ and along d, with their crossings."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from paper.price_crossings import (
    FIXED_CONDITION,
    FIXED_SPARSITY,
    Crossing,
    N,
    lu_seconds,
    quantum_seconds,
)
from qnewton.records import Calibration, QuantumHardware
from qnewton.report import Picture
from qnewton.report.quantities import seconds_text
from qnewton.report.save import inline_data
from qnewton.report.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PLOT_WIDTH,
    PURPLE,
    SKY,
    VERMILLION,
    Look,
    themed,
)

CONDITION_RANGE = (10.0, 1e13)
SPARSITY_RANGE = (1.0, float(N))
POINTS = 61

PAPER_GATE = "attosecond"
"""The machine of the paper's evaluation: 10⁻¹⁸ s a gate."""

_HYPOTHETICAL = (5, 3)
_LEGEND = "dashed: machines that do not exist"
_OTHER_COLORS = (BLACK, PURPLE, ORANGE, GREEN)


@dataclass(frozen=True)
class Line:
    """One solver on one machine.

    Attributes:
        seconds: Modelled seconds at (κ, d), N = 12,544.
        look: Its line and its entry in the legend.
    """

    seconds: Callable[[float, float], float]
    look: Look


def price_lines(
    machines: Sequence[QuantumHardware], calibrations: Sequence[Calibration]
) -> list[Line]:
    """Return a line for every machine, the quantum ones first; hypothetical ones are dashed."""
    lines = []
    colors = iter(_OTHER_COLORS)
    for machine in machines:
        paper = machine.name == PAPER_GATE
        notes = [machine.name, *(["the paper's"] if paper else [])]
        if machine.hypothetical:
            notes.append("hypothetical")
        speed = seconds_text(machine.gate_time_s.value)
        label = f"quantum, {speed} a gate ({', '.join(notes)})"
        look = Look(
            label,
            VERMILLION if paper else next(colors),
            _HYPOTHETICAL if machine.hypothetical else (),
        )
        lines.append(Line(lambda kappa, d, m=machine: quantum_seconds(m, kappa, d), look))
    for calibration in calibrations:
        seconds = lu_seconds(calibration, N)
        label = f"LU inversion, {machine_label(calibration.name)}: {seconds_text(seconds)}"
        paper = calibration.name == "paper-h100"
        lines.append(
            Line(
                lambda kappa, d, s=seconds: s,
                Look(label, BLUE if paper else SKY),
            )
        )
    return lines


def machine_label(calibration: str) -> str:
    """Return a classical machine's name for people."""
    return {"local": "this machine", "paper-h100": "the paper's H100"}.get(calibration, calibration)


def price_picture(lines: Sequence[Line], found: Sequence[Crossing]) -> Picture:
    """Draw the lines along κ and along d, and mark the crossings that lie within."""
    panels = {
        f"against κ, at d = {FIXED_SPARSITY:,}": (
            np.geomspace(*CONDITION_RANGE, POINTS),
            lambda line, x: line.seconds(x, FIXED_SPARSITY),
        ),
        f"against d, at κ = {FIXED_CONDITION:,.0f}": (
            np.unique(np.geomspace(*SPARSITY_RANGE, POINTS).round()),
            lambda line, x: line.seconds(FIXED_CONDITION, x),
        ),
    }
    rows: list[dict[str, Any]] = [
        {
            "panel": panel,
            "kind": "price",
            "line": line.look.label,
            "x": float(x),
            "modelled_seconds": price(line, float(x)),
        }
        for panel, (xs, price) in panels.items()
        for line in lines
        for x in xs
    ]
    for panel, (low, high), value in zip(
        panels,
        (CONDITION_RANGE, SPARSITY_RANGE),
        (lambda c: c.condition_number, lambda c: c.sparsity),
        strict=True,
    ):
        rows += [
            {
                "panel": panel,
                "kind": "crossing",
                "line": f"{c.hardware.name} and {c.calibration}",
                "x": value(c),
                "modelled_seconds": c.lu_seconds,
            }
            for c in found
            if value(c) is not None and low <= value(c) <= high
        ]
    names = list(panels)
    chart = alt.vconcat(
        _panel(rows, lines, names[0], "condition number κ", CONDITION_RANGE, range(-12, 15, 2)),
        _panel(rows, lines, names[1], "kept entries in a row d", SPARSITY_RANGE, range(-12, 9, 2)),
        spacing=16,
    ).resolve_scale(color="shared", strokeDash="shared")
    caption = (
        f"Modelled seconds at N = {N:,}, nothing measured. Quantum: gate time × expected queries "
        "of Jennings et al. 2023 as the paper charges them (α = d, ε = 1e-12, one gate a query; "
        "state preparation, block-encoding and read-out free). LU inversion: C·N³. Dashed: "
        "hypothetical machines. Circles: where prices cross. The paper gives no numbers for its "
        "Fig. 5; its setting is the red line against the dark blue one."
    )
    return Picture(themed(chart), rows, caption)


def _panel(
    rows: Sequence[dict[str, Any]],
    lines: Sequence[Line],
    panel: str,
    x_title: str,
    x_range: tuple[float, float],
    exponents: range,
) -> Any:
    labels = [line.look.label for line in lines]
    legend = alt.Legend(title=_LEGEND, columns=1, symbolType="stroke", symbolSize=500)
    shown = [row for row in rows if row["panel"] == panel]
    decades = range(0, math.ceil(math.log10(x_range[1])) + 1)
    x = alt.X(
        "x:Q",
        title=x_title,
        scale=alt.Scale(type="log", domain=list(x_range), nice=False),
        axis=alt.Axis(
            values=[10.0**k for k in decades if len(decades) < 8 or k % 2 == 1],
            format=".0e" if len(decades) > 8 else ",d",
        ),
    )
    y = alt.Y(
        "modelled_seconds:Q",
        title="modelled time (s)",
        scale=alt.Scale(
            type="log", domain=[10.0 ** exponents[0], 10.0 ** exponents[-1]], nice=False
        ),
        axis=alt.Axis(values=[10.0**k for k in exponents if k % 4 == 0], format=".0e"),
    )
    curves = (
        alt.Chart(inline_data([row for row in shown if row["kind"] == "price"]))
        .mark_line(clip=True)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "line:N",
                scale=alt.Scale(domain=labels, range=[line.look.color for line in lines]),
                legend=legend,
            ),
            strokeDash=alt.StrokeDash(
                "line:N",
                scale=alt.Scale(
                    domain=labels, range=[list(line.look.dash) or [1, 0] for line in lines]
                ),
                legend=legend,
            ),
        )
    )
    marks = (
        alt.Chart(inline_data([row for row in shown if row["kind"] == "crossing"]))
        .mark_point(filled=False, fill="white", stroke="#222222", size=45, opacity=1)
        .encode(x=x, y=y)
    )
    return alt.layer(curves, marks).properties(width=PLOT_WIDTH, height=210, title=panel)
