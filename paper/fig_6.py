"""Fig. 6: the p%-sparsity of the Hessian's rows before and during training, with κ beside it."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from paper.artifact import (
    Artifact,
    ArtifactTable,
    Check,
    Finding,
    PaperContext,
    PaperExperiment,
    Verdict,
)
from paper.hessian_snapshots import MASSES, Regime, Snapshot, Training, observe
from paper.sparsity_picture import (
    histogram_rows,
    mass_label,
    sparsity_picture,
)
from qnewton.report import Picture
from qnewton.report.quantities import number_text
from qnewton.workloads import Workload, load_workload
from qnewton.workloads.mlp import build_mlp
from qnewton.workloads.mnist import _arrays

PAPER_STEPS = (0, 10)
STEPS = (*PAPER_STEPS, 100)
FULL_STEPS = (*STEPS, 300)

NEWTON = Regime(name="newton", label="Newton, λ = 1", optimizer="newton", lr=1.0)
SGD = Regime(name="sgd", label="SGD, rate 0.1", optimizer="sgd", lr=0.1, blocks="tensor")
SCRIPT = Regime(
    name="script",
    label="Newton as in the published script",
    optimizer="newton",
    lr=0.01,
    blocks="layer",
    damping=5e-3,
    relative=True,
    clip=100.0,
)
"""The authors' own script behind Fig. 6: github.com/UNITES-Lab/q-newton, real-hessian,
save-mlp-mnist-hessian-cum-numel.py at commit 5021386. Pixels of 0 to 255 as they are, 784-16-10,
batches of 4096, λ = 5e-3·max|H| a layer."""


def published_workload(workload: Workload, data_dir: Path | None) -> Workload:
    """Return MNIST and the network as the authors' script has them, in place of ours."""
    arrays, _ = _arrays(data_dir)
    images = {
        split: torch.from_numpy(
            arrays[f"{split}-images-idx3-ubyte"].reshape(-1, 784).astype(np.float32)
        )
        for split in ("train", "t10k")
    }
    return dataclasses.replace(
        workload,
        train_inputs=images["train"],
        test_inputs=images["t10k"],
        build_model=partial(build_mlp, (784, 16, 10), initialisation="lecun"),
        batch_size=4096,
    )


def watch(
    workload: Workload, published: Workload, steps: Sequence[int], context: PaperContext
) -> list[Training]:
    """Return what was seen of all three trainings, Newton's first."""
    newton = observe(workload, NEWTON, steps, context.seed, context.progress)
    # The same weights, batch and λ, so step 0 looks the same.
    start = newton.snapshots[0]
    sgd = observe(workload, SGD, steps, context.seed, context.progress, start=start)
    script = observe(published, SCRIPT, PAPER_STEPS, context.seed, context.progress)
    return [newton, sgd, script]


def _sparsity_table(snapshots: Sequence[Snapshot]) -> ArtifactTable:
    return ArtifactTable(
        name="fig-6-sparsity",
        title="Fig. 6: p%-sparsity of the rows of H",
        columns=(
            "training",
            "step",
            "p (%)",
            "rows",
            "all-zero rows",
            "10% of rows below",
            "median",
            "90% of rows below",
            "largest",
        ),
        rows=tuple(
            (
                s.regime.label,
                s.step,
                100 * mass,
                s.n,
                s.zero_rows,
                *(float(np.quantile(counts, q)) for q in (0.1, 0.5, 0.9)),
                int(counts.max()),
            )
            for s in snapshots
            for mass, counts in zip(MASSES, s.sparsity, strict=True)
        ),
        note="H of the first weight, not damped. Rows of pixels that never vary, or of units that "
        "answer to nothing, are all zero and count with sparsity 0.",
    )


