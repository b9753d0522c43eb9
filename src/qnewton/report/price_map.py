"""Maps of where a quantum solver would win, over any two assumptions of its price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qnewton.cost import PriceMap
from qnewton.cost.maps import ENDS
from qnewton.report.panels import chart, rows_of
from qnewton.report.save import Picture
from qnewton.report.style import BLACK, BLUE, PLOT_WIDTH, VERMILLION, decade_channel, themed
from qnewton.report.vega import alt
from qnewton.report.words import words

_LIMIT = 12  # decades at which colors saturate
_DASHES = {"kindest": [2, 2], "likely": [1, 0], "harshest": [6, 3]}


def draw_price_map(found: PriceMap) -> Picture:
    """Draw quantum over classical seconds (modelled), where both are equal, and the user's system.

    Orange cells are those where the quantum solver is cheaper at the likely constants; the full
    line is where both are equal, the others with every constant at its kindest or its harshest.

    Args:
        found: The prices.

    Cost: some 10 µs per cell.
    """
    x, y, scenario = found.x.name, found.y.name, found.scenario
    cells = list(found.rows())
    x_edges, y_edges = _edges(found.xs), _edges(found.ys)
    rows = []
    for place, cell in enumerate(cells):
        row, column = divmod(place, len(found.xs))
        quantum, classical = cell["quantum_likely_s"], cell["classical_s"]
        ratio = None
        if quantum is not None and classical is not None:
            ratio = math.log10(quantum) - math.log10(classical)
        sides = (*x_edges[column : column + 2], *y_edges[row : row + 2])
        rows.append((*sides, quantum, classical, ratio))
    prices = ("quantum_s", "classical_s", "decades_dearer")
    drawn = [_cells(rows_of((x, f"{x}_end", y, f"{y}_end", *prices), rows), found)]
    crossings = found.crossings()
    if crossings:
        drawn.append(_lines(crossings, found))
    here = (found.x.now(scenario), found.y.now(scenario))
    if None not in here:
        drawn.append(_mark(here, found))
    layered = alt.layer(*drawn).resolve_scale(color="independent")
    title = "Orange: the quantum solver is priced cheaper"
    layered = layered.properties(width=PLOT_WIDTH, height=PLOT_WIDTH, title=title)
    named = replace(scenario, hardware=found.machine)
    caption = words("price_map", scenario=named, shares=found.shares, x=found.x, y=found.y)
    return Picture(themed(layered), cells, caption)


def _axes(found: PriceMap) -> dict[str, Any]:
    spans = [(math.log10(v[0]), math.log10(v[-1])) for v in (_edges(found.xs), _edges(found.ys))]
    return {
        "x": decade_channel(alt.X, found.x.name, found.x.title, *spans[0]),
        "y": decade_channel(alt.Y, found.y.name, found.y.title, *spans[1]),
    }


def _cells(rows: list[dict[str, Any]], found: PriceMap) -> alt.Chart:
    colors = alt.Scale(
        domain=[-_LIMIT, 0, _LIMIT],
        range=[VERMILLION, "#ffffff", BLUE],
        clamp=True,
        # Other ways go round the color wheel: equal prices would be cyan, not white.
        interpolate="rgb",
    )
    title = "quantum / classical seconds (modelled), powers of ten"
    legend = alt.Legend(title=title, gradientLength=200)
    color = alt.Color("decades_dearer:Q", scale=colors, legend=legend)
    ends = {"x2": f"{found.x.name}_end:Q", "y2": f"{found.y.name}_end:Q"}
    return chart(rows).mark_rect().encode(**_axes(found), **ends, color=color)


def _lines(crossings: list[dict[str, Any]], found: PriceMap) -> alt.Chart:
    dashes = alt.Scale(domain=list(ENDS), range=[_DASHES[end] for end in ENDS])
    legend = alt.Legend(title="equal prices, constants at their")
    dash = alt.StrokeDash("constants:N", scale=dashes, legend=legend)
    line = chart(crossings).mark_line(color=BLACK, strokeWidth=1.5)
    return line.encode(**_axes(found), strokeDash=dash)


def _mark(here: Sequence[float | None], found: PriceMap) -> alt.Chart:
    names = (found.x.name, found.y.name)
    point = chart([dict(zip(names, here, strict=True))])
    mark = point.mark_point(color=BLACK, size=110, shape="cross", filled=True)
    return mark.encode(**_axes(found))


def _edges(values: np.ndarray) -> list[float]:
    """Return the borders of cells around logarithmically spaced values."""
    logs = np.log10(values)
    half = (logs[1] - logs[0]) / 2
    return [float(10**edge) for edge in (*(logs - half), logs[-1] + half)]
