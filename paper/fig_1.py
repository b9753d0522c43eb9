"""Fig. 1: accuracy against the share of entries a pruned row keeps, and who solves which step."""

import statistics

from paper.artifact import (
    Artifact,
    ArtifactTable,
    Check,
    PaperContext,
    PaperExperiment,
)
from paper.fig_1_findings import findings
from paper.fig_1_pictures import alternation_picture, sparsity_picture
from paper.pruning_sweep import FULL, QUICK, Setup, Sweep, sweep
from paper.repricing import BOUNDS, HERE, PAPER_H100, Prices, reprice_all
from paper.shared_run import Setup as SharedSetup
from paper.shared_run import SharedRun, shared_run

PAPER_THRESHOLD = 0.4
"""Kept share below which the paper sees accuracy decline (caption of Fig. 1, V-C)."""


_ROUNDING = 1e-5
"""Of a loss after some float32 steps whose systems were solved to 1e-6."""


def make(
    context: PaperContext, setup: Setup | None = None, shared_setup: SharedSetup | None = None
) -> Artifact:
    """Make both sides."""
    setup = setup or (FULL if context.full else QUICK)
    swept = sweep(context, setup)
    shared = shared_run(context, shared_setup)
    prices = reprice_all(shared.newton)
    return Artifact(
        name="fig-1",
        title="Fig. 1: accuracy against sparsity, and who solves which step",
        tables=(_levels_table(swept), _effects_table(swept), _alternation_table(prices)),
        pictures={
            "fig-1-left": sparsity_picture(swept, PAPER_THRESHOLD),
            "fig-1-right": alternation_picture(shared, prices),
        },
        checks=_checks(swept, shared, prices),
        findings=findings(swept, shared, prices, PAPER_THRESHOLD),
        settings={
            "setup": setup.name,
            "workload": setup.workload,
            "seeds": [context.seed + offset for offset in setup.seeds],
            "steps": setup.steps,
            "newton_lr": swept.unpruned[0].trial.request.lr,
            "shared_run": str(shared.newton.folder),
            "full": context.full,
        },
    )


def _levels_table(swept: Sweep) -> ArtifactTable:
    rows = []
    for level in (*swept.levels, *swept.half, *swept.unpruned):
        trial = level.trial
        kept = level.kept_entries
        label = "unpruned" if level.mass is None else f"{100 * level.mass:g}% of the row mass"
        rows.append(
            (
                label if level.share is None else f"{100 * level.share:g}% of a row",
                max(level.caps, default=level.n),
                level.seed,
                trial.test_accuracy,
                trial.diverged,
                trial.newton_steps,
                trial.indefinite_steps,
                trial.skipped_steps,
                statistics.fmean(kept) / level.n**2 if kept else 1.0,
                trial.lowest_kept_mass,
                trial.records[-1].loss,
            )
        )
    return ArtifactTable(
        name="fig-1-levels",
        title="Accuracy at every level of pruning, run by run",
        columns=(
            "kept",
            "largest cap d",
            "seed",
            "test accuracy at the end",
            "diverged",
            "steps",
            "steps with A not positive definite",
            "steps skipped",
            "share of entries kept, mean over steps",
            "lowest kept share of a row's mass",
            "last loss",
        ),
        rows=tuple(rows),
        note="Where A is not positive definite Cholesky fails and LU solves. A run whose loss "
        "exceeds 100 times its first is given up as diverged.",
    )


def _effects_table(swept: Sweep) -> ArtifactTable:
    rows = [
        (
            effect.seed,
            effect.step,
            effect.treatment.max_per_row,
            None
            if effect.treatment.kept_entries is None
            else effect.treatment.kept_entries / effect.n**2,
            effect.treatment.lowest_kept_mass,
            None if effect.exact.condition is None else effect.exact.condition.value,
            None if effect.pruned.condition is None else effect.pruned.condition.value,
            effect.exact.definiteness,
            effect.pruned.definiteness,
            effect.angle_degrees,
            effect.length_ratio,
            effect.relative_error,
            effect.decrease_share,
        )
        for effect in swept.effects
    ]
    return ArtifactTable(
        name="fig-1-half-mass",
        title="What pruning to half the row mass does to single steps of the unpruned run",
        columns=(
            "seed",
            "step",
            "cap d",
            "share of entries kept",
            "lowest kept share of a row's mass",
            "κ of A",
            "κ of the pruned A",
            "A",
            "pruned A",
            "angle between the steps (degrees)",
            "length of the pruned step over the exact one",
            "relative error of the pruned step",
            "share of the exact step's decrease of the quadratic model",
        ),
        rows=tuple(rows),
        note="d is the largest 50%-sparsity over the rows of H + λI (FORMULAS 6 and 7).",
    )