def _condition_table(snapshots: Sequence[Snapshot]) -> ArtifactTable:
    return ArtifactTable(
        name="fig-6-condition",
        title="Fig. 6, beside it: condition number of H + λI",
        columns=(
            "training",
            "step",
            "loss",
            "test accuracy (%)",
            "first-layer outputs above 0 (%)",
            "λ",
            "κ of H + λI (Lanczos)",
            "κ at least",
            "κ at most",
            "largest 50%-sparsity of H + λI (d)",
        ),
        rows=tuple(
            (
                s.regime.label,
                s.step,
                s.loss,
                100 * s.test_accuracy,
                100 * s.active_share,
                s.damping,
                s.condition.value,
                s.condition.low,
                s.condition.high,
                s.damped_sparsity,
            )
            for s in snapshots
        ),
        note="The first weight's block. Without λ it is singular, so that it has no finite κ.",
    )


def _pictures(
    trainings: Sequence[Training], workload: Workload, context: PaperContext
) -> dict[str, Picture]:
    notes = {
        "newton": f"full Newton steps on all parameters at once, λ = 1, {_data(workload)}",
        "sgd": f"SGD at learning rate 0.1, {_data(workload)}",
        "script": "the settings of the authors' published script: pixels of 0 to 255 not "
        "standardized, network 784-16-10, batch 4096, Newton steps of length 0.01 a layer with "
        "λ = 0.005·max|H|",
    }
    names = {"newton": "fig-6", "sgd": "fig-6-sgd", "script": "fig-6-published-script"}
    pictures = {}
    for training in trainings:
        shown = training.snapshots
        conditions = ", ".join(f"{s.condition.describe()} at step {s.step}" for s in shown)
        zero = ", ".join(f"{100 * s.zero_rows / s.n:.1f}% at step {s.step}" for s in shown)
        caption = (
            f"Rows of the {shown[0].n:,} × {shown[0].n:,} Hessian of the first weight (measured, "
            f"{'full' if context.full else 'quick'} version, seed {context.seed}): "
            f"{notes[training.regime.name]}. Dashed lines and numbers: medians. All-zero rows "
            f"(in the first bin): {zero}. κ of H + λI: {conditions}. The paper gives no numbers "
            "for its Fig. 6; it says that the distributions move to the left from step 0 to 10."
        )
        if training.ended is not None:
            caption += f" Training ended early: {training.ended}."
        pictures[names[training.regime.name]] = sparsity_picture(shown, caption)
    return pictures


def _data(workload: Workload) -> str:
    batch = workload.batch_size or workload.n_train
    return f"{workload.title}, standardized, batch {batch}"


def _checks(snapshots: Sequence[Snapshot], table: ArtifactTable) -> tuple[Check, ...]:
    sums = [
        sum(row["rows"] for row in histogram_rows([s]) if row["p"] == mass_label(mass))
        for s in snapshots
        for mass in MASSES
    ]
    expected = [s.n for s in snapshots for _ in MASSES]
    ordered = all(bool((np.diff(s.sparsity, axis=0) >= 0).all()) for s in snapshots)
    bracketed = all(
        s.condition.value is not None
        and (s.condition.low or 1.0) <= s.condition.value
        and (s.condition.high is None or s.condition.value <= s.condition.high)
        for s in snapshots
    )
    medians = [float(np.median(counts)) for s in snapshots for counts in s.sparsity]
    return (
        Check(
            name="every histogram holds every row once",
            passed=sums == expected,
            detail=f"{len(sums)} histograms of {sorted(set(expected))} rows",
        ),
        Check(
            name="no row needs fewer entries for more of its sum",
            passed=ordered,
            detail=f"{len(snapshots)} snapshots",
        ),
        Check(
            name="the survey's own p%-sparsity agrees on a sample of rows",
            passed=all(s.agrees for s in snapshots),
            detail=f"{sum(s.agrees for s in snapshots)} of {len(snapshots)} snapshots",
        ),
        Check(
            name="every κ lies in its bracket",
            passed=bracketed,
            detail=", ".join(s.condition.describe() for s in snapshots),
        ),
        Check(
            name="the table holds the medians of the rows",
            passed=[row[6] for row in table.rows] == medians,
            detail=f"{len(medians)} medians",
        ),
    )


def _findings(trainings: Sequence[Training]) -> tuple[Finding, Finding]:
    return _sparsity_finding(trainings), _condition_finding(trainings)


