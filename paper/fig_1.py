"""Fig. 1: accuracy against the share of entries a pruned row keeps, and who solves which step."""

import itertools
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from paper import pruning_sweep, shared_run
from paper.artifact import ArtifactTable, Check, Experiment, PaperContext, table
from paper.fig_1_findings import PAPER_THRESHOLD, findings
from paper.fig_1_pictures import alternation_picture, sparsity_picture
from paper.half_mass import Effect
from paper.pruning_sweep import Level, Sweep, level_text
from paper.repricing import BOUNDS, HERE, MACHINES, Prices, StepPrice, reprice_all
from paper.shared_run import SharedRun
from qnewton.records import Facts

_ROUNDING = 1e-5
"""Of a loss after some float32 steps whose systems were solved to 1e-6."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Both sides of the figure: the pruned runs, and the run of Table III with its prices."""

    swept: Sweep
    shared: SharedRun
    prices: Prices


def _run(context: PaperContext, setups: tuple[pruning_sweep.Setup, shared_run.Setup]) -> Sides:
    swept = pruning_sweep.pruning_sweep(context, setups[0])
    shared = shared_run.shared_run(context, setups[1])
    return Sides(swept=swept, shared=shared, prices=reprice_all(shared.newton))


def _levels_table(swept: Sweep) -> ArtifactTable:
    def kept_share(level: Level) -> float:
        kept = level.kept_entries
        return statistics.fmean(kept) / level.n**2 if kept else 1.0

    return table(
        "fig-1-levels",
        "Accuracy at every level of pruning, run by run",
        (*swept.levels, *swept.half, *swept.unpruned),
        {
            "kept": lambda level: level_text(level.share, level.mass),
            "largest cap d": lambda level: max(level.caps, default=level.n),
            "seed": lambda level: level.seed,
            "test accuracy at the end": lambda level: level.trial.test_accuracy,
            "diverged": lambda level: level.trial.diverged,
            "steps": lambda level: level.trial.newton_steps,
            "steps with A not positive definite": lambda level: level.trial.indefinite_steps,
            "steps skipped": lambda level: level.trial.skipped_steps,
            "share of entries kept, mean over steps": kept_share,
            "lowest kept share of a row's mass": lambda level: level.trial.lowest_kept_mass,
            "last loss": lambda level: level.trial.records[-1].loss,
        },
        "Where A is not positive definite Cholesky fails and LU solves. A run whose loss "
        "exceeds 100 times its first is given up as diverged.",
    )


def _effects_table(swept: Sweep) -> ArtifactTable:
    def kept_share(effect: Effect) -> float | None:
        kept = effect.treatment.kept_entries
        return None if kept is None else kept / effect.n**2

    def kappa(facts: Facts) -> float | None:
        return None if facts.spectrum.condition is None else facts.spectrum.condition.value

    return table(
        "fig-1-half-mass",
        "What pruning to half the row mass does to single steps of the unpruned run",
        swept.effects,
        {
            "seed": lambda effect: effect.seed,
            "step": lambda effect: effect.step,
            "cap d": lambda effect: effect.treatment.max_per_row,
            "share of entries kept": kept_share,
            "lowest kept share of a row's mass": lambda effect: effect.treatment.lowest_kept_mass,
            "κ of A": lambda effect: kappa(effect.exact),
            "κ of the pruned A": lambda effect: kappa(effect.pruned),
            "A": lambda effect: effect.exact.spectrum.definiteness,
            "pruned A": lambda effect: effect.pruned.spectrum.definiteness,
            "angle between the steps (degrees)": lambda effect: effect.angle_degrees,
            "length of the pruned step over the exact one": lambda effect: effect.length_ratio,
            "relative error of the pruned step": lambda effect: effect.relative_error,
            "share of the exact step's decrease of the quadratic model": lambda effect: (
                effect.decrease_share
            ),
        },
        "d is the largest 50%-sparsity over the rows of H + λI (FORMULAS 6 and 7).",
    )


