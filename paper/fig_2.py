"""Fig. 2: training loss of Newton and SGD on WikiText, BERT and Mistral."""

import math
from collections.abc import Mapping

import altair as alt

from paper import text_runs as text
from paper.artifact import ArtifactTable, Experiment, Finding, Texts
from paper.text_runs import ModelRuns
from qnewton.report import Picture
from qnewton.report.panels import Series, chart
from qnewton.report.style import BLACK, GREEN, PLOT_WIDTH, PURPLE, Look, themed
from qnewton.workloads.transformer import Architecture

PAPER_SAVING = {"bert": 0.75, "mistral": 0.67}
"""Share of SGD's steps that Newton saves, as the caption of Fig. 2 prints it."""

_TEXTS = Texts("fig-2")
_LOOKS = (Look("Newton", GREEN), Look("SGD", BLACK, (6, 3)), Look("Adam", PURPLE, (2, 2)))

Runs = Mapping[Architecture, ModelRuns]


def _steps_table(runs: Runs) -> ArtifactTable:
    """Return every setting of every optimizer with its steps to SGD's last loss."""
    rows = []
    for found in runs.values():
        tried = [("SGD", f"learning rate {rate:g}", run) for rate, run in found.sgd.items()]
        tried += [("Adam", f"learning rate {rate:g}", run) for rate, run in found.adam.items()]
        tried += [
            ("Newton", f"λ = {d:g}, β = {lr:g}", run) for (d, lr), run in found.newton.items()
        ]
        for name, setting, run in tried:
            last, metric = text.last_loss(run), run.metrics[-1]
            losses = (last if math.isfinite(last) else None, _known(metric.test_loss))
            head = (found.title, name, setting, found.steps_to_target(run))
            rows.append((*head, *losses, metric.measured_seconds, run.steps[-1].newton_share))
    return _TEXTS.table(
        "steps-to-loss",
        rows,
        setup=runs["bert"].setup,
        models=runs.values(),
        rescaled=[found.title for found in runs.values() if found.rescaled],
        notes=dict.fromkeys(note for found in runs.values() for note in found.notes),
    )


def _known(loss: float) -> float | None:
    return None if math.isnan(loss) else loss


def _finding(found: ModelRuns) -> Finding:
    steps, whole, rival = (found.steps_to_target(run) for run in found.best.values())
    whole = whole or found.setup.steps
    claim = PAPER_SAVING[found.model]
    saved = 0.0 if steps is None else 1 - steps / whole
    took = {"steps": steps, "whole": whole, "rival": rival, "saved": saved}
    return _TEXTS.finding("saving", saved >= claim, found=found, claim=claim, **took)


def _picture(runs: Runs) -> Picture:
    """Draw the averaged training loss of the best run of each optimizer, one panel per model."""
    rows = [
        {"model": found.title, "optimizer": name, "step": step + 1, "loss": loss}
        for found in runs.values()
        for name, run in found.best.items()
        for step, loss in enumerate(text.averaged_losses(run))
    ]
    series = Series("optimizer", _LOOKS, {"title": None})
    lines = chart(rows).mark_line(strokeWidth=2)
    lines = lines.encode(
        x=alt.X("step:Q", title="step"),
        y=alt.Y("loss:Q", title="training loss (nats per token)", scale=alt.Scale(zero=False)),
        color=series.color,
        strokeDash=series.dash,
    ).properties(width=PLOT_WIDTH * 0.8, height=220)
    both = lines.facet(column=alt.Column("model:N", title=None)).resolve_scale(y="independent")
    setup = runs["bert"].setup
    caption = _TEXTS.caption("fig-2", setup=setup, models=runs.values())
    return Picture(themed(both), rows, caption)


EXPERIMENT = Experiment(
    name="fig-2",
    title="Fig. 2: training loss of BERT and Mistral on WikiText",
    quick=text.QUICK_TEXT,
    full=text.FULL_TEXT,
    run=text.all_text_runs,
    tables=lambda runs: [_steps_table(runs)],
    pictures=lambda runs: {"fig-2": _picture(runs)},
    checks=lambda runs: [check for found in runs.values() for check in text.run_checks(found)],
    findings=lambda runs: [_finding(found) for found in runs.values()],
    settings=text.text_settings,
)
