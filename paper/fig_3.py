"""Fig. 3: where the time of the first Newton steps goes, measured."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import altair as alt

from paper.artifact import (
    Artifact,
    ArtifactTable,
    Check,
    Finding,
    PaperContext,
    PaperExperiment,
    Verdict,
)
from paper.shared_run import kept_run
from paper.table_3_rows import PAPER_ROWS
from qnewton.records import StepRecord
from qnewton.records.steps import StageSeconds
from qnewton.report import Picture
from qnewton.report.quantities import seconds_text, share_text
from qnewton.report.save import inline_data
from qnewton.report.style import GRAY, PLOT_WIDTH, STAGES, Look, solver_look, themed
from qnewton.runs import Run
from qnewton.training.request import TrainingRequest
from qnewton.workloads import load_workload

BOTTLENECK = 0.5
"""Share of a step from which a stage counts as its main bottleneck."""

_PAPER_LOOK = Look("beyond an SGD step (paper)", GRAY)
_SGD_LOOK = Look("an SGD step (paper)", "#D9D9D9")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One way to solve the same first steps.

    Attributes:
        name: Folder of its run.
        label: What its bars are called.
        solver: The solver it has to end up with; ``None`` where the cheapest may be any.
        policy: Policy that chooses the solver.
        hardware: A quantum machine to survey and quote for; ``None`` to survey nothing.
        steps: Steps taken.
        full_steps: Steps taken as published.
    """

    name: str
    label: str
    solver: str | None
    policy: str
    hardware: str | None
    steps: int
    full_steps: int


SCENES = (
    Scene(
        name="classical-only",
        label=solver_look("lu_inverse").label,
        solver="lu_inverse",
        policy="classical-only",
        hardware=None,
        steps=2,
        full_steps=10,
    ),
    Scene(
        name="unsurveyed",
        label="cheapest classical",
        solver=None,
        policy="classical",
        hardware=None,
        steps=1,
        full_steps=3,
    ),
    Scene(
        name="surveyed",
        label="cheapest classical, κ surveyed",
        solver="cg",
        policy="classical",
        hardware="attosecond",
        steps=1,
        full_steps=3,
    ),
)


def make(context: PaperContext, workload_name: str = "mnist") -> Artifact:
    """Train the first steps with each solver and divide their time among the stages."""
    workload = load_workload(workload_name, context.seed, context.data_dir)
    runs: dict[str, Run] = {}
    size = "full" if context.full else "quick"
    for scene in SCENES:
        context.progress(f"first steps with {scene.label}")
        request = TrainingRequest(
            workload=workload_name,
            policy=scene.policy,
            hardware=scene.hardware,
            steps=scene.full_steps if context.full else scene.steps,
            seed=context.seed,
        )
        folder = context.folder / "fig-3" / f"{size}-seed{context.seed}" / scene.name
        runs[scene.name] = kept_run(context, request, workload, folder)
    table = _table(runs)
    return Artifact(
        name="fig-3",
        title="Fig. 3: where the time of a Newton step goes",
        tables=(table,),
        pictures={"fig-3": _picture(runs, workload_name, size)},
        checks=_checks(runs, table),
        findings=(_finding(runs, workload_name),),
        settings={
            "workload": workload_name,
            "seed": context.seed,
            "threads": runs[SCENES[0].name].config.threads,
            "machine": runs[SCENES[0].name].config.machine,
            "steps": {name: len(run.steps) for name, run in runs.items()},
            "full": context.full,
        },
    )


