"""Labels at the ends of lines: apart from each other, each joined to its line by a leader."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from qnewton.report.save import inline_data

LINE_HEIGHT = 13.0
"""Height of a label's line of text, px."""

_LEADER = 16.0
_TEXT_GAP = 4.0


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places at least ``gap`` apart that lie near those wanted, in the same order.

    The sum of squared moves is least, by isotonic regression, before all are kept within ``low``
    and ``high``.

    Args:
        wanted: Where each label would stand by itself.
        gap: Least distance of two labels.
        low: Least place.
        high: Largest place.

    Raises:
        ValueError: If so many labels do not fit.

    Reference:
        Pool adjacent violators: Barlow, Bartholomew, Bremner, Brunk 1972.

    Example:
        >>> spread([50.0, 52.0, 90.0], 10.0, 0.0, 100.0)
        [46.0, 56.0, 90.0]
    """
    room = high - low - gap * (len(wanted) - 1)
    if room < 0:
        raise ValueError(
            f"{len(wanted)} labels {gap:g} apart do not fit between {low:g} and {high:g}"
        )
    from scipy.optimize import isotonic_regression  # not at the top: no other picture waits for it

    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    steps = [gap * rank for rank in range(len(wanted))]
    free = [wanted[index] - step for index, step in zip(order, steps, strict=True)]
    pooled = isotonic_regression(free).x if free else []
    found = [0.0] * len(wanted)
    for index, place, step in zip(order, pooled, steps, strict=True):
        found[index] = min(max(float(place), low), low + room) + step
    return found


def with_labels(
    chart: Any, lines: Sequence[tuple[float, Sequence[str]]], width: float, height: float
) -> Any:
    """Return a chart with labels in its right margin, joined by leaders to horizontal lines.

    Args:
        chart: The chart, the lines included.
        lines: For each the height of its end, px from the plot's top, and its label's lines of
            text.
        width: The plot's width, px.
        height: Its height, px; labels stay within it.

    Raises:
        ValueError: If the labels do not fit.
    """
    half = LINE_HEIGHT * max((len(text) for _, text in lines), default=1) / 2
    places = spread([at for at, _ in lines], 2 * half + 2, half, height - half)
    data = [
        {"line_px": at, "label_px": place, "text": list(text)}
        for (at, text), place in zip(lines, places, strict=True)
    ]
    base = alt.Chart(inline_data(data))
    pixels = alt.Scale(domain=[0, height], range=[0, height], nice=False, zero=False)
    leaders = base.mark_rule(strokeWidth=0.8, color="#777777").encode(
        x=alt.value(width),
        x2=alt.value(width + _LEADER),
        y=alt.Y("line_px:Q", scale=pixels, axis=None),
        y2="label_px:Q",
    )
    # The baseline is that of the first line of text.
    shift = -LINE_HEIGHT / 2 * (max((len(text) for _, text in lines), default=1) - 1)
    labels = base.mark_text(
        align="left", baseline="middle", dy=shift, lineHeight=LINE_HEIGHT
    ).encode(
        x=alt.value(width + _LEADER + _TEXT_GAP),
        y=alt.Y("label_px:Q", scale=pixels, axis=None),
        text="text:N",
    )
    # The labels stand by pixels, whatever the chart's own scale of y is.
    return alt.layer(chart, alt.layer(leaders, labels)).resolve_scale(y="independent")
