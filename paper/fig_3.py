"""Fig. 3: where the time of the first Newton steps goes, measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import altair as alt

from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, Texts
from paper.paper_rows import TABLE_3
from paper.trials import kept_runs
from qnewton.records import StepRecord
from qnewton.records.steps import StageSeconds
from qnewton.report import Picture
from qnewton.report.panels import Series, chart, rows_of, share_axis
from qnewton.report.quantities import seconds_text, share_text
from qnewton.report.style import GRAY, PLOT_WIDTH, STAGES, Look, solver_look, themed
from qnewton.runs import Run
from qnewton.training.request import TrainingRequest
from qnewton.workloads import load_workload

BOTTLENECK = 0.5
"""Share of a step from which a stage counts as its main bottleneck."""

_TEXTS = Texts("fig-3")
_SGD_LOOK = Look("an SGD step (paper)", "#D9D9D9")
_PAPER_LOOK = Look("beyond an SGD step (paper)", GRAY)


@dataclass(frozen=True)
class Scene:
    """One way to solve the same first steps.

    Attributes:
        name: Folder of its run.
        label: What its bars are called.
        solver: The solver it has to end up with; ``None`` where the cheapest may be any.
        policy: Policy that chooses the solver.
        hardware: A quantum machine to survey and quote for; ``None`` to survey nothing.
    """

    name: str
    label: str
    solver: str | None
    policy: str
    hardware: str | None = None


INVERSION = Scene("classical-only", solver_look("lu_inverse").label, "lu_inverse", "classical-only")
SCENES = (
    INVERSION,
    Scene("unsurveyed", "cheapest classical", None, "classical"),
    Scene("surveyed", "cheapest classical, κ surveyed", "cg", "classical", "attosecond"),
)


@dataclass(frozen=True)
class Setup:
    """What is trained, and the steps that each scene takes, in their order."""

    name: str
    workload: str
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Stages:
    """The run of each scene, and where its time went."""

    setup: Setup
    runs: dict[Scene, Run]

    @property
    def inversions(self) -> tuple[StepRecord, ...]:
        """The steps that LU inversion solved."""
        return self.runs[INVERSION].steps

    @property
    def threads(self) -> int | None:
        """Threads of all runs."""
        return self.runs[INVERSION].config.threads

    def mean(self, scene: Scene, stage: str) -> float:
        """Return the mean measured seconds of a stage, or of the ``total``."""
        steps = self.runs[scene].steps
        return sum(getattr(step.measured, stage) for step in steps) / len(steps)

    def share(self, scene: Scene, stage: str) -> float:
        """Return the share of a stage in the time of all steps."""
        return self.mean(scene, stage) / self.mean(scene, "total")


def _run(context: PaperContext, setup: Setup) -> Stages:
    """Train the first steps with each solver."""
    workload = load_workload(setup.workload, context.seed, context.data_dir)
    grid = {
        scene: (
            scene.name,
            TrainingRequest(
                workload=setup.workload,
                policy=scene.policy,
                hardware=scene.hardware,
                steps=steps,
                seed=context.seed,
            ),
        )
        for scene, steps in zip(SCENES, setup.steps, strict=True)
    }
    folder = context.folder / "fig-3" / f"{setup.name}-seed{context.seed}"
    texts = {scene.name: f"first steps with {scene.label}" for scene in SCENES}
    return Stages(setup, kept_runs(context, workload, folder, grid, texts.__getitem__))


def _table(found: Stages) -> ArtifactTable:
    rows = []
    for scene, run in found.runs.items():
        for step in run.steps:
            stages = [getattr(step.measured, stage) for stage in (*STAGES, "total")]
            share = step.measured.solve / step.measured.total
            rows.append((scene.label, step.step, *stages, share, _modelled_solve(step)))
    return _TEXTS.table("fig-3-stages", rows)


def _modelled_solve(record: StepRecord) -> float | None:
    return None if record.modelled is None else record.modelled.solve


def _used(steps: Sequence[StepRecord]) -> set[str | None]:
    return {block.solver for step in steps for block in step.blocks}


def _checks(found: Stages) -> Iterator[Check]:
    used = {scene: _used(run.steps) for scene, run in found.runs.items()}
    sums = [
        abs(sum(getattr(step.measured, stage) for stage in STAGES) - step.measured.total)
        for run in found.runs.values()
        for step in run.steps
    ]
    losses = {run.steps[0].loss for run in found.runs.values()}
    right = all(names == {scene.solver} for scene, names in used.items() if scene.solver)
    yield _TEXTS.check("solvers", right, used=used)
    whole = max(sums) < 1e-9 and {field.name for field in fields(StageSeconds)} == set(STAGES)
    yield _TEXTS.check("sums", whole, sums=sums)
    yield _TEXTS.check("losses", len(losses) == 1, losses=losses)


def _finding(found: Stages) -> Finding:
    texts = []
    for scene, run in found.runs.items():
        shares = {stage: found.share(scene, stage) for stage in STAGES}
        top = sorted(shares, key=lambda stage: -shares[stage])[:3]
        solvers = [solver_look(name).label for name in sorted(filter(None, _used(run.steps)))]
        texts.append(
            f"{scene.label} ({', '.join(solvers)}) {seconds_text(found.mean(scene, 'total'))} a "
            f"step ({', '.join(f'{STAGES[s].label} {share_text(shares[s])}' for s in top)})"
        )
    steps, inversion = found.inversions, found.share(INVERSION, "solve")
    main = max(STAGES, key=lambda stage: found.share(INVERSION, stage))
    holds = main == "solve" and inversion >= BOTTLENECK
    cheapest = min(SCENES, key=lambda scene: found.mean(scene, "solve"))
    solving = found.mean(INVERSION, "solve")
    without = found.mean(cheapest, "solve") / solving
    said = {"steps": steps, "inversion": inversion, "texts": texts, "bottleneck": BOTTLENECK}
    said |= {"cheaper": holds and without < BOTTLENECK, "cheapest": cheapest, "without": without}
    said |= {"modelled": _modelled_solve(steps[0]), "solving": solving}
    return _TEXTS.finding("bottleneck", holds, found=found, **said)


def _picture(found: Stages) -> Picture:
    bars, totals = [], {}
    for scene, run in found.runs.items():
        for record in run.steps[: 6 if scene is INVERSION else 1]:
            bar, seconds = f"{scene.label}, step {record.step}", record.measured
            for order, (stage, look) in enumerate(STAGES.items()):
                taken = getattr(seconds, stage)
                bars.append((bar, look.label, order, taken / seconds.total, taken))
            totals[bar] = seconds_text(seconds.total)
    sgd, newton = (TABLE_3[name].seconds_per_step for name in ("sgd", "classical-only"))
    bar, shares = "paper, Table III", (sgd / newton, (newton - sgd) / newton)
    bars.append((bar, _SGD_LOOK.label, 0, shares[0], None))
    bars.append((bar, _PAPER_LOOK.label, 1, shares[1], None))
    totals[bar] = f"{newton:g} s, H100"
    rows = rows_of(("bar", "stage", "order", "share", "measured_seconds"), bars)
    y = alt.Y("bar:N", title=None, sort=list(totals), axis=alt.Axis(labelLimit=240, ticks=False))
    x = share_axis(alt.X, "share", "share of the step's measured time", 5)
    looks = [*STAGES.values(), _SGD_LOOK, _PAPER_LOOK]
    series = Series("stage", looks, {"title": None, "columns": 2, "symbolStrokeWidth": 0})
    bars = chart(rows).mark_bar(stroke="white", strokeWidth=0.5, height=22)
    texts = chart([{"bar": bar, "text": text} for bar, text in totals.items()])
    width = PLOT_WIDTH - 95
    both = alt.layer(
        bars.encode(x=x, y=y, color=series.color, order="order:Q"),
        texts.mark_text(align="left", dx=5).encode(y=y, x=alt.value(width), text="text:N"),
    ).properties(width=width, height=34 * len(totals))
    config, (block,) = found.runs[INVERSION].config, found.inversions[0].blocks
    caption = _TEXTS.caption("fig-3", found=found, block=block, config=config)
    return Picture(themed(both), rows, caption)


EXPERIMENT = Experiment(
    name="fig-3",
    title="Fig. 3: where the time of a Newton step goes",
    quick=Setup("quick", "mnist", (2, 1, 1)),
    full=Setup("full", "mnist", (10, 3, 3)),
    run=_run,
    tables=lambda found: [_table(found)],
    pictures=lambda found: {"fig-3": _picture(found)},
    checks=_checks,
    findings=lambda found: [_finding(found)],
    settings=lambda context, found: {
        "workload": found.setup.workload,
        "seed": context.seed,
        "threads": found.threads,
        "machine": found.runs[INVERSION].config.machine,
        "steps": {scene.name: len(run.steps) for scene, run in found.runs.items()},
        "full": context.full,
    },
)
