"""What the solves of each step would cost, drawn: classical, the paper's price, the audited one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qnewton.report.break_even import LU_INVERSION
from qnewton.report.panels import LineEnd, Series, chart, rows_of, with_labels
from qnewton.report.run_pictures import UNSOLVED, LayerCell, layer_map
from qnewton.report.sampling import evenly
from qnewton.report.save import Picture
from qnewton.report.step_prices import MOST_SYSTEMS, RunPrices, StepPrice
from qnewton.report.style import (
    BLUE,
    GRAY,
    ORANGE,
    PLOT_WIDTH,
    VERMILLION,
    Look,
    decade_channel,
    step_axis,
    themed,
)
from qnewton.report.vega import alt
from qnewton.report.words import words
from qnewton.runs import Run

_HEIGHT = 280
_MOST_DECADES = 60
_STRIP_HEIGHT = 26


_LINES: tuple[tuple[Look, str], ...] = (
    (Look("best classical", BLUE), "classical"),
    (Look("LU inversion", GRAY, (2, 2)), "lu"),
    (Look("quantum, paper's price", ORANGE, (6, 3)), "paper"),
    (Look("quantum, audited price", VERMILLION), "audited"),
)
"""The lines, and the seconds of a :class:`StepPrice` that each shows."""


def price_lines(prices: RunPrices) -> Picture | None:
    """Draw the modelled seconds of each step's solves; ``None`` where nothing has a price.

    The band around the audited price is from all its constants at their kindest to all at their
    harshest. Prices beyond some sixty decades stand at the upper edge.
    """
    names = ("step", "who", "seconds", "low", "high")
    rows = rows_of(
        names,
        (
            (price.step, look.label, seconds, *_band(name, price))
            for look, name in _LINES
            for price in prices.steps
            if (seconds := getattr(price, name)) is not None and seconds > 0
        ),
    )
    if not rows:
        return None
    values = [math.log10(row[name]) for row in rows for name in names[2:] if row[name]]
    lowest = math.floor(min(values))
    highest = min(math.ceil(max(values)), lowest + _MOST_DECADES)
    highest = max(highest, lowest + 2)
    drawn_names = {row["who"] for row in rows}
    shown = [look for look, _ in _LINES if look.label in drawn_names]
    series = Series("who", shown, None)
    y, y_low = (
        decade_channel(alt.Y, field, "modelled seconds per step", lowest, highest)
        for field in ("drawn", "drawn_low")
    )
    last = max(row["step"] for row in rows)
    first = min(row["step"] for row in rows)
    scale = alt.Scale(domain=[first, max(last, first + 1)], nice=False, padding=6)
    x = alt.X("x:Q", title="step", axis=step_axis(last), scale=scale)
    base = chart(rows).transform_calculate(
        x="datum.step",
        drawn=f"min(datum.seconds, 1e{highest})",
        drawn_low=f"min(datum.low, 1e{highest})",
        drawn_high=f"min(datum.high, 1e{highest})",
    )
    band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.18, aria=False)
    band = band.encode(x=x, y=y_low, y2="drawn_high:Q", color=series.color)
    line = base.mark_line(aria=False).encode(x=x, y=y, color=series.color, strokeDash=series.dash)
    tooltip = ["step:Q", "who:N", alt.Tooltip("seconds:Q", format=".3g")]
    points = base.mark_point(size=45, opacity=1, aria=False)
    points = points.encode(x=x, y=y, color=series.color, tooltip=tooltip)
    ends = [_end(look, rows, lowest, highest) for look in shown]
    drawn = with_labels((band, line, points), ends, _HEIGHT, x)
    drawn = drawn.properties(width=PLOT_WIDTH, height=_HEIGHT)
    beyond = sum(row["seconds"] > 10.0**highest for row in rows)
    caption = words("price_lines", prices=prices, beyond=beyond, top=highest)
    return Picture(themed(drawn), rows, caption)


def _band(name: str, price: StepPrice) -> tuple[float | None, float | None]:
    return (price.audited_low, price.audited_high) if name == "audited" else (None, None)


def _end(look: Look, rows: Sequence[dict[str, Any]], lowest: float, highest: float) -> LineEnd:
    last = [row for row in rows if row["who"] == look.label][-1]
    share = (highest - min(math.log10(last["seconds"]), highest)) / (highest - lowest)
    return LineEnd(_HEIGHT * share, (look.label,), last["step"], look.color)


def solver_strip(run: Run, prices: RunPrices | None) -> Picture | None:
    """Draw who solved each step, and whom two prices would have taken.

    ``None`` where steps have more systems than one, whose map is
    :func:`qnewton.report.run_pictures.layers_of_run`, or none has any.
    """
    steps = [step for step in run.steps if step.blocks]
    if not steps or any(len(step.blocks) > 1 for step in steps):
        return None
    shown = evenly(run.steps, MOST_SYSTEMS)
    cells = [
        LayerCell("run", step.step, "this run", block.n, block.solver or UNSOLVED)
        for step in shown
        for block in step.blocks
    ]
    for price in () if prices is None else prices.steps:
        n = next(step.blocks[0].n for step in steps if step.step == price.step)
        by_paper = _cheaper(price.lu, LU_INVERSION, price.paper, "qsvt")
        by_audit = _cheaper(
            price.classical,
            next(iter(price.classical_solvers), None),
            price.audited,
            next(iter(price.audited_solvers), None),
        )
        named = (("paper's price", by_paper), ("audited price", by_audit))
        cells += [LayerCell("run", price.step, who, n, name) for who, name in named if name]
    picture = layer_map(cells, words("solver_strip", prices=prices))
    rows = len({cell.layer for cell in cells})
    chart_ = picture.chart.properties(height=_STRIP_HEIGHT * rows)
    return replace(picture, chart=chart_)


def _cheaper(
    classical: float | None, its: str | None, quantum: float | None, other: str | None
) -> str | None:
    """Return who is cheaper of two, the classical solver at equal prices; ``None`` for nobody."""
    if classical is None:
        return other if quantum is not None else None
    return other if quantum is not None and quantum < classical else its