def _alternation_table(prices: Prices) -> ArtifactTable:
    steps = {(m, b): prices.of("paper", m, b).steps for m in MACHINES for b in BOUNDS}

    def of(machine: str, bound: str, read: Callable[[StepPrice], Any]) -> Callable[[int], Any]:
        return lambda index: read(steps[machine, bound][index])

    return table(
        "fig-1-alternation",
        "Price of both solvers at every step, and Q-Newton's choice",
        range(len(steps[HERE, "determinant"])),
        {
            "step": of(HERE, "determinant", lambda step: step.step),
            **{
                f"LU inversion (modelled s, {machine})": of(
                    machine, "determinant", lambda step: step.classical_seconds
                )
                for machine in MACHINES
            },
            **{
                f"quantum, κ from {label} (modelled s)": of(
                    HERE, bound, lambda step: step.quantum_seconds
                )
                for bound, label in BOUNDS.items()
            },
            **{
                f"chosen, κ from {label}, {machine}": of(machine, bound, lambda step: step.chosen)
                for machine in MACHINES
                for bound, label in BOUNDS.items()
            },
        },
    )


def _checks(found: Sides) -> Iterator[Check]:
    swept, shared, prices = found.swept, found.shared, found.prices
    whole = [level for level in swept.levels if level.share == 1.0]
    apart = [
        abs(mine.trial.records[-1].loss - theirs.trial.records[-1].loss)
        for mine, theirs in zip(whole, swept.unpruned, strict=True)
    ]
    over = [
        kept - cap * level.n
        for level in (*swept.levels, *swept.half)
        for kept, cap in zip(level.kept_entries, level.caps, strict=True)
    ]
    right = [
        (step.chosen == "qsvt")
        == (step.quantum_seconds is not None and step.quantum_seconds <= step.classical_seconds)
        for machine, bound in itertools.product(MACHINES, BOUNDS)
        for step in prices.of("paper", machine, bound).steps
    ]
    recorded = [
        quote.seconds
        for record in shared.newton.steps
        for block in record.blocks
        for quote in block.decision.quotes
        if quote.solver == "lu_inverse"
    ]
    here = [s.classical_seconds for s in prices.of("paper", HERE).steps]
    yield Check(
        # Whoever is the cheapest solves each: the same step, to rounding.
        "keeping every entry is training without pruning, to rounding",
        bool(apart) and max(apart) <= _ROUNDING,
        f"last losses of {len(apart)} pairs of runs differ by at most "
        f"{max(apart, default=float('nan')):g}",
    )
    yield Check(
        "no step keeps more than d entries per row",
        max(over) <= 0,
        f"{len(over)} pruned steps, entries kept less N·d at most {max(over):,}",
    )
    yield Check(
        "Q-Newton's choice is the cheaper solver at every step",
        all(right),
        f"{sum(right)} of {len(right)} choices",
    )
    yield Check(
        "the prices of LU inversion are those the run recorded",
        recorded == here,
        f"{len(here)} steps of {shared.newton.folder.name}",
    )


EXPERIMENT = Experiment(
    name="fig-1",
    title="Fig. 1: accuracy against sparsity, and who solves which step",
    quick=(pruning_sweep.QUICK, shared_run.QUICK),
    full=(pruning_sweep.FULL, shared_run.FULL),
    run=_run,
    tables=lambda found: [
        _levels_table(found.swept),
        _effects_table(found.swept),
        _alternation_table(found.prices),
    ],
    pictures=lambda found: {
        "fig-1-left": sparsity_picture(found.swept, PAPER_THRESHOLD),
        "fig-1-right": alternation_picture(found.shared, found.prices),
    },
    checks=_checks,
    findings=lambda found: findings(found.swept, found.shared, found.prices),
    settings=lambda context, found: {
        "setup": found.swept.setup.name,
        "workload": found.swept.setup.workload,
        "seeds": [context.seed + offset for offset in found.swept.setup.seeds],
        "steps": found.swept.setup.steps,
        "newton_lr": found.swept.unpruned[0].trial.request.lr,
        "shared_run": str(found.shared.newton.folder),
        "full": context.full,
    },
)
