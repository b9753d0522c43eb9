"""The parts that pictures share: axes, series of one look each, lines and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qnewton.report.save import Picture, inline_data
from qnewton.report.style import Look, scale_of, themed
from qnewton.report.vega import alt

Rows = Sequence[Mapping[str, Any]]

DARK = "#444444"
"""The color of lines that the paper draws or names."""

HOLLOW: dict[str, Any] = {"opacity": 1, "filled": False, "fill": "white"}
"""An open mark."""

LINE_HEIGHT = 13.0
"""Height of a label's line of text, px."""

_LEADER = 16.0
_TEXT_GAP = 4.0

CROSS = "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z"


def chart(rows: Rows) -> alt.Chart:
    """Return a chart of some rows, without marks."""
    return alt.Chart(inline_data(rows))


def stacked(pictures: Sequence[Picture], caption: str) -> Picture:
    """Return pictures one above the other as one."""
    bare = []
    for picture in pictures:
        part = picture.chart.copy(deep=False)
        part.config = alt.Undefined  # the whole brings the look
        bare.append(part)
    rows = [row for picture in pictures for row in picture.rows]
    return Picture(themed(alt.vconcat(*bare, spacing=14)), rows, caption)


def rows_of(names: Sequence[str], values: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return one mapping per tuple of values, which stand in the order of their names."""
    return [dict(zip(names, row, strict=True)) for row in values]


def log_axis(
    channel: Any,
    name: str,
    title: str | None,
    ends: Sequence[float],
    ticks: Sequence[float],
    text: str,
    **more: Any,
) -> Any:
    """Return a logarithmic x or y.

    Args:
        channel: ``alt.X`` or ``alt.Y``.
        name: Field that is shown.
        title: Title of the axis.
        ends: Least and largest value.
        ticks: Values that are marked.
        text: Format of their labels.
        more: What else :class:`altair.Axis` takes.
    """
    scale = alt.Scale(type="log", domain=list(ends), nice=False)
    shown = alt.Axis(values=list(ticks), format=text, **more)
    return channel(f"{name}:Q", title=title, scale=scale, axis=shown)


def share_axis(channel: Any, name: str, title: str, ticks: int) -> Any:
    """Return an axis of shares from 0 to 1, in percent."""
    ends, percent = alt.Scale(domain=[0, 1]), alt.Axis(format="~%", tickCount=ticks)
    return channel(f"{name}:Q", title=title, scale=ends, axis=percent)


@dataclass(frozen=True)
class Series:
    """The looks of the values of one field, as color, dash and shape, with one legend.

    Attributes:
        field: Field that tells the series apart.
        looks: Their looks, in the legend's order.
        legend: What :class:`altair.Legend` takes; ``None`` for no legend.
    """

    field: str
    looks: Sequence[Look]
    legend: Mapping[str, Any] | None

    @property
    def color(self) -> alt.Color:
        """Color by series."""
        return self._channel(alt.Color, [look.color for look in self.looks])

    @property
    def dash(self) -> alt.StrokeDash:
        """Dash by series."""
        return self._channel(alt.StrokeDash, [list(look.dash) or [1, 0] for look in self.looks])

    @property
    def shape(self) -> alt.Shape:
        """Shape of a point by series."""
        return self._channel(alt.Shape, [look.shape for look in self.looks])

    def _channel(self, channel: Any, values: list[Any]) -> Any:
        scale = scale_of((look.label for look in self.looks), values)
        legend = None if self.legend is None else alt.Legend(**self.legend)
        return channel(f"{self.field}:N", scale=scale, legend=legend)


def crossed(points: alt.Chart, **mark: Any) -> list[alt.Chart]:
    """Return the points of runs, those of diverged ones as crosses."""
    return [
        points.mark_point(**mark).transform_filter("!datum.diverged"),
        points.mark_point(shape=CROSS, **mark).transform_filter("datum.diverged"),
    ]


def level(y: alt.Y, name: str, value: float, text: str, dy: float, **line: Any) -> list[alt.Chart]:
    """Return a horizontal line at ``value`` of field ``name``, and its label at the left end."""
    mark = chart([{name: value, "text": text}])
    label = mark.mark_text(align="left", baseline="middle", dx=4, dy=dy)
    return [mark.mark_rule(**line).encode(y=y), label.encode(y=y, x=alt.value(0), text="text:N")]


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
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    # Pools of neighbours that would touch: the sum of what their members want, and how many.
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        pools.append((wanted[index] - gap * rank, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1] = (pools[-1][0] + total, pools[-1][1] + count)
    pooled = [total / count for total, count in pools for _ in range(count)]
    found = [0.0] * len(wanted)
    for rank, (index, place) in enumerate(zip(order, pooled, strict=True)):
        found[index] = min(max(place, low), low + room) + gap * rank
    return found


@dataclass(frozen=True)
class LineEnd:
    """The end of a line, and what is written beside it.

    Attributes:
        at: Its height, px from the plot's top.
        text: Lines of text.
        x: Where it ends, in units of the x axis; ``None`` where it reaches the right edge.
        color: Color of its leader.
    """

    at: float
    text: Sequence[str]
    x: float | None = None
    color: str = "#777777"


def with_labels(
    parts: Sequence[alt.Chart], ends: Sequence[LineEnd], height: float, x: Any = None
) -> Any:
    """Return layers with labels in their right margin, each joined by a leader to its line's end.

    Args:
        parts: The layers, the lines among them; the data of the last is that of the whole.
        ends: The ends of its lines.
        height: The plot's height, px; labels stay within it.
        x: The chart's own x channel, of field ``x``, where lines end before the right edge.

    Raises:
        ValueError: If the labels do not fit.
    """
    tallest = max((len(end.text) for end in ends), default=1)
    half = LINE_HEIGHT * tallest / 2
    places = spread([end.at for end in ends], 2 * half + 2, half, height - half)
    data = [
        {"line_px": e.at, "label_px": at, "text": list(e.text), "x": e.x, "color": e.color}
        for e, at in zip(ends, places, strict=True)
    ]
    base = chart(data)
    # Dotted, so that nobody takes a leader for the line that it prolongs.
    leaders = base.mark_rule(strokeWidth=1, strokeDash=[1, 3], x2Offset=_LEADER, aria=False).encode(
        x=alt.XValue("width") if x is None else x,
        x2=alt.X2Value("width"),
        y=alt.Y("line_px:Q", scale=None, axis=None),
        y2=alt.Y2("label_px:Q"),
        color=alt.Color("color:N", scale=None),
    )
    # The baseline is that of the first line of text.
    shift = -LINE_HEIGHT / 2 * (tallest - 1)
    labels = base.mark_text(
        align="left",
        baseline="middle",
        dx=_LEADER + _TEXT_GAP,
        dy=shift,
        lineHeight=LINE_HEIGHT,
        aria=False,
    ).encode(
        x=alt.XValue("width"),
        y=alt.Y("label_px:Q", scale=None, axis=None),
        text=alt.Text("text:N"),
    )
    # Labels have pixels and no scale, whatever the lines' own scale of y is. All is one layer deep:
    # for every further one Altair copies all of them again, three times.
    data = parts[-1].data
    bare = [part.copy(deep=False) for part in parts]
    for part in bare:
        if part.data is data:
            part.data = alt.Undefined  # the whole has it, once for all
    return alt.layer(*bare, leaders, labels, data=data)
