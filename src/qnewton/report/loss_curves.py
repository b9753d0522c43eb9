"""Loss and test accuracy against the step, several runs in one picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from qnewton.records import StepRecord
from qnewton.report import style
from qnewton.report.save import Picture, inline_data
from qnewton.runs import Run


@dataclass(frozen=True)
class Curve:
    """One run as the picture shows it.

    Attributes:
        run: The run.
        method: Decides color and dash: ``sgd``, ``q-newton``…
        label: Its entry in the legend.
    """

    run: Run
    method: str
    label: str


def loss_curves(curves: Sequence[Curve], target: float | None = None) -> Picture:
    """Draw training loss (log scale) above test accuracy, both against the step.

    Args:
        curves: The runs, in the legend's order.
        target: Test accuracy to reach, drawn as a line; ``None`` for none.

    Raises:
        ValueError: If no run has a finite loss to draw.
    """
    losses = [
        _row(curve, "train loss", step.step, step.loss)
        for curve in curves
        for step in drawable_steps(curve.run)
    ]
    accuracies = [
        _row(curve, "test accuracy", metric.step, metric.test_accuracy)
        for curve in curves
        for metric in curve.run.metrics
    ]
    if not losses:
        raise ValueError("no step with a finite, positive loss to draw; train at least one step")
    last_step = max(row["step"] for row in (*losses, *accuracies))
    panels = [_loss_panel(curves, losses, last_step)]
    if accuracies:
        panels.append(_accuracy_panel(curves, accuracies, last_step, target))
    chart = alt.vconcat(*panels, spacing=14).resolve_scale(x="shared", color="shared")
    caption = "Training loss before each step's update, and accuracy on the whole test set."
    if target is not None:
        caption += f" The dashed line is the target, {100 * target:g}%."
    return Picture(style.themed(chart), [*losses, *accuracies], caption)


def drawable_steps(run: Run) -> list[StepRecord]:
    """Return the steps whose loss a log axis can show: finite and positive."""
    return [step for step in run.steps if math.isfinite(step.loss) and step.loss > 0]


def _row(curve: Curve, quantity: str, step: int, value: float) -> dict[str, Any]:
    return {"method": curve.label, "quantity": quantity, "step": step, "value": value}


def _encodings(curves: Sequence[Curve]) -> dict[str, Any]:
    looks = [style.method_look(curve.method) for curve in curves]
    dashes = [list(look.dash) or [1, 0] for look in looks]
    labels = [curve.label for curve in curves]
    legend = alt.Legend(
        title=None,
        columns=1 if max(map(len, labels)) > 24 else 2,
        symbolType="stroke",
        symbolSize=500,
    )
    return {
        "color": alt.Color(
            "method:N", scale=style.scale_of(labels, (look.color for look in looks)), legend=legend
        ),
        "strokeDash": alt.StrokeDash(
            "method:N", scale=style.scale_of(labels, dashes), legend=legend
        ),
        "tooltip": ["method:N", "step:Q", alt.Tooltip("value:Q", format=".4g")],
    }


def _panel(curves: Sequence[Curve], rows: list[dict[str, Any]], x: alt.X, y: alt.Y) -> alt.Chart:
    # Few values are marked one by one, since a single one would leave no line at all.
    points = alt.OverlayMarkDef(size=30) if len(rows) <= 12 * len(curves) else False
    lines = alt.Chart(inline_data(rows)).mark_line(point=points)
    return lines.encode(x=x, y=y, **_encodings(curves)).properties(width=style.PLOT_WIDTH)


def _loss_panel(curves: Sequence[Curve], rows: list[dict[str, Any]], last_step: int) -> Any:
    values = [row["value"] for row in rows]
    low, high = style.log_domain(min(values), max(values))
    y = alt.Y(
        "value:Q",
        title="train loss",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~g", values=style.log_ticks(low, high)),
    )
    x = alt.X("step:Q", title=None, axis=style.step_axis(last_step, labels=False))
    return _panel(curves, rows, x, y).properties(height=170)


def _accuracy_panel(
    curves: Sequence[Curve], rows: list[dict[str, Any]], last_step: int, target: float | None
) -> Any:
    axis = alt.Axis(format="~%", tickCount=6)
    y = alt.Y("value:Q", title="test accuracy", scale=alt.Scale(zero=False), axis=axis)
    x = alt.X("step:Q", title="step", axis=style.step_axis(last_step))
    lines = _panel(curves, rows, x, y).properties(height=140)
    if target is None:
        return lines
    mark = alt.Chart(inline_data([{"value": target, "text": ["target", f"{100 * target:g}%"]}]))
    rule = mark.mark_rule(strokeDash=[6, 3], color="#444444").encode(y="value:Q")
    # In the margin at the line's end, where no curve can cross it.
    label = mark.mark_text(align="left", baseline="middle", dx=5, dy=-6, lineHeight=13).encode(
        y="value:Q", x=alt.value(style.PLOT_WIDTH), text="text:N"
    )
    return alt.layer(rule, lines, label)
