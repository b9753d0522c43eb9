"""Pictures of the language models: loss by step, and where each layer's solve goes."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from paper.layer_pricing import StepSolves
from paper.text_runs import ModelRuns, averaged_losses
from qnewton.report import LayerCell, Picture, layer_map
from qnewton.report.save import inline_data
from qnewton.report.style import BLACK, GREEN, PLOT_WIDTH, PURPLE, Look, themed

_LOOKS = {
    "newton": Look("Newton", GREEN),
    "sgd": Look("SGD", BLACK, (6, 3)),
    "adam": Look("Adam", PURPLE, (2, 2)),
}
_NAMES = {"bert": "BERT", "mistral": "Mistral"}


def loss_picture(runs: Sequence[ModelRuns]) -> Picture:
    """Draw the averaged training loss of the best run of each optimizer, a panel a model."""
    rows: list[dict[str, Any]] = []
    for found in runs:
        best = {
            "newton": found.newton[found.best_newton],
            "sgd": found.sgd[found.best_sgd],
            "adam": found.adam[found.best_adam],
        }
        rows += [
            {
                "model": _NAMES[found.model],
                "optimizer": _LOOKS[name].label,
                "step": step + 1,
                "loss": loss,
            }
            for name, run in best.items()
            for step, loss in enumerate(averaged_losses(run))
        ]
    looks = list(_LOOKS.values())
    labels = [look.label for look in looks]
    chart = (
        alt.Chart(inline_data(rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("loss:Q", title="training loss (nats a token)", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "optimizer:N",
                scale=alt.Scale(domain=labels, range=[look.color for look in looks]),
                legend=alt.Legend(title=None),
            ),
            strokeDash=alt.StrokeDash(
                "optimizer:N",
                scale=alt.Scale(domain=labels, range=[list(look.dash or (1, 0)) for look in looks]),
                legend=alt.Legend(title=None),
            ),
        )
        .properties(width=PLOT_WIDTH * 0.8, height=220)
        .facet(column=alt.Column("model:N", title=None))
        .resolve_scale(y="independent")
    )
    setup = runs[0].setup
    caption = (
        f"Measured: training loss on WikiText-2, mean of the last five batches of {setup.batch} "
        f"sequences of {setup.length} tokens, the same batches for all; each optimizer at the best "
        "setting of its grid. "
        + " ".join(
            f"{_NAMES[found.model]}: SGD {found.best_sgd:g}, Adam {found.best_adam:g}, Newton "
            f"λ = {found.best_newton[0]:g}, β = {found.best_newton[1]:g}."
            for found in runs
        )
    )
    return Picture(themed(chart), rows, caption)


def layers_picture(steps: Mapping[str, Sequence[StepSolves]], title: str) -> Picture:
    """Draw, by classical machine, which solver each layer's system goes to at every step."""
    cells = [
        LayerCell(
            machine, choice.step, choice.layer.removeprefix("model."), choice.n, choice.chosen
        )
        for machine, found in steps.items()
        for step in found
        for choice in step.layers
    ]
    return layer_map(cells, title)
