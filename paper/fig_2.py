"""Fig. 2: training loss of Newton and SGD on WikiText, BERT and Mistral."""

from collections.abc import Sequence

from paper.artifact import (
    Artifact,
    ArtifactTable,
    Check,
    Finding,
    PaperContext,
    PaperExperiment,
    Verdict,
)
from paper.text_pictures import loss_picture
from paper.text_runs import (
    MODELS,
    ModelRuns,
    TextSetup,
    last_loss,
    text_runs,
)
from qnewton.runs import Run

PAPER_SAVING = {"bert": 0.75, "mistral": 0.67}
"""Share of SGD's steps that Newton saves, as the caption of Fig. 2 prints it."""

NAMES = {"bert": "BERT", "mistral": "Mistral"}


def make(context: PaperContext, setup: TextSetup | None = None) -> Artifact:
    """Train what is missing and hold the steps against the paper's."""
    runs = [text_runs(context, model, setup) for model in MODELS]
    used = runs[0].setup
    return Artifact(
        name="fig-2",
        title="Fig. 2: training loss of BERT and Mistral on WikiText",
        tables=(steps_table(runs),),
        pictures={"fig-2": loss_picture(runs)},
        checks=tuple(check for found in runs for check in run_checks(found)),
        findings=tuple(_finding(found) for found in runs),
        settings={
            "batch": used.batch,
            "length": used.length,
            "steps": used.steps,
            "seed": context.seed,
            "full": context.full,
            "notes": list(dict.fromkeys(note for found in runs for note in found.notes)),
        },
    )


def steps_table(runs: Sequence[ModelRuns]) -> ArtifactTable:
    """Return every setting of every optimizer with its steps to SGD's last loss."""
    rows = []
    for found in runs:
        for label, grid in (
            ("SGD", [(f"learning rate {rate:g}", run) for rate, run in found.sgd.items()]),
            ("Adam", [(f"learning rate {rate:g}", run) for rate, run in found.adam.items()]),
            ("Newton", [(f"λ = {d:g}, β = {b:g}", run) for (d, b), run in found.newton.items()]),
        ):
            rows += [(NAMES[found.model], label, *_row(found, how, run)) for how, run in grid]
    setup = runs[0].setup
    return ArtifactTable(
        name="steps-to-loss",
        title="Steps to the loss that the best SGD ends at",
        columns=(
            "model",
            "optimizer",
            "setting",
            "steps to the target loss",
            "training loss at the end",
            "test loss at the end",
            "total (measured s)",
            "share of parameters with a Newton system",
        ),
        rows=tuple(rows),
        note=f"{setup.steps} steps, {setup.newton_steps} of Newton, of {setup.batch} sequences of "
        f"{setup.length} tokens; losses are means of the last five batches, the same for all. "
        f"{_rescaled_text(runs)}Target: "
        + ", ".join(
            f"{NAMES[found.model]} {found.target:.3f} (SGD {found.best_sgd:g})" for found in runs
        )
        + ". A dash: not reached, or diverged. "
        + "; ".join(dict.fromkeys(note for found in runs for note in found.notes))
        + ".",
    )


def _rescaled_text(runs: Sequence[ModelRuns]) -> str:
    """Return which models' layers are put together, a sentence, or nothing."""
    names = [NAMES[found.model] for found in runs if found.rescaled]
    if not names:
        return ""
    return (
        f"Newton's layers of {' and '.join(names)} are put together by the Fisher matrix between "
        "them (rescale). "
    )


def _row(found: ModelRuns, how: str, run: Run) -> tuple[object, ...]:
    loss, metric = last_loss(run), run.metrics[-1]
    return (
        how,
        found.steps_to_target(run),
        None if loss == float("inf") else loss,
        metric.test_loss if metric.test_loss == metric.test_loss else None,
        metric.measured_seconds,
        run.steps[-1].newton_share,
    )


def run_checks(found: ModelRuns) -> tuple[Check, ...]:
    """Return what must hold of one model's runs."""
    first = {
        run.steps[0].loss
        for run in (*found.sgd.values(), *found.adam.values(), *found.newton.values())
    }
    reaches = found.steps_to_target(found.sgd[found.best_sgd])
    return (
        Check(
            name=f"every {NAMES[found.model]} run begins at the same loss of the same batch",
            passed=max(first) - min(first) <= 1e-4 * max(first),
            detail=f"from {min(first):.6f} to {max(first):.6f}",
        ),
        Check(
            name=f"the best SGD of {NAMES[found.model]} reaches its own last loss",
            passed=reaches is not None,
            detail=f"after {reaches} of {found.setup.steps} steps",
        ),
    )


def _finding(found: ModelRuns) -> Finding:
    newton, adam = found.newton[found.best_newton], found.adam[found.best_adam]
    steps, rival = found.steps_to_target(newton), found.steps_to_target(adam)
    whole = found.steps_to_target(found.sgd[found.best_sgd]) or found.setup.steps
    claim = PAPER_SAVING[found.model]
    verdict: Verdict = "does not hold"
    if steps is None:
        saving = "Newton does not reach that loss"
    else:
        saving = (
            f"Newton (λ = {found.best_newton[0]:g}, β = {found.best_newton[1]:g}) takes {steps}"
        )
        if 1 - steps / whole >= claim:
            verdict = "holds"
        elif steps < whole:
            verdict = "holds under a named assumption"
    other = "does not reach it" if rival is None else f"takes {rival}"
    return Finding(
        claim=f"Newton saves {100 * claim:.0f}% of SGD's steps on {NAMES[found.model]} (Fig. 2)",
        measured=f"to training loss {found.target:.3f} the best SGD ({found.best_sgd:g} of "
        f"{', '.join(f'{rate:g}' for rate in found.sgd)}) takes {whole} steps, {saving}, the best "
        f"Adam ({found.best_adam:g}) {other} (batch {found.setup.batch} × {found.setup.length} "
        "tokens)",
        verdict=verdict,
        assumption=None
        if verdict != "holds under a named assumption"
        else "a smaller saving: "
        f"{100 * (1 - (steps or whole) / whole):.0f}% at this batch and length, tens of steps in",
        command="qnewton paper fig-2",
    )


EXPERIMENT = PaperExperiment(
    name="fig-2",
    title="Fig. 2: training loss of Newton and SGD on WikiText, BERT and Mistral",
    make=make,
)
