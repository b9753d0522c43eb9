"""Fig. 1: accuracy against the share of entries a pruned row keeps, and who solves which step."""

import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from paper import pruning_sweep, shared_run
from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext
from paper.fig_1_pictures import (
    NOTICEABLE,
    PAPER_THRESHOLD,
    TEXTS,
    alternation_picture,
    sparsity_picture,
)
from paper.pruning_sweep import Effect, Level, Sweep, level_text, mean_accuracy
from paper.repricing import BOUNDS, HERE, MACHINES, Prices, reprice_all
from paper.shared_run import SharedRun
from qnewton.records import Facts
from qnewton.report.quantities import number_text

ACCURATE = 0.1
"""Relative error up to which a step from a pruned matrix counts as accurate."""

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
    rows = []
    for level in (*swept.levels, *swept.half, *swept.unpruned):
        trial, kept = level.trial, level.kept_entries
        share = statistics.fmean(kept) / level.n**2 if kept else 1.0
        head = (level_text(level.share, level.mass), max(level.caps, default=level.n), level.seed)
        steps = (trial.newton_steps, trial.indefinite_steps, trial.skipped_steps)
        tail = (share, trial.lowest_kept_mass, trial.records[-1].loss)
        rows.append((*head, trial.test_accuracy, trial.diverged, *steps, *tail))
    return TEXTS.table("fig-1-levels", rows)


def _kappa(facts: Facts) -> float | None:
    return None if facts.spectrum.condition is None else facts.spectrum.condition.value


def _effects_table(swept: Sweep) -> ArtifactTable:
    rows = []
    for e in swept.effects:
        kept = e.treatment.kept_entries
        share = None if kept is None else kept / e.n**2
        pruning = (e.treatment.max_per_row, share, e.treatment.lowest_kept_mass)
        kappas = (_kappa(e.exact), _kappa(e.pruned))
        definite = (e.exact.spectrum.definiteness, e.pruned.spectrum.definiteness)
        apart = (e.angle_degrees, e.length_ratio, e.relative_error, e.decrease_share)
        rows.append((e.seed, e.step, *pruning, *kappas, *definite, *apart))
    return TEXTS.table("fig-1-half-mass", rows)


def _alternation_table(prices: Prices) -> ArtifactTable:
    lu = [prices.of("paper", machine).steps for machine in MACHINES]
    quantum = [prices.of("paper", HERE, bound).steps for bound in BOUNDS]
    chosen = [
        prices.of("paper", m, bound).steps for m, bound in itertools.product(MACHINES, BOUNDS)
    ]
    rows = (
        (
            step.step,
            *(steps[k].classical_seconds for steps in lu),
            *(steps[k].quantum_seconds for steps in quantum),
            *(steps[k].chosen for steps in chosen),
        )
        for k, step in enumerate(lu[0])
    )
    return TEXTS.table("fig-1-alternation", rows)


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
    largest = max(apart, default=float("nan"))
    # Whoever is the cheapest solves each: the same step, to rounding.
    yield TEXTS.check("whole", largest <= _ROUNDING, pairs=len(apart), largest=largest)
    yield TEXTS.check("caps", max(over) <= 0, over=over)
    yield TEXTS.check("cheaper", all(right), right=right)
    folder = shared.newton.folder.name
    yield TEXTS.check("recorded", recorded == here, steps=len(here), folder=folder)


def findings(swept: Sweep, shared: SharedRun, prices: Prices) -> Iterator[Finding]:
    """Return every claim of Fig. 1 beside what was found."""
    yield _decline(swept)
    yield _half_mass_accuracy(swept)
    yield _half_mass_step(swept)
    yield _alternation(shared, prices)


def _indefinite(levels: Iterable[Level]) -> str:
    """Return at how many of the Newton steps of some runs A was not positive definite."""
    trials = [level.trial for level in levels]
    indefinite = sum(trial.indefinite_steps for trial in trials)
    return f"at {indefinite} of {sum(trial.newton_steps for trial in trials)} steps"


