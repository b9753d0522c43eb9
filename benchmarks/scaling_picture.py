"""The picture of the sweeps: time above, peak memory below; against N left, the batch right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import altair as alt

from qnewton.report import Picture
from qnewton.report.save import inline_data
from qnewton.report.style import BLUE, GREEN, VERMILLION, Look, log_domain, log_ticks, themed

_LOOKS = (
    Look("", BLUE, shape="circle"),
    Look("", VERMILLION, (8, 3), "square"),
    Look("", GREEN, (2, 2), "triangle-up"),
)
_PANEL = 250


class Exponent(Protocol):
    """A fitted power law, as far as a label needs it."""

    @property
    def exponent(self) -> float:
        """Return its slope in logarithms."""
        ...


@dataclass(frozen=True)
class Point:
    """One network of a sweep.

    Attributes:
        sweep: Its sweep, named after what varies: ``N, …`` or ``batch, …``.
        x: Parameters, or samples.
        seconds: Median wall clock of the whole Hessian, closure included.
        peak_bytes: Peak memory of it.
    """

    sweep: str
    x: int
    seconds: float
    peak_bytes: int


def scaling_picture(
    points: Sequence[Point], fits: Mapping[str, tuple[Exponent, Exponent]]
) -> Picture:
    """Draw every sweep in log-log panels, the fitted exponents in the corner.

    Args:
        points: All points, in order within their sweep.
        fits: Exponents of time and of memory by sweep.
    """
    sweeps = list(fits)
    rows = [
        {
            "sweep": point.sweep,
            "quantity": quantity,
            "x": point.x,
            "value": value,
            "exponent": fits[point.sweep][index].exponent,
        }
        for point in points
        for index, (quantity, value) in enumerate(
            (("time (s)", point.seconds), ("peak memory (GB)", point.peak_bytes / 1e9))
        )
    ]
    axes = {"N": "N (parameters)", "batch": "batch (samples)"}
    panels = [
        [
            _panel(
                [r for r in rows if r["sweep"].startswith(axis) and r["quantity"] == quantity],
                sweeps,
                title,
                quantity,
            )
            for axis, title in axes.items()
        ]
        for quantity in ("time (s)", "peak memory (GB)")
    ]
    chart = alt.vconcat(*(alt.hconcat(*row, spacing=24) for row in panels), spacing=12)
    caption = (
        "Time and peak memory of the whole exact Hessian in closed form, closure included, float32 "
        "on random inputs: against N through the hidden widths h of inputs-h-h-10 at batch 2048, "
        "and against the batch for 784-16-16-10. Numbers are exponents of a power law fitted to "
        "the upper half of each sweep; memory is what the run adds to a process of its own."
    )
    return Picture(themed(chart.resolve_scale(color="shared", shape="shared")), rows, caption)


def _panel(rows: Sequence[Mapping[str, Any]], sweeps: Sequence[str], x: str, y: str) -> Any:
    color = alt.Color(
        "sweep:N",
        scale=alt.Scale(domain=sweeps, range=[look.color for look in _LOOKS]),
        legend=alt.Legend(title=None, columns=3, symbolStrokeWidth=0),
    )
    shape = alt.Shape(
        "sweep:N", scale=alt.Scale(domain=sweeps, range=[look.shape for look in _LOOKS])
    )
    base = alt.Chart(inline_data(rows)).encode(
        x=_axis("x", x, [row["x"] for row in rows], ",d"),
        y=_axis("value", y, [row["value"] for row in rows], "~g"),
        color=color,
    )
    dash = alt.StrokeDash(
        "sweep:N",
        scale=alt.Scale(domain=sweeps, range=[list(look.dash or (1, 0)) for look in _LOOKS]),
        legend=None,
    )
    exponents = {row["sweep"]: row["exponent"] for row in rows}
    texts = [
        alt.Chart(inline_data([{"sweep": sweep, "text": f"~ {x.split()[0]}^{exponent:.2f}"}]))
        .mark_text(align="left")
        .encode(x=alt.value(8), y=alt.value(10 + 16 * index), text="text:N", color=color)
        for index, (sweep, exponent) in enumerate(exponents.items())
    ]
    lines = base.mark_line(strokeWidth=1.5).encode(strokeDash=dash)
    layers = (lines, base.mark_point(opacity=1).encode(shape=shape), *texts)
    return alt.layer(*layers).properties(width=_PANEL, height=190)


def _axis(field: str, title: str, values: Sequence[float], number_format: str) -> Any:
    low, high = log_domain(min(values), max(values))
    channel = alt.X if field == "x" else alt.Y
    return channel(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=log_ticks(low, high), format=number_format),
    )
