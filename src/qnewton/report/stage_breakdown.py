"""Where the measured seconds of each step went."""

from typing import Any

import altair as alt

from qnewton.report.save import Picture, inline_data
from qnewton.report.style import PLOT_WIDTH, STAGES, scale_of, themed
from qnewton.runs import Run

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


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
    rows: list[dict[str, Any]] = [
        {
            "step": step.step,
            "stage": look.label,
            "order": order,
            "measured_seconds": getattr(step.measured, stage),
        }
        for step in steps
        for order, (stage, look) in enumerate(STAGES.items())
    ]
    chart = (
        alt.Chart(inline_data(rows))
        .transform_calculate(shown=f"datum.measured_seconds / {size}")
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X(
                "step:O",
                title="step",
                axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=6),
            ),
            y=alt.Y("shown:Q", title=f"measured time per step ({unit})"),
            color=alt.Color(
                "stage:N",
                scale=scale_of(*zip(*((s.label, s.color) for s in STAGES.values()), strict=True)),
                legend=alt.Legend(title=None, columns=3, symbolStrokeWidth=0),
            ),
            order=alt.Order("order:Q"),
            tooltip=["step:O", "stage:N", alt.Tooltip("measured_seconds:Q", format=".3s")],
        )
        .properties(width=PLOT_WIDTH, height=230)
    )
    shown = f"the first {len(steps)} of {len(run.steps)} steps" * (len(steps) < len(run.steps))
    caption = (
        f"Wall-clock time of {shown or 'each step'} on the machine that ran them, by stage. "
        "Nothing here is modelled."
    )
    return Picture(themed(chart), rows, caption)
