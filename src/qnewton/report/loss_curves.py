"""Training loss and test accuracy of one run or several, against a clock of one's choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qnewton.records.colors import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from qnewton.report import style
from qnewton.report.clocks import Clock, Moment, loss_moments
from qnewton.report.page_runs import Curve
from qnewton.report.panels import DARK, LineEnd, Series, chart, log_axis, stacked, with_labels
from qnewton.report.sampling import evenly
from qnewton.report.save import Picture
from qnewton.report.style import PLOT_WIDTH, Look, method_look, themed
from qnewton.report.vega import alt
from qnewton.report.words import words

LOSS, ACCURACY = "train loss", "test accuracy"

_LABEL_GAP = 15
_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, BLACK, SKY)
_DASHES = ((), (6, 2), (2, 2))


def loss_curves(curves: Sequence[Curve], target: float | None = None) -> Picture:
    """Draw training loss (log scale) above test accuracy, both against the step.

    Args:
        curves: The runs.
        target: Test accuracy to reach, drawn as a line; ``None`` for none.

    Raises:
        ValueError: If no run has a finite loss to draw.
    """
    loss, accuracy = loss_curve(curves), accuracy_curve(curves, target)
    if loss is None:
        raise ValueError("no step with a finite, positive loss to draw; train at least one step")
    panels = [loss] if accuracy is None else [loss, accuracy]
    return stacked(panels, words("loss", target=target))


def loss_curve(
    curves: Sequence[Curve], clock: Clock = Clock.STEP, most: int | None = None
) -> Picture | None:
    """Draw the training loss of each run; ``None`` where no loss can stand on a log axis.

    Args:
        curves: The runs.
        clock: What stands on the x axis; a run is drawn as far as the clock is known.
        most: Steps drawn of each run, evenly spread; ``None`` for all.
    """
    rows = [row for curve in curves for row in evenly(_losses(curve, clock), most)]
    if not rows:
        return None
    values = [row["value"] for row in rows]
    ends = style.log_domain(min(values), max(values))
    y = log_axis(alt.Y, "value", LOSS, ends, style.log_ticks(*ends), "~g")
    drawn = _drawn(
        looks_of(curves),
        rows,
        y,
        _Heights(200, math.log(ends[0]), math.log(ends[1]), math.log),
        clock,
    )
    return Picture(themed(drawn), rows, words("loss_curve"))


def accuracy_curve(
    curves: Sequence[Curve],
    target: float | None = None,
    clock: Clock = Clock.STEP,
    most: int | None = None,
) -> Picture | None:
    """Draw the test accuracy of each run, and the target; ``None`` where nobody evaluated one.

    Args:
        curves: The runs.
        target: Test accuracy to reach; ``None`` for none.
        clock: What stands on the x axis.
        most: Evaluations drawn of each run, evenly spread; ``None`` for all.
    """
    rows = [row for curve in curves for row in evenly(_accuracies(curve, clock), most)]
    if not rows:
        return None
    values = [row["value"] for row in rows] + ([] if target is None else [target])
    # From a whole tenth below the lowest value to all of them.
    low = max(0.0, math.floor(min(values) * 10 - 1e-9) / 10)
    axis = alt.Axis(format="~%", tickCount=6)
    scale = alt.Scale(domain=[low, 1.0], nice=False, zero=False)
    y = alt.Y("value:Q", title=ACCURACY, scale=scale, axis=axis)
    heights = _Heights(170, low, 1.0, float)
    drawn = _drawn(looks_of(curves), rows, y, heights, clock, target)
    return Picture(themed(drawn), rows, words("accuracy_curve", target=target))


def looks_of(curves: Sequence[Curve]) -> list[Look]:
    """Return a look per run under its label: its method's, or one of its own where two share it."""
    looks = [replace(method_look(curve.method), label=curve.label) for curve in curves]
    if len({(look.color, look.dash) for look in looks}) == len(looks):
        return looks
    return [
        replace(look, color=_COLORS[k % len(_COLORS)], dash=_DASHES[k // len(_COLORS) % 3])
        for k, look in enumerate(looks)
    ]


def _losses(curve: Curve, clock: Clock) -> list[dict[str, Any]]:
    pairs = zip(curve.run.steps, loss_moments(curve.run), strict=True)
    return [
        _row(curve, LOSS, moment, step.loss)
        for step, moment in pairs
        if math.isfinite(step.loss) and step.loss > 0 and moment.on(clock) is not None
    ]


def _accuracies(curve: Curve, clock: Clock) -> list[dict[str, Any]]:
    pairs = [
        (Moment(m.step, m.measured_seconds, m.modelled_seconds), m.test_accuracy)
        for m in curve.run.metrics
        if math.isfinite(m.test_accuracy)
    ]
    # Before the first update no time has passed, which a log axis of seconds cannot show.
    steps = clock is Clock.STEP
    return [_row(curve, ACCURACY, at, value) for at, value in pairs if steps or at.on(clock)]


def _row(curve: Curve, quantity: str, moment: Moment, value: float) -> dict[str, Any]:
    return {
        "method": curve.label,
        "quantity": quantity,
        **{_FIELDS[clock]: moment.on(clock) for clock in Clock},
        "value": value,
    }


_FIELDS = {Clock.STEP: "step", Clock.MEASURED: "measured_s", Clock.MODELLED: "modelled_s"}


@dataclass(frozen=True)
class _Heights:
    """How high values stand in a plot of ``height`` px, whose axis is ``of`` a value."""

    height: float
    low: float
    high: float
    of: Callable[[float], float]

    def px(self, value: float) -> float:
        """Return the distance of a value from the plot's top."""
        return self.height * (self.high - self.of(value)) / (self.high - self.low)


def _drawn(
    looks: Sequence[Look],
    rows: Sequence[dict[str, Any]],
    y: alt.Y,
    heights: _Heights,
    clock: Clock,
    target: float | None = None,
) -> Any:
    """Return the runs' lines, each with its label."""
    names = {row["method"] for row in rows}
    looks = [look for look in looks if look.label in names]
    if len(looks) * _LABEL_GAP > heights.height:
        heights = replace(heights, height=(len(looks) + 1) * _LABEL_GAP)
    series, field = Series("method", looks, None), _FIELDS[clock]
    x, right = _x_axis([row[field] for row in rows], clock, several=len(looks) > 1)
    base = chart(rows).transform_calculate(x=f"datum.{field}")
    lines = base.mark_line(aria=False)
    lines = lines.encode(x=x, y=y, color=series.color, strokeDash=series.dash)
    tooltip = [alt.Tooltip("method:N"), alt.Tooltip("step:Q")]
    tooltip += [alt.Tooltip("value:Q", format=".4g", title=rows[0]["quantity"])]
    if clock is not Clock.STEP:
        tooltip.append(alt.Tooltip(f"{field}:Q", format=".3g", title=f"seconds ({clock})"))
    # Few values are marked one by one; points that nobody sees are easier to hit than a line.
    few = len(rows) <= 12 * len(looks)
    points = base.mark_point(size=30 if few else 120, opacity=float(few), aria=False)
    points = points.encode(x=x, y=y, color=series.color, tooltip=tooltip)
    parts, ends = [lines, points], []
    for look in looks:
        last = [row for row in rows if row["method"] == look.label][-1]
        end = LineEnd(heights.px(last["value"]), (look.label,), last[field], look.color)
        ends.append(end)
    if target is not None:
        rule = chart([{"value": target}]).mark_rule(strokeDash=[6, 3], color=DARK, aria=False)
        parts.insert(0, rule.encode(y=y))
        ends.append(LineEnd(heights.px(target), (f"target {100 * target:g}%",), right))
    drawn = with_labels(parts, ends, heights.height, x)
    return drawn.properties(width=PLOT_WIDTH, height=heights.height)


def _x_axis(values: Sequence[float], clock: Clock, *, several: bool) -> tuple[alt.X, float]:
    """Return the axis of a clock and its right end; seconds of several runs are on a log scale."""
    last = max(values)
    if clock is Clock.STEP:
        right = max(last, 1)
        scale = alt.Scale(domain=[0, right], nice=False)
        axis = style.step_axis(int(last))
        return alt.X("x:Q", title=clock.axis_title, axis=axis, scale=scale), right
    known = [value for value in values if value > 0]
    if several and known:
        ends = style.log_domain(min(known), last)
        return log_axis(alt.X, "x", clock.axis_title, ends, style.log_ticks(*ends), "~g"), ends[1]
    right = last or 1.0
    scale = alt.Scale(domain=[0, right], nice=False)
    return alt.X("x:Q", title=clock.axis_title, axis=alt.Axis(format="~g"), scale=scale), right
