"""Fig. 6: the p%-sparsity of the Hessian's rows before and during training, with κ beside it."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, table
from paper.hessian_snapshots import MASSES, Regime, Snapshot, Training, observe
from paper.sparsity_picture import histogram_rows, mass_label, sparsity_picture
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


@dataclass(frozen=True)
class Seen:
    """What was seen of all trainings."""

    context: PaperContext
    workload: Workload
    steps: Sequence[int]
    trainings: Sequence[Training]

    @property
    def snapshots(self) -> list[Snapshot]:
        """Every look, training by training."""
        return [snapshot for training in self.trainings for snapshot in training.snapshots]


def published_workload(workload: Workload, data_dir: Path | None) -> Workload:
    """Return MNIST and the network as the authors' script has them, in place of ours."""
    arrays, _ = _arrays(data_dir)
    train, test = (
        torch.from_numpy(arrays[f"{name}-images-idx3-ubyte"].reshape(-1, 784).astype(np.float32))
        for name in ("train", "t10k")
    )
    return dataclasses.replace(
        workload,
        train_inputs=train,
        test_inputs=test,
        build_model=partial(build_mlp, (784, 16, 10), initialisation="lecun"),
        batch_size=4096,
    )


def _run(context: PaperContext, steps: Sequence[int]) -> Seen:
    """Train three ways, Newton's first, and look at the rows of the first weight's Hessian."""
    workload = load_workload("mnist", context.seed, context.data_dir)
    published = published_workload(workload, context.data_dir)
    newton = observe(workload, NEWTON, steps, context.seed, context.progress)
    # The same weights, batch and λ, so step 0 looks the same.
    start = newton.snapshots[0]
    sgd = observe(workload, SGD, steps, context.seed, context.progress, start=start)
    script = observe(published, SCRIPT, PAPER_STEPS, context.seed, context.progress)
    return Seen(context, workload, steps, (newton, sgd, script))


def _sparsity_table(snapshots: Sequence[Snapshot]) -> ArtifactTable:
    return table(
        "fig-6-sparsity",
        "Fig. 6: p%-sparsity of the rows of H",
        [(s, m, c) for s in snapshots for m, c in zip(MASSES, s.sparsity, strict=True)],
        {
            "training": lambda row: row[0].regime.label,
            "step": lambda row: row[0].step,
            "p (%)": lambda row: 100 * row[1],
            "rows": lambda row: row[0].n,
            "all-zero rows": lambda row: row[0].zero_rows,
            "10% of rows below": lambda row: float(np.quantile(row[2], 0.1)),
            "median": lambda row: float(np.quantile(row[2], 0.5)),
            "90% of rows below": lambda row: float(np.quantile(row[2], 0.9)),
            "largest": lambda row: int(row[2].max()),
        },
        "H of the first weight, not damped. Rows of pixels that never vary, or of units that "
        "answer to nothing, are all zero and count with sparsity 0.",
    )


def _condition_table(snapshots: Sequence[Snapshot]) -> ArtifactTable:
    return table(
        "fig-6-condition",
        "Fig. 6, beside it: condition number of H + λI",
        snapshots,
        {
            "training": lambda s: s.regime.label,
            "step": lambda s: s.step,
            "loss": lambda s: s.loss,
            "test accuracy (%)": lambda s: 100 * s.test_accuracy,
            "first-layer outputs above 0 (%)": lambda s: 100 * s.active_share,
            "λ": lambda s: s.damping,
            "κ of H + λI (Lanczos)": lambda s: s.condition.value,
            "κ at least": lambda s: s.condition.low,
            "κ at most": lambda s: s.condition.high,
            "largest 50%-sparsity of H + λI (d)": lambda s: s.damped_sparsity,
        },
        "The first weight's block. Without λ it is singular, so that it has no finite κ.",
    )


def _pictures(found: Seen) -> dict[str, Picture]:
    data = (
        f"{found.workload.title}, standardized, batch "
        f"{found.workload.batch_size or found.workload.n_train}"
    )
    shown_as = {
        "newton": ("fig-6", f"full Newton steps on all parameters at once, λ = 1, {data}"),
        "sgd": ("fig-6-sgd", f"SGD at learning rate 0.1, {data}"),
        "script": (
            "fig-6-published-script",
            "the settings of the authors' published script: pixels of 0 to 255 not "
            "standardized, network 784-16-10, batch 4096, Newton steps of length 0.01 a layer with "
            "λ = 0.005·max|H|",
        ),
    }
    pictures = {}
    for training in found.trainings:
        shown = training.snapshots
        name, note = shown_as[training.regime.name]
        conditions = ", ".join(f"{s.condition.describe()} at step {s.step}" for s in shown)
        zero = ", ".join(f"{100 * s.zero_rows / s.n:.1f}% at step {s.step}" for s in shown)
        caption = (
            f"Rows of the {shown[0].n:,} × {shown[0].n:,} Hessian of the first weight (measured, "
            f"{'full' if found.context.full else 'quick'} version, seed {found.context.seed}): "
            f"{note}. Dashed lines and numbers: medians. All-zero rows "
            f"(in the first bin): {zero}. κ of H + λI: {conditions}. The paper gives no numbers "
            "for its Fig. 6; it says that the distributions move to the left from step 0 to 10."
        )
        if training.ended is not None:
            caption += f" Training ended early: {training.ended}."
        pictures[name] = sparsity_picture(shown, caption)
    return pictures


