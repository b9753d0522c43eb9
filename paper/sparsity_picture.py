"""The picture of Fig. 6: how the p%-sparsity of a Hessian's rows is distributed, step by step."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from paper.hessian_snapshots import MASSES, Snapshot
from paper.panels import Rows, Series, chart
from qnewton.report import Picture
from qnewton.report.line_labels import spread
from qnewton.report.style import BLUE, GREEN, ORANGE, PLOT_WIDTH, VERMILLION, Look, themed

_BINS = 70
_LABEL_ROOM = 34.0


def mass_label(mass: float) -> str:
    """Return a share as a legend entry.

    Example:
        >>> mass_label(0.5)
        '50%'
    """
    return f"{100 * mass:g}%"


_SERIES = Series(
    "p",
    [
        Look(mass_label(mass), color)
        for mass, color in zip(MASSES, (BLUE, GREEN, ORANGE, VERMILLION), strict=True)
    ],
    {"title": "p", "columns": 4, "symbolType": "square"},
)


def histogram_rows(snapshots: Sequence[Snapshot]) -> list[dict[str, Any]]:
    """Return the shares of rows in bins of equal width, the same for all snapshots."""
    largest = max(int(snapshot.sparsity.max()) for snapshot in snapshots)
    width = max(1, -(-(largest + 1) // _BINS))
    # One empty bin more than needed, which closes the drawn outline.
    edges = np.arange(0, largest + 1 + 2 * width, width)
    return [
        {
            "step": snapshot.step,
            "p": mass_label(mass),
            "from": int(left),
            "to": int(left) + width,
            "rows": int(rows),
            "share_percent": 100.0 * rows / snapshot.n,
        }
        for snapshot in snapshots
        for mass, counts in zip(MASSES, snapshot.sparsity, strict=True)
        for left, rows in zip(edges[:-1], np.histogram(counts, bins=edges)[0], strict=True)
    ]


def sparsity_picture(snapshots: Sequence[Snapshot], caption: str) -> Picture:
    """Draw one panel per step of one training, the first on top, with the medians marked."""
    rows = histogram_rows(snapshots)
    panels = [_panel(rows, snapshot, snapshot is snapshots[-1]) for snapshot in snapshots]
    stacked = alt.vconcat(*panels, spacing=8).resolve_scale(color="shared", x="shared")
    return Picture(themed(stacked), rows, caption)


def _panel(rows: Rows, snapshot: Snapshot, last: bool) -> Any:
    limit = max(row["to"] for row in rows)
    highest = 1.05 * max(row["share_percent"] for row in rows)
    x_scale = alt.Scale(domain=[0, limit], nice=False)
    x = alt.X(
        "from:Q",
        title="p%-sparsity of a row (entries)" if last else None,
        scale=x_scale,
        axis=alt.Axis(format=",d", tickCount=6, labels=last),
    )
    y = alt.Y(
        "share_percent:Q",
        title=f"% of rows a bin of {rows[0]['to']}",
        stack=None,
        scale=alt.Scale(domain=[0, highest], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    areas = chart([row for row in rows if row["step"] == snapshot.step]).mark_area(
        interpolate="step-after", opacity=0.35, line={"strokeWidth": 1.5}
    )
    # Labels of near medians are pushed apart, in the color of their lines, which stay in place.
    wanted = [median / limit * PLOT_WIDTH for median in snapshot.medians]
    places = spread(wanted, _LABEL_ROOM, 0.0, PLOT_WIDTH)
    base = chart(
        [
            {
                "p": mass_label(mass),
                "median": median,
                "label_at": place * limit / PLOT_WIDTH,
                "text": f"{median:,.0f}",
            }
            for mass, median, place in zip(MASSES, snapshot.medians, places, strict=True)
        ]
    ).encode(color=_SERIES.color)
    lines = base.mark_rule(strokeWidth=1.5, strokeDash=[4, 3])
    texts = base.mark_text(baseline="bottom", dy=-3)
    return alt.layer(
        areas.encode(x=x, y=y, color=_SERIES.color),
        lines.encode(x=alt.X("median:Q", scale=x_scale)),
        texts.encode(x=alt.X("label_at:Q", scale=x_scale), y=alt.value(0), text="text:N"),
    ).properties(
        width=PLOT_WIDTH,
        height=170,
        title=alt.Title(f"step {snapshot.step}: medians", offset=16),
    )
