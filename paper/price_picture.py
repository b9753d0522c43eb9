"""The picture of Fig. 5: prices along κ and along d, with their crossings."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from paper import price_crossings as prices
from paper.panels import HOLLOW, Rows, Series, chart, log_axis
from qnewton.records import Calibration, QuantumHardware
from qnewton.report import Picture, style
from qnewton.report.quantities import seconds_text
from qnewton.report.style import Look

POINTS = 61

PAPER_GATE = "attosecond"
"""The machine of the paper's evaluation: 10⁻¹⁸ s per gate."""

_HYPOTHETICAL = (5, 3)
_OTHER_COLORS = (style.BLACK, style.PURPLE, style.ORANGE, style.GREEN)


@dataclass(frozen=True)
class Line:
    """One solver on one machine.

    Attributes:
        seconds: Modelled seconds at (κ, d), N = 12,544.
        look: Its line and its entry in the legend.
    """

    seconds: Callable[[float, float], float]
    look: Look


@dataclass(frozen=True)
class _Panel:
    """What a panel varies, what prices are there, and where a crossing lies."""

    name: str
    title: str
    ends: tuple[float, float]
    exponents: range
    values: Any
    price: Callable[[Line, float], float]
    crossing: Callable[[prices.Crossing], float | None]


_PANELS = (
    _Panel(
        f"against κ, at d = {prices.FIXED_SPARSITY:,}",
        "condition number κ",
        (10.0, 1e13),
        range(-12, 15, 2),
        np.geomspace(10.0, 1e13, POINTS),
        lambda line, x: line.seconds(x, prices.FIXED_SPARSITY),
        lambda crossing: crossing.condition_number,
    ),
    _Panel(
        f"against d, at κ = {prices.FIXED_CONDITION:,.0f}",
        "kept entries in a row d",
        (1.0, float(prices.N)),
        range(-12, 9, 2),
        np.unique(np.geomspace(1.0, float(prices.N), POINTS).round()),
        lambda line, x: line.seconds(prices.FIXED_CONDITION, x),
        lambda crossing: crossing.sparsity,
    ),
)


def price_lines(
    machines: Sequence[QuantumHardware], calibrations: Sequence[Calibration]
) -> list[Line]:
    """Return a line for every machine, the quantum ones first; hypothetical ones are dashed."""
    lines = []
    colors = iter(_OTHER_COLORS)
    for machine in machines:
        paper = machine.name == PAPER_GATE
        notes = [
            machine.name,
            *(["the paper's"] if paper else []),
            *(["hypothetical"] if machine.hypothetical else []),
        ]
        look = Look(
            f"quantum, {seconds_text(machine.gate_time_s.value)} a gate ({', '.join(notes)})",
            style.VERMILLION if paper else next(colors),
            _HYPOTHETICAL if machine.hypothetical else (),
        )
        lines.append(Line(lambda kappa, d, m=machine: prices.quantum_seconds(m, kappa, d), look))
    for calibration in calibrations:
        seconds = prices.lu_seconds(calibration, prices.N)
        label = f"LU inversion, {machine_label(calibration.name)}: {seconds_text(seconds)}"
        look = Look(label, style.BLUE if calibration.name == "paper-h100" else style.SKY)
        lines.append(Line(lambda kappa, d, s=seconds: s, look))
    return lines


def machine_label(calibration: str) -> str:
    """Return a classical machine's name for people."""
    return {"local": "this machine", "paper-h100": "the paper's H100"}.get(calibration, calibration)


def price_picture(lines: Sequence[Line], found: Sequence[prices.Crossing]) -> Picture:
    """Draw the lines along κ and along d, and mark the crossings that lie within."""
    rows: list[dict[str, Any]] = [
        {
            "panel": panel.name,
            "kind": "price",
            "line": line.look.label,
            "x": float(x),
            "modelled_seconds": panel.price(line, float(x)),
        }
        for panel in _PANELS
        for line in lines
        for x in panel.values
    ]
    rows += [
        {
            "panel": panel.name,
            "kind": "crossing",
            "line": f"{c.hardware.name} and {c.calibration}",
            "x": x,
            "modelled_seconds": c.lu_seconds,
        }
        for panel in _PANELS
        for c in found
        if (x := panel.crossing(c)) is not None and panel.ends[0] <= x <= panel.ends[1]
    ]
    both = alt.vconcat(*(_panel(rows, lines, panel) for panel in _PANELS), spacing=16)
    caption = (
        f"Modelled seconds at N = {prices.N:,}, nothing measured. Quantum: gate time × expected "
        "queries of Jennings et al. 2023 as the paper charges them (α = d, ε = 1e-12, one gate a "
        "query; state preparation, block-encoding and read-out free). LU inversion: C·N³. Dashed: "
        "hypothetical machines. Circles: where prices cross. The paper gives no numbers for its "
        "Fig. 5; its setting is the red line against the dark blue one."
    )
    both = both.resolve_scale(color="shared", strokeDash="shared")
    return Picture(style.themed(both), rows, caption)


def _panel(rows: Rows, lines: Sequence[Line], panel: _Panel) -> Any:
    shown = {
        kind: chart([r for r in rows if (r["panel"], r["kind"]) == (panel.name, kind)])
        for kind in ("price", "crossing")
    }
    decades = range(0, math.ceil(math.log10(panel.ends[1])) + 1)
    many = len(decades) > 8
    ticks = [10.0**k for k in decades if not many or k % 2 == 1]
    x = log_axis(alt.X, "x", panel.title, panel.ends, ticks, ".0e" if many else ",d")
    ends = (10.0 ** panel.exponents[0], 10.0 ** panel.exponents[-1])
    ticks = [10.0**k for k in panel.exponents if k % 4 == 0]
    y = log_axis(alt.Y, "modelled_seconds", "modelled time (s)", ends, ticks, ".0e")
    legend = {
        "title": "dashed: machines that do not exist",
        "columns": 1,
        "symbolType": "stroke",
        "symbolSize": 500,
    }
    series = Series("line", [line.look for line in lines], legend)
    curves = shown["price"].mark_line(clip=True)
    marks = shown["crossing"].mark_point(stroke="#222222", size=45, **HOLLOW)
    return alt.layer(
        curves.encode(x=x, y=y, color=series.color, strokeDash=series.dash),
        marks.encode(x=x, y=y),
    ).properties(width=style.PLOT_WIDTH, height=210, title=panel.name)