def _checks(snapshots: Sequence[Snapshot]) -> Iterator[Check]:
    sums = [
        sum(row["rows"] for row in histogram_rows([s]) if row["p"] == mass_label(mass))
        for s in snapshots
        for mass in MASSES
    ]
    expected = [s.n for s in snapshots for _ in MASSES]
    bracketed = (
        s.condition.value is not None
        and (s.condition.low or 1.0) <= s.condition.value <= (s.condition.high or math.inf)
        for s in snapshots
    )
    medians = [median for s in snapshots for median in s.medians]
    yield Check(
        "every histogram holds every row once",
        sums == expected,
        f"{len(sums)} histograms of {sorted(set(expected))} rows",
    )
    yield Check(
        "no row needs fewer entries for more of its sum",
        all(bool((np.diff(s.sparsity, axis=0) >= 0).all()) for s in snapshots),
        f"{len(snapshots)} snapshots",
    )
    yield Check(
        "the survey's own p%-sparsity agrees on a sample of rows",
        all(s.agrees for s in snapshots),
        f"{sum(s.agrees for s in snapshots)} of {len(snapshots)} snapshots",
    )
    yield Check(
        "every κ lies in its bracket",
        all(bracketed),
        ", ".join(s.condition.describe() for s in snapshots),
    )
    yield Check(
        "the table holds the medians of the rows",
        _sparsity_table(snapshots).column("median") == medians,
        f"{len(medians)} medians",
    )


def _findings(trainings: Sequence[Training]) -> Iterator[Finding]:
    medians: dict[Regime, list[list[float]]] = {}
    conditions: dict[Regime, list[list[float]]] = {}
    sparsity_texts, condition_texts = [], []
    for regime, shown in ((training.regime, training.snapshots) for training in trainings):
        medians[regime] = [list(values) for values in zip(*(s.medians for s in shown), strict=True)]
        kappas = [s.condition.value or math.inf for s in shown]
        conditions[regime] = [kappas]
        trends = ", ".join(
            f"{mass_label(mass)} {_trend(values, lambda value: f'{value:,.0f}')}"
            for mass, values in zip(MASSES, medians[regime], strict=True)
        )
        steps = _trend([s.step for s in shown], str)
        sparsity_texts.append(f"{regime.label} (steps {steps}; {_progress(shown)}): {trends}")
        condition_texts.append(f"{regime.label} (steps {steps}): {_trend(kappas, number_text)}")
    yield Finding.judged(
        "Insight 2, Fig. 6: during training the magnitudes in the Hessian's rows become more "
        "extreme, and the p%-sparsity falls",
        "Median p%-sparsity of the rows of the first weight's Hessian. "
        f"{'. '.join(sparsity_texts)}.",
        *_fall(medians, trainings),
    )
    yield Finding.judged(
        "Insight 3: during training the Hessian's condition number gradually decreases",
        "κ of H + λI, first weight's block, by Lanczos to 1%. "
        f"{'. '.join(condition_texts)}. Without λ the block is singular at every step.",
        *_fall(conditions, trainings),
    )


def _trend(values: Sequence[float], text: Callable[[float], str]) -> str:
    return " → ".join(text(value) for value in values)


def _progress(shown: Sequence[Snapshot]) -> str:
    accuracies = _trend([s.test_accuracy for s in shown], lambda share: f"{100 * share:.0f}%")
    active = _trend([s.active_share for s in shown], lambda share: f"{100 * share:.0f}%")
    return f"test accuracy {accuracies}, first-layer outputs above 0 {active}"


def _fall(
    series: dict[Regime, list[list[float]]], trainings: Sequence[Training]
) -> tuple[bool, str | None]:
    """Return whether all series fall below their beginnings, else in which trainings they do."""
    falls = {
        regime: all(max(values[1:], default=values[0]) < values[0] for values in found)
        for regime, found in series.items()
    }
    where = " or ".join(
        f"{t.regime.label} ({_progress(t.snapshots)})" for t in trainings if falls[t.regime]
    )
    others = " or ".join(regime.label for regime, fell in falls.items() if not fell)
    return all(falls.values()), f"training is {where}; not with {others}" if where else None


EXPERIMENT = Experiment(
    name="fig-6",
    title="Fig. 6: sparsity of the Hessian's rows during training",
    quick=STEPS,
    full=FULL_STEPS,
    run=_run,
    tables=lambda found: [_sparsity_table(found.snapshots), _condition_table(found.snapshots)],
    pictures=_pictures,
    checks=lambda found: _checks(found.snapshots),
    findings=lambda found: _findings(found.trainings),
    settings=lambda context, found: {
        "workload": found.workload.name,
        "batch": found.workload.batch_size,
        "seed": context.seed,
        "steps": found.steps,
        "regimes": [NEWTON, SGD, SCRIPT],
    },
)