def _table(runs: dict[str, Run]) -> ArtifactTable:
    rows = []
    for scene in SCENES:
        for record in runs[scene.name].steps:
            seconds = [getattr(record.measured, stage) for stage in STAGES]
            rows.append(
                (
                    scene.label,
                    record.step,
                    *seconds,
                    record.measured.total,
                    record.measured.solve / record.measured.total,
                    _modelled_solve(record),
                )
            )
    return ArtifactTable(
        name="fig-3-stages",
        title="Stages of the first Newton steps",
        columns=(
            "solver",
            "step",
            *(f"{look.label} (measured s)" for look in STAGES.values()),
            "total (measured s)",
            "share of solve",
            "solve (modelled s, this machine)",
        ),
        rows=tuple(rows),
        note="The steps are the same ones; only the solver differs (the cheapest classical one is "
        "whichever the scheduler took), and whether κ and the bounds "
        "on it are surveyed. Checking the solution's residual is part of the solve.",
    )


def _modelled_solve(record: StepRecord) -> float | None:
    return None if record.modelled is None else record.modelled.solve


def _checks(runs: dict[str, Run], table: ArtifactTable) -> tuple[Check, ...]:
    solvers = {scene.name: scene.solver for scene in SCENES}
    used = {name: {b.solver for s in run.steps for b in s.blocks} for name, run in runs.items()}
    sums = [abs(sum(row[2 : 2 + len(STAGES)]) - row[2 + len(STAGES)]) for row in table.rows]
    stages = {field.name for field in fields(StageSeconds)}
    losses = {run.steps[0].loss for run in runs.values()}
    return (
        Check(
            name="each run was solved by the solver it is about",
            passed=all(used[name] == {solver} for name, solver in solvers.items() if solver),
            detail=", ".join(f"{name}: {sorted(map(str, found))}" for name, found in used.items()),
        ),
        Check(
            name="the stages of every row add up to its total, and no stage is left out",
            passed=max(sums) < 1e-9 and stages == set(STAGES),
            detail=f"{len(table.rows)} rows, largest difference {max(sums):.1e} s",
        ),
        Check(
            name="all runs start from the same loss",
            passed=len(losses) == 1,
            detail=f"first losses {sorted(losses)}",
        ),
    )


def _finding(runs: dict[str, Run], workload_name: str) -> Finding:
    shares = {scene.name: _shares(runs[scene.name].steps) for scene in SCENES}
    inversion = shares["classical-only"]["solve"]
    main = max(shares["classical-only"], key=shares["classical-only"].__getitem__)
    steps = runs["classical-only"].steps
    texts = []
    for scene in SCENES:
        records = runs[scene.name].steps
        top = sorted(shares[scene.name].items(), key=lambda pair: -pair[1])[:3]
        texts.append(
            f"{scene.label} ({_solvers(records)}) {seconds_text(_mean_total(records))} a step "
            f"({', '.join(f'{STAGES[stage].label} {share_text(share)}' for stage, share in top)})"
        )
    verdict: Verdict = "holds" if main == "solve" and inversion >= BOTTLENECK else "does not hold"
    cheapest = min(SCENES, key=lambda scene: _mean_solve(runs[scene.name].steps))
    without = _mean_solve(runs[cheapest.name].steps) / _mean_solve(steps)
    measured = (
        f"Measured, {workload_name}, N = {steps[0].parameters:,}, first {len(steps)} steps, "
        f"{runs['classical-only'].config.threads} threads: LU inversion takes "
        f"{share_text(inversion)} of a Classical-Only step. By solver: {'; '.join(texts)}."
    )
    if verdict == "holds" and without < BOTTLENECK:
        measured += (
            " It is inverting that makes the bottleneck, not solving for the one direction a step "
            f"needs: {cheapest.label} gives the same step in "
            f"{share_text(without)} of the time of LU inversion."
        )
    return Finding(
        claim="II-B, Fig. 3: inverting the Hessian is the main computational bottleneck",
        measured=f"{measured} This machine's calibration prices LU inversion at "
        f"{seconds_text(_modelled_solve(steps[0]))} (modelled), measured "
        f"{seconds_text(_mean_solve(steps))}. Counted as the main bottleneck: the largest stage, "
        f"with at least {share_text(BOTTLENECK)}.",
        verdict=verdict,
        command="qnewton paper fig-3",
    )