def _decline(swept: Sweep) -> Finding:
    by_share = {
        share: [level for level in swept.levels if level.share == share]
        for share in swept.setup.shares
    }
    unpruned = mean_accuracy(swept.unpruned)
    lost = {share: unpruned - mean_accuracy(levels) for share, levels in by_share.items()}
    fine = [share for share in lost if all(lost[s] <= NOTICEABLE for s in lost if s >= share)]
    declines = [share for share in lost if lost[share] > NOTICEABLE]
    worst = max(declines, default=0.0)
    below = [level for share in by_share if share <= worst for level in by_share[share]]
    rest = [level for share in by_share if share not in declines for level in by_share[share]]
    lowest = min(fine, default=None)
    runs = {"runs": below, "below": _indefinite(below), "above": _indefinite(rest)}
    losses = {"unpruned": unpruned, "fine": lowest, "worst": worst, "lost": lost.get(worst)}
    holds = all(share < PAPER_THRESHOLD for share in declines)
    return TEXTS.finding("decline", holds, swept=swept, **losses, **runs)


def _half_mass_accuracy(swept: Sweep) -> Finding:
    pruned, unpruned = mean_accuracy(swept.half), mean_accuracy(swept.unpruned)
    n = swept.half[0].n
    kept = [statistics.fmean(level.kept_entries) for level in swept.half if level.kept_entries]
    dropped = statistics.fmean(1 - entries / n**2 for entries in kept)
    caps = [cap for level in swept.half for cap in level.caps]
    means = {"pruned": pruned, "unpruned": unpruned, "dropped": dropped}
    said = {"caps": caps, "n": n, "indefinite": _indefinite(swept.half), **means}
    holds = unpruned - pruned <= NOTICEABLE
    return TEXTS.finding("half-mass-accuracy", holds, swept=swept, **said)


def _half_mass_step(swept: Sweep) -> Finding:
    def known(read: Callable[[Effect], float | None]) -> list[float]:
        return [value for effect in swept.effects if (value := read(effect)) is not None]

    errors, angles = known(lambda e: e.relative_error), known(lambda e: e.angle_degrees)
    shares = known(lambda e: e.decrease_share)
    masses = known(lambda e: e.treatment.lowest_kept_mass)
    exact = _range(known(lambda e: _kappa(e.exact)))
    pruned = _range(known(lambda e: _kappa(e.pruned)))
    certified = sum(e.pruned.spectrum.definiteness == "positive" for e in swept.effects)
    steps = {"errors": errors, "angles": angles, "shares": shares, "masses": masses}
    said = {"exact": exact, "pruned": pruned, "certified": certified, "accurate": ACCURATE}
    holds = len(errors) == len(swept.effects) and max(errors) <= ACCURATE
    return TEXTS.finding("half-mass-step", holds, swept=swept, **steps, **said)


def _range(values: Sequence[float]) -> str:
    return f"{number_text(min(values))}–{number_text(max(values))}" if values else "unknown"


def _alternation(shared: SharedRun, prices: Prices) -> Finding:
    chosen = {
        (bound, machine): [step.chosen for step in prices.of("paper", machine, bound).steps]
        for bound, machine in itertools.product(BOUNDS, MACHINES)
    }
    changes = {
        case: sum(a != b for a, b in itertools.pairwise(steps)) for case, steps in chosen.items()
    }
    alternating = [bound for bound in BOUNDS if any(changes[bound, m] for m in MACHINES)]
    trace = any(changes["trace", machine] for machine in MACHINES)
    said = {"bounds": BOUNDS, "machines": MACHINES, "chosen": chosen}
    said["changes"] = changes if trace and "lanczos" not in alternating else None
    said["alternating"] = BOUNDS[alternating[0]] if alternating else None
    holds = "determinant" in alternating
    return TEXTS.finding("alternation", holds, workload=shared.setup.workload, **said)


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
        "fig-1-left": sparsity_picture(found.swept),
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
