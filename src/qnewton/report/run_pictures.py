"""Where a run's seconds went, and who solved which layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from qnewton.records import StageSeconds
from qnewton.report.clocks import Clock
from qnewton.report.panels import Series, chart, rows_of
from qnewton.report.sampling import evenly
from qnewton.report.save import Picture
from qnewton.report.style import PLOT_WIDTH, STAGES, solver_look, themed
from qnewton.report.vega import alt
from qnewton.report.words import words
from qnewton.runs import Run

UNSOLVED = "first-order"
"""What a layer is drawn as whose system no solver solved."""

# Cells drawn of a longer run, its steps evenly spread.
_MOST_CELLS = 3000
_MOST_STEPS = 200
_ROW_HEIGHT = 11
_FEWEST_PIXELS = 80
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def stage_breakdown(run: Run, n_bars: int = 30, clock: Clock = Clock.MEASURED) -> Picture:
    """Draw the seconds of a run's steps on one clock, stacked by stage.

    Args:
        run: The run.
        n_bars: The most bars. Of a longer run each is the mean of several steps in a row, and
            stands at the first of them.
        clock: The measured clock, or the modelled one.

    Raises:
        ValueError: If the run has no steps with seconds on that clock.
    """
    each = max(1, math.ceil(len(run.steps) / n_bars))
    known = [
        (run.steps[at].step, _mean(timed))
        for at in range(0, len(run.steps), each)
        if (timed := [s for step in run.steps[at : at + each] if (s := getattr(step, clock))])
    ]
    if not known:
        raise ValueError(f"{run.folder} has no {clock} steps to draw; train at least one")
    longest = max(math.fsum(seconds.values()) for _, seconds in known)
    size, unit = next((u for u in _UNITS if longest >= u[0]), _UNITS[-1])
    rows = rows_of(
        ("step", "stage", "order", f"{clock}_seconds"),
        (
            (step, look.label, order, seconds[stage])
            for step, seconds in known
            for order, (stage, look) in enumerate(STAGES.items())
        ),
    )
    series = Series(
        "stage",
        list(STAGES.values()),
        {"title": None, "columns": 2, "symbolStrokeWidth": 0},
    )
    axis = alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=6)
    bars = (
        chart(rows)
        .mark_bar(stroke="white", strokeWidth=0.5, aria=False)
        .encode(
            x=alt.X("step:O", title="step", axis=axis),
            y=alt.Y("shown:Q", title=f"{clock} time per step ({unit})"),
            color=series.color,
            order=alt.Order("order:Q"),
            tooltip=["step:O", "stage:N", alt.Tooltip(f"{clock}_seconds:Q", format=".3s")],
        )
    )
    bars = bars.transform_calculate(shown=f"datum.{clock}_seconds / {size}")
    bars = bars.properties(width=PLOT_WIDTH, height=230)
    caption = words("stages", clock=clock, each=each)
    return Picture(themed(bars), rows, caption)


def _mean(timed: Sequence[StageSeconds]) -> dict[str, float]:
    """Return the mean seconds of several steps, by stage."""
    return {
        stage: math.fsum(getattr(seconds, stage) for seconds in timed) / len(timed)
        for stage in STAGES
    }


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
    series = Series("solver", list(dict.fromkeys(looks)), {"title": None, "columns": 2})
    order = list(dict.fromkeys(cell.layer for cell in cells))
    panels = len({cell.panel for cell in cells})
    drawn = (
        chart(rows)
        .mark_rect(aria=False)
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
    shown = evenly(steps, min(_MOST_STEPS, _MOST_CELLS // max(len(s.blocks) for s in steps)))
    cells = [
        LayerCell("run", step.step, block.name, block.n, block.solver or UNSOLVED)
        for step in shown
        for block in step.blocks
    ]
    larger = sorted({name for step in shown for name in step.first_order_blocks})
    picture = layer_map(cells, words("layers", policy=run.config.policy, larger=larger))
    height = max(_FEWEST_PIXELS, _ROW_HEIGHT * len({cell.layer for cell in cells}))
    return replace(picture, chart=picture.chart.properties(height=height))