def _solvers(steps: Sequence[StepRecord]) -> str:
    used = {block.solver for step in steps for block in step.blocks if block.solver is not None}
    return ", ".join(solver_look(name).label for name in sorted(used))


def _shares(steps: Sequence[StepRecord]) -> dict[str, float]:
    total = sum(step.measured.total for step in steps)
    return {stage: sum(getattr(step.measured, stage) for step in steps) / total for stage in STAGES}


def _mean_solve(steps: Sequence[StepRecord]) -> float:
    return sum(step.measured.solve for step in steps) / len(steps)


def _mean_total(steps: Sequence[StepRecord]) -> float:
    return sum(step.measured.total for step in steps) / len(steps)


def _picture(runs: dict[str, Run], workload_name: str, size: str) -> Picture:
    rows: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []
    for scene in SCENES:
        label = scene.label
        records = runs[scene.name].steps
        for record in records[: 6 if scene is SCENES[0] else 1]:
            bar = f"{label}, step {record.step}"
            rows += [
                {
                    "bar": bar,
                    "stage": look.label,
                    "order": order,
                    "share": getattr(record.measured, stage) / record.measured.total,
                    "measured_seconds": getattr(record.measured, stage),
                }
                for order, (stage, look) in enumerate(STAGES.items())
            ]
            totals.append({"bar": bar, "text": seconds_text(record.measured.total)})
    sgd, newton = (PAPER_ROWS[name].seconds_per_step for name in ("sgd", "classical-only"))
    bar = "paper, Table III"
    for order, (look, seconds) in enumerate(((_SGD_LOOK, sgd), (_PAPER_LOOK, newton - sgd))):
        rows.append(
            {
                "bar": bar,
                "stage": look.label,
                "order": order,
                "share": seconds / newton,
                "measured_seconds": None,
            }
        )
    totals.append({"bar": bar, "text": f"{newton:g} s, H100"})
    bars = [total["bar"] for total in totals]
    looks = [*STAGES.values(), _SGD_LOOK, _PAPER_LOOK]
    y = alt.Y("bar:N", title=None, sort=bars, axis=alt.Axis(labelLimit=240, ticks=False))
    chart = alt.layer(
        alt.Chart(inline_data(rows))
        .mark_bar(stroke="white", strokeWidth=0.5, height=22)
        .encode(
            x=alt.X(
                "share:Q",
                title="share of the step's measured time",
                axis=alt.Axis(format="~%", tickCount=5),
                scale=alt.Scale(domain=[0, 1]),
            ),
            y=y,
            color=alt.Color(
                "stage:N",
                scale=alt.Scale(
                    domain=[look.label for look in looks], range=[look.color for look in looks]
                ),
                legend=alt.Legend(title=None, columns=2, symbolStrokeWidth=0),
            ),
            order="order:Q",
        ),
        alt.Chart(inline_data(totals))
        .mark_text(align="left", dx=5)
        .encode(y=y, x=alt.value(PLOT_WIDTH - 95), text="text:N"),
    ).properties(width=PLOT_WIDTH - 95, height=34 * len(bars))
    first = runs[SCENES[0].name]
    (block,) = first.steps[0].blocks
    caption = (
        f"Measured: the first steps of Newton's method on {workload_name} (N = {block.n:,}, batch "
        f"{block.curvature.batch:,}, λ = {first.config.options['damping']:g}, β = "
        f"{first.config.options['lr']:g}, seed {first.config.seed}, {first.config.threads} "
        f"threads, {size} run), with LU inversion as in the paper and, for the same first step, "
        "with two other solvers; CG with the survey that the quantum quotes need. Beside the bars: "
        "seconds of the whole step. The paper's bar is what its Table III implies, Classical-Only "
        "less SGD: its Fig. 3 prints no numbers."
    )
    return Picture(themed(chart), rows, caption)


EXPERIMENT = PaperExperiment(
    name="fig-3",
    title="Fig. 3: time breakdown of the first Newton steps on MNIST",
    make=make,
)
