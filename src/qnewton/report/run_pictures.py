"""What a run looks like: loss and accuracy, where its seconds went, who solved which layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from qnewton.records import StepRecord
from qnewton.report import style
from qnewton.report.panels import DARK, Series, chart, log_axis, rows_of
from qnewton.report.save import Picture
from qnewton.report.style import PLOT_WIDTH, STAGES, method_look, solver_look, step_axis, themed
from qnewton.report.vega import alt
from qnewton.report.words import words
from qnewton.runs import Run

UNSOLVED = "first-order"
"""What a layer is drawn as whose system no solver solved."""

# Steps drawn of a longer run, evenly spread: more would be narrower than a pixel.
_MOST_STEPS = 200
_ROW_HEIGHT = 11
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


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
    both = alt.vconcat(*panels, spacing=14).resolve_scale(x="shared", color="shared")
    return Picture(themed(both), [*losses, *accuracies], words("loss", target=target))


def drawable_steps(run: Run) -> list[StepRecord]:
    """Return the steps whose loss a log axis can show: finite and positive."""
    return [step for step in run.steps if math.isfinite(step.loss) and step.loss > 0]


def _row(curve: Curve, quantity: str, step: int, value: float) -> dict[str, Any]:
    return {"method": curve.label, "quantity": quantity, "step": step, "value": value}


def _panel(curves: Sequence[Curve], rows: list[dict[str, Any]], x: alt.X, y: alt.Y) -> alt.Chart:
    # Few values are marked one by one, since a single one would leave no line at all.
    points = alt.OverlayMarkDef(size=30) if len(rows) <= 12 * len(curves) else False
    looks = [replace(method_look(curve.method), label=curve.label) for curve in curves]
    columns = 1 if max(len(look.label) for look in looks) > 24 else 2
    legend = {"title": None, "columns": columns, "symbolType": "stroke", "symbolSize": 500}
    series = Series("method", looks, legend)
    lines = chart(rows).mark_line(point=points).properties(width=PLOT_WIDTH)
    tooltip = ["method:N", "step:Q", alt.Tooltip("value:Q", format=".4g")]
    return lines.encode(x=x, y=y, color=series.color, strokeDash=series.dash, tooltip=tooltip)


def _loss_panel(curves: Sequence[Curve], rows: list[dict[str, Any]], last_step: int) -> Any:
    values = [row["value"] for row in rows]
    ends = style.log_domain(min(values), max(values))
    y = log_axis(alt.Y, "value", "train loss", ends, style.log_ticks(*ends), "~g")
    x = alt.X("step:Q", title=None, axis=step_axis(last_step, labels=False))
    return _panel(curves, rows, x, y).properties(height=170)


def _accuracy_panel(
    curves: Sequence[Curve], rows: list[dict[str, Any]], last_step: int, target: float | None
) -> Any:
    axis = alt.Axis(format="~%", tickCount=6)
    y = alt.Y("value:Q", title="test accuracy", scale=alt.Scale(zero=False), axis=axis)
    x = alt.X("step:Q", title="step", axis=step_axis(last_step))
    lines = _panel(curves, rows, x, y).properties(height=140)
    if target is None:
        return lines
    mark = chart([{"value": target, "text": ["target", f"{100 * target:g}%"]}])
    rule = mark.mark_rule(strokeDash=[6, 3], color=DARK).encode(y="value:Q")
    # In the margin at the line's end, where no curve can cross it.
    label = mark.mark_text(align="left", baseline="middle", dx=5, dy=-6, lineHeight=13).encode(
        y="value:Q", x=alt.value(PLOT_WIDTH), text="text:N"
    )
    return alt.layer(rule, lines, label)


def stage_breakdown(run: Run, n_steps: int = 30) -> Picture:
    """Draw the measured seconds of the first steps, stacked by stage.

    Args:
        run: The run.
        n_steps: How many of its first steps to draw.

    Raises:
        ValueError: If the run has no steps.
    """
    steps = run.steps[:n_steps]
    if not steps:
        raise ValueError(f"{run.folder} has no steps to draw; train at least one")
    longest = max(step.measured.total for step in steps)
    size, unit = next((u for u in _UNITS if longest >= u[0]), _UNITS[-1])
    rows = rows_of(
        ("step", "stage", "order", "measured_seconds"),
        (
            (step.step, look.label, order, getattr(step.measured, stage))
            for step in steps
            for order, (stage, look) in enumerate(STAGES.items())
        ),
    )
    series = Series(
        "stage", list(STAGES.values()), {"title": None, "columns": 3, "symbolStrokeWidth": 0}
    )
    axis = alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=6)
    bars = (
        chart(rows)
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("step:O", title="step", axis=axis),
            y=alt.Y("shown:Q", title=f"measured time per step ({unit})"),
            color=series.color,
            order=alt.Order("order:Q"),
            tooltip=["step:O", "stage:N", alt.Tooltip("measured_seconds:Q", format=".3s")],
        )
    )
    bars = bars.transform_calculate(shown=f"datum.measured_seconds / {size}")
    bars = bars.properties(width=PLOT_WIDTH, height=230)
    caption = words("stages", steps=len(steps), all_steps=len(run.steps))
    return Picture(themed(bars), rows, caption)


@dataclass(frozen=True)
class LayerCell:
    """One layer's system at one step.

    Attributes:
        panel: Which of several maps side by side it belongs to.
        step: The step.
        layer: The block's name.
        n: Its unknowns.
        solver: Who took it, by its name in quotes.
    """

    panel: str
    step: int
    layer: str
    n: int
    solver: str


def layer_map(cells: Sequence[LayerCell], caption: str) -> Picture:
    """Draw layers against steps, the solver as color; one map per panel.

    Args:
        cells: In the order of layers and steps.
        caption: What was decided by whom, and what is modelled.

    Raises:
        ValueError: If there are no cells.

    Example:
        >>> cells = [LayerCell("run", step, "0", 8, "cholesky") for step in range(3)]
        >>> layer_map(cells, "Three steps.").rows[0]["solver"]
        'Cholesky'
    """
    if not cells:
        raise ValueError("no step has layers to draw; take a Newton step first")
    looks = [solver_look(cell.solver) for cell in cells]
    rows = [asdict(c) | {"solver": look.label} for c, look in zip(cells, looks, strict=True)]
    series = Series("solver", list(dict.fromkeys(looks)), {"title": None})
    order = list(dict.fromkeys(cell.layer for cell in cells))
    panels = len({cell.panel for cell in cells})
    drawn = (
        chart(rows)
        .mark_rect()
        .encode(
            x=alt.X("step:O", title="step", axis=alt.Axis(labelOverlap=True, labelAngle=0)),
            y=alt.Y("layer:N", title=None, sort=order),
            color=series.color,
            tooltip=["layer:N", "step:O", alt.Tooltip("n:Q", title="unknowns"), "solver:N"],
        )
    )
    width = PLOT_WIDTH * (0.8 if panels > 1 else 1.0)
    drawn = drawn.properties(width=width, height=_ROW_HEIGHT * len(order))
    if panels > 1:
        drawn = drawn.facet(column=alt.Column("panel:N", title=None))
    return Picture(themed(drawn), rows, caption)


def layers_of_run(run: Run) -> Picture | None:
    """Draw who solved each layer of a run; ``None`` where no step has more than one system."""
    steps = [step for step in run.steps if step.blocks]
    if not any(len(step.blocks) > 1 for step in steps):
        return None
    shown = steps[:: -(-len(steps) // _MOST_STEPS)]
    cells = [
        LayerCell("run", step.step, block.name, block.n, block.solver or UNSOLVED)
        for step in shown
        for block in step.blocks
    ]
    larger = sorted({name for step in shown for name in step.first_order_blocks})
    return layer_map(cells, words("layers", policy=run.config.policy, larger=larger))