def _alternation_table(prices: Prices) -> ArtifactTable:
    rows = []
    found = {(m, b): prices.of("paper", m, b).steps for m in (HERE, PAPER_H100) for b in BOUNDS}
    for index, first in enumerate(found[HERE, "determinant"]):
        cells: list[object] = [
            first.step,
            first.classical_seconds,
            found[PAPER_H100, "determinant"][index].classical_seconds,
        ]
        cells += [found[HERE, bound][index].quantum_seconds for bound in BOUNDS]
        for machine in (HERE, PAPER_H100):
            cells += [found[machine, bound][index].chosen for bound in BOUNDS]
        rows.append(tuple(cells))
    return ArtifactTable(
        name="fig-1-alternation",
        title="Price of both solvers at every step, and Q-Newton's choice",
        columns=(
            "step",
            f"LU inversion (modelled s, {HERE})",
            f"LU inversion (modelled s, {PAPER_H100})",
            *(f"quantum, κ from {label} (modelled s)" for label in BOUNDS.values()),
            *(
                f"chosen, κ from {label}, {machine}"
                for machine in (HERE, PAPER_H100)
                for label in BOUNDS.values()
            ),
        ),
        rows=tuple(rows),
    )


def _checks(swept: Sweep, shared: SharedRun, prices: Prices) -> tuple[Check, ...]:
    whole = [level for level in swept.levels if level.share == 1.0]
    pairs = list(zip(whole, swept.unpruned, strict=True))
    apart = [
        abs(mine.trial.records[-1].loss - theirs.trial.records[-1].loss) for mine, theirs in pairs
    ]
    over = [
        kept - cap * level.n
        for level in (*swept.levels, *swept.half)
        for kept, cap in zip(level.kept_entries, level.caps, strict=True)
    ]
    chosen = wrong = 0
    for machine in (HERE, PAPER_H100):
        for bound in BOUNDS:
            for step in prices.of("paper", machine, bound).steps:
                quantum = step.quantum_seconds
                cheaper = quantum is not None and quantum <= step.classical_seconds
                chosen += 1
                wrong += (step.chosen == "qsvt") != cheaper
    recorded = [
        quote.seconds
        for record in shared.newton.steps
        for block in record.blocks
        for quote in block.decision.quotes
        if quote.solver == "lu_inverse"
    ]
    here = [s.classical_seconds for s in prices.of("paper", HERE).steps]
    return (
        Check(
            # Whoever is the cheapest solves each: the same step, to rounding.
            name="keeping every entry is training without pruning, to rounding",
            passed=bool(pairs) and max(apart) <= _ROUNDING,
            detail=f"last losses of {len(pairs)} pairs of runs differ by at most "
            f"{max(apart, default=float('nan')):g}",
        ),
        Check(
            name="no step keeps more than d entries a row",
            passed=max(over) <= 0,
            detail=f"{len(over)} pruned steps, entries kept less N·d at most {max(over):,}",
        ),
        Check(
            name="Q-Newton's choice is the cheaper solver at every step",
            passed=wrong == 0,
            detail=f"{chosen - wrong} of {chosen} choices",
        ),
        Check(
            name="the prices of LU inversion are those the run recorded",
            passed=recorded == here,
            detail=f"{len(here)} steps of {shared.newton.folder.name}",
        ),
    )


EXPERIMENT = PaperExperiment(
    name="fig-1",
    title="Fig. 1: accuracy against sparsity; LU inversion or quantum at every step",
    make=make,
)
