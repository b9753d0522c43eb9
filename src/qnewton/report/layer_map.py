"""Which solver each layer's system goes to, step by step."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import altair as alt

from qnewton.report.save import Picture, inline_data
from qnewton.report.style import PLOT_WIDTH, scale_of, solver_look, themed
from qnewton.runs import Run

UNSOLVED = "first-order"
"""What a layer is drawn as whose system no solver solved."""

# Steps drawn of a longer run, evenly spread: more would be narrower than a pixel.
_MOST_STEPS = 200
_ROW_HEIGHT = 11


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
    colors = {look.label: look.color for look in looks}
    order = list(dict.fromkeys(cell.layer for cell in cells))
    panels = len({cell.panel for cell in cells})
    chart = (
        alt.Chart(inline_data(rows))
        .mark_rect()
        .encode(
            x=alt.X("step:O", title="step", axis=alt.Axis(labelOverlap=True, labelAngle=0)),
            y=alt.Y("layer:N", title=None, sort=order),
            color=alt.Color(
                "solver:N", scale=scale_of(colors, colors.values()), legend=alt.Legend(title=None)
            ),
            tooltip=["layer:N", "step:O", alt.Tooltip("n:Q", title="unknowns"), "solver:N"],
        )
        .properties(
            width=PLOT_WIDTH * (0.8 if panels > 1 else 1.0), height=_ROW_HEIGHT * len(order)
        )
    )
    whole = chart.facet(column=alt.Column("panel:N", title=None)) if panels > 1 else chart
    return Picture(themed(whole), rows, caption)


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
    larger = {name for step in shown for name in step.first_order_blocks}
    caption = (
        f"Who solved each layer's system, as policy {run.config.policy} decided from the prices of "
        "the step."
    )
    if larger:
        caption += (
            f" Above max_newton, without a system, and on first-order steps: "
            f"{', '.join(sorted(larger))}."
        )
    return layer_map(cells, caption)
