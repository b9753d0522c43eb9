"""Fig. 6: the p%-sparsity of the Hessian's rows before and during training, with κ beside it."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import torch

from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, Texts
from paper.hessian_snapshots import MASSES, Regime, Snapshot, Training, observe
from qnewton.report import Picture
from qnewton.report.panels import Rows, Series, chart, rows_of, spread
from qnewton.report.quantities import number_text
from qnewton.report.style import BLUE, GREEN, ORANGE, PLOT_WIDTH, VERMILLION, Look, themed
from qnewton.workloads import Workload, load_workload
from qnewton.workloads.mlp import build_mlp
from qnewton.workloads.mnist import mnist_arrays

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


_TEXTS = Texts("fig-6")
_PICTURES = {"newton": "fig-6", "sgd": "fig-6-sgd", "script": "fig-6-published-script"}
"""Name of the picture by regime."""

_BINS = 70
_LABEL_ROOM = 34.0


def mass_label(mass: float) -> str:
    """Return a share as a legend entry.

    Example:
        >>> mass_label(0.5)
        '50%'
    """
    return f"{100 * mass:g}%"


_SERIES = Series(
    "p",
    [
        Look(mass_label(mass), color)
        for mass, color in zip(MASSES, (BLUE, GREEN, ORANGE, VERMILLION), strict=True)
    ],
    {"title": "p", "columns": 4, "symbolType": "square"},
)


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
    arrays, _ = mnist_arrays(data_dir)
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
    rows = []
    for s in snapshots:
        for mass, counts in zip(MASSES, s.sparsity, strict=True):
            quantiles = (float(np.quantile(counts, q)) for q in (0.1, 0.5, 0.9))
            head = (s.regime.label, s.step, 100 * mass, s.n, s.zero_rows)
            rows.append((*head, *quantiles, int(counts.max())))
    return _TEXTS.table("fig-6-sparsity", rows)


def _condition_table(snapshots: Sequence[Snapshot]) -> ArtifactTable:
    rows = []
    for s in snapshots:
        head = (s.regime.label, s.step, s.loss, 100 * s.test_accuracy, 100 * s.active_share)
        kappa = (s.condition.value, s.condition.low, s.condition.high)
        rows.append((*head, s.damping, *kappa, s.damped_sparsity))
    return _TEXTS.table("fig-6-condition", rows)


def _pictures(found: Seen) -> dict[str, Picture]:
    batch = found.workload.batch_size or found.workload.n_train
    data = f"{found.workload.title}, standardized, batch {batch}"
    pictures = {}
    for training in found.trainings:
        name, n = training.regime.name, training.snapshots[0].n
        note = _TEXTS.caption(name, data=data)
        said = {"context": found.context, "training": training, "n": n, "note": note}
        caption = _TEXTS.caption("rows", **said)
        pictures[_PICTURES[name]] = sparsity_picture(training.snapshots, caption)
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
    rising = all(bool((np.diff(s.sparsity, axis=0) >= 0).all()) for s in snapshots)
    conditions = [s.condition.describe() for s in snapshots]
    same = _sparsity_table(snapshots).column("median") == medians
    yield _TEXTS.check("rows", sums == expected, sums=sums, expected=expected)
    yield _TEXTS.check("rising", rising, snapshots=snapshots)
    yield _TEXTS.check("survey", all(s.agrees for s in snapshots), snapshots=snapshots)
    yield _TEXTS.check("brackets", all(bracketed), conditions=conditions)
    yield _TEXTS.check("medians", same, medians=medians)


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
    falls, said = _fall(medians, trainings)
    yield _TEXTS.finding("sparsity", falls, texts=sparsity_texts, **said)
    falls, said = _fall(conditions, trainings)
    yield _TEXTS.finding("condition", falls, texts=condition_texts, **said)


def _trend(values: Sequence[float], text: Callable[[float], str]) -> str:
    return " → ".join(text(value) for value in values)


def _progress(shown: Sequence[Snapshot]) -> str:
    accuracies = _trend([s.test_accuracy for s in shown], lambda share: f"{100 * share:.0f}%")
    active = _trend([s.active_share for s in shown], lambda share: f"{100 * share:.0f}%")
    return f"test accuracy {accuracies}, first-layer outputs above 0 {active}"


def _fall(
    series: dict[Regime, list[list[float]]], trainings: Sequence[Training]
) -> tuple[bool, dict[str, Any]]:
    """Return whether all series fall below their beginnings, and in which trainings they do."""
    falls = {
        regime: all(max(values[1:], default=values[0]) < values[0] for values in found)
        for regime, found in series.items()
    }
    where = " or ".join(
        f"{t.regime.label} ({_progress(t.snapshots)})" for t in trainings if falls[t.regime]
    )
    fell = [regime.label for regime, fallen in falls.items() if fallen]
    others = [regime.label for regime in falls if not falls[regime]]
    where = f"training is {where}; not with {' or '.join(others)}" if where else None
    return all(falls.values()), {"where": where, "fell": fell, "others": others}


def histogram_rows(snapshots: Sequence[Snapshot]) -> list[dict[str, Any]]:
    """Return the shares of rows in bins of equal width, the same for all snapshots."""
    largest = max(int(snapshot.sparsity.max()) for snapshot in snapshots)
    width = max(1, -(-(largest + 1) // _BINS))
    # One empty bin more than needed, which closes the drawn outline.
    edges = np.arange(0, largest + 1 + 2 * width, width)
    bins = []
    for s in snapshots:
        for mass, counts in zip(MASSES, s.sparsity, strict=True):
            for left, n in zip(edges[:-1], np.histogram(counts, bins=edges)[0], strict=True):
                ends = (int(left), int(left) + width)
                bins.append((s.step, mass_label(mass), *ends, int(n), 100.0 * n / s.n))
    return rows_of(("step", "p", "from", "to", "rows", "share_percent"), bins)


def sparsity_picture(snapshots: Sequence[Snapshot], caption: str) -> Picture:
    """Draw one panel per step of one training, the first on top, with the medians marked."""
    rows = histogram_rows(snapshots)
    panels = [_panel(rows, snapshot, snapshot is snapshots[-1]) for snapshot in snapshots]
    stacked = alt.vconcat(*panels, spacing=8).resolve_scale(color="shared", x="shared")
    return Picture(themed(stacked), rows, caption)


def _panel(rows: Rows, snapshot: Snapshot, last: bool) -> Any:
    limit = max(row["to"] for row in rows)
    highest = 1.05 * max(row["share_percent"] for row in rows)
    x_scale = alt.Scale(domain=[0, limit], nice=False)
    x = alt.X(
        "from:Q",
        title="p%-sparsity of a row (entries)" if last else None,
        scale=x_scale,
        axis=alt.Axis(format=",d", tickCount=6, labels=last),
    )
    y = alt.Y(
        "share_percent:Q",
        title=f"% of rows a bin of {rows[0]['to']}",
        stack=None,
        scale=alt.Scale(domain=[0, highest], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    areas = chart([row for row in rows if row["step"] == snapshot.step]).mark_area(
        interpolate="step-after", opacity=0.35, line={"strokeWidth": 1.5}
    )
    # Labels of near medians are pushed apart, in the color of their lines, which stay in place.
    wanted = [median / limit * PLOT_WIDTH for median in snapshot.medians]
    places = spread(wanted, _LABEL_ROOM, 0.0, PLOT_WIDTH)
    base = chart(
        [
            {
                "p": mass_label(mass),
                "median": median,
                "label_at": place * limit / PLOT_WIDTH,
                "text": f"{median:,.0f}",
            }
            for mass, median, place in zip(MASSES, snapshot.medians, places, strict=True)
        ]
    ).encode(color=_SERIES.color)
    lines = base.mark_rule(strokeWidth=1.5, strokeDash=[4, 3])
    texts = base.mark_text(baseline="bottom", dy=-3)
    return alt.layer(
        areas.encode(x=x, y=y, color=_SERIES.color),
        lines.encode(x=alt.X("median:Q", scale=x_scale)),
        texts.encode(x=alt.X("label_at:Q", scale=x_scale), y=alt.value(0), text="text:N"),
    ).properties(
        width=PLOT_WIDTH, height=170, title=alt.Title(f"step {snapshot.step}: medians", offset=16)
    )


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
