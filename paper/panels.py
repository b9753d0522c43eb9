"""The parts that the paper's pictures share: axes, series of one look each, lines with labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from qnewton.report.save import inline_data
from qnewton.report.style import Look

Rows = Sequence[Mapping[str, Any]]

DARK = "#444444"
"""The color of lines that the paper draws or names."""

HOLLOW: dict[str, Any] = {"opacity": 1, "filled": False, "fill": "white"}
"""An open mark."""

_CROSS = "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z"


def chart(rows: Rows) -> alt.Chart:
    """Return a chart of some rows, without marks."""
    return alt.Chart(inline_data(rows))


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
        scale = alt.Scale(domain=[look.label for look in self.looks], range=values)
        legend = None if self.legend is None else alt.Legend(**self.legend)
        return channel(f"{self.field}:N", scale=scale, legend=legend)


def crossed(points: alt.Chart, **mark: Any) -> list[alt.Chart]:
    """Return the points of runs, those of diverged ones as crosses."""
    return [
        points.mark_point(**mark).transform_filter("!datum.diverged"),
        points.mark_point(shape=_CROSS, **mark).transform_filter("datum.diverged"),
    ]


def level(y: alt.Y, name: str, value: float, text: str, dy: float, **line: Any) -> list[alt.Chart]:
    """Return a horizontal line at ``value`` of field ``name``, and its label at the left end."""
    mark = chart([{name: value, "text": text}])
    label = mark.mark_text(align="left", baseline="middle", dx=4, dy=dy)
    return [mark.mark_rule(**line).encode(y=y), label.encode(y=y, x=alt.value(0), text="text:N")]