def _sparsity_finding(trainings: Sequence[Training]) -> Finding:
    parts = []
    falls = {}
    for training in trainings:
        regime, shown = training.regime, training.snapshots
        medians = {
            mass: [float(np.median(s.sparsity[k])) for s in shown] for k, mass in enumerate(MASSES)
        }
        falls[regime] = all(
            max(values[1:], default=values[0]) < values[0] for values in medians.values()
        )
        trends = ", ".join(
            f"{mass_label(mass)} {' → '.join(f'{value:,.0f}' for value in values)}"
            for mass, values in medians.items()
        )
        steps = " → ".join(str(s.step) for s in shown)
        parts.append(f"{regime.label} (steps {steps}; {_progress(shown)}): {trends}")
    verdict, assumption = _verdict(falls, trainings)
    return Finding(
        claim="Insight 2, Fig. 6: during training the magnitudes in the Hessian's rows become more "
        "extreme, and the p%-sparsity falls",
        measured="Median p%-sparsity of the rows of the first weight's Hessian. "
        f"{'. '.join(parts)}.",
        verdict=verdict,
        assumption=assumption,
        command="qnewton paper fig-6",
    )


def _condition_finding(trainings: Sequence[Training]) -> Finding:
    parts = []
    falls = {}
    for training in trainings:
        regime, shown = training.regime, training.snapshots
        values = [s.condition.value or float("inf") for s in shown]
        falls[regime] = max(values[1:], default=values[0]) < values[0]
        trend = " → ".join(number_text(value) for value in values)
        steps = " → ".join(str(s.step) for s in shown)
        parts.append(f"{regime.label} (steps {steps}): {trend}")
    verdict, assumption = _verdict(falls, trainings)
    return Finding(
        claim="Insight 3: during training the Hessian's condition number gradually decreases",
        measured=f"κ of H + λI, first weight's block, by Lanczos to 1%. {'. '.join(parts)}. "
        "Without λ the block is singular at every step.",
        verdict=verdict,
        assumption=assumption,
        command="qnewton paper fig-6",
    )


def _progress(shown: Sequence[Snapshot]) -> str:
    accuracies = " → ".join(f"{100 * s.test_accuracy:.0f}%" for s in shown)
    active = " → ".join(f"{100 * s.active_share:.0f}%" for s in shown)
    return f"test accuracy {accuracies}, first-layer outputs above 0 {active}"


def _verdict(
    falls: dict[Regime, bool], trainings: Sequence[Training]
) -> tuple[Verdict, str | None]:
    where = [training for training in trainings if falls[training.regime]]
    if not where:
        return "does not hold", None
    if all(falls.values()):
        return "holds", None
    described = " or ".join(f"{t.regime.label} ({_progress(t.snapshots)})" for t in where)
    others = " or ".join(regime.label for regime, fell in falls.items() if not fell)
    return "holds under a named assumption", f"training is {described}; not with {others}"


def make(context: PaperContext) -> Artifact:
    """Train three ways and look at the rows of the first weight's Hessian."""
    steps = FULL_STEPS if context.full else STEPS
    workload = load_workload("mnist", context.seed, context.data_dir)
    published = published_workload(workload, context.data_dir)
    trainings = watch(workload, published, steps, context)
    snapshots = [snapshot for training in trainings for snapshot in training.snapshots]
    table = _sparsity_table(snapshots)
    return Artifact(
        name="fig-6",
        title="Fig. 6: sparsity of the Hessian's rows during training",
        tables=(table, _condition_table(snapshots)),
        pictures=_pictures(trainings, workload, context),
        checks=_checks(snapshots, table),
        findings=_findings(trainings),
        settings={
            "workload": workload.name,
            "batch": workload.batch_size,
            "seed": context.seed,
            "steps": steps,
            "regimes": [NEWTON, SGD, SCRIPT],
        },
    )


EXPERIMENT = PaperExperiment(
    name="fig-6", title="p%-sparsity of the Hessian's rows during training, and κ", make=make
)
