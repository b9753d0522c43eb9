"""Fig. 8: accuracy and condition number against the damping λ."""

import itertools
import math
import statistics
from collections.abc import Collection, Iterator
from typing import Any

from paper.artifact import ArtifactTable, Check, Experiment, Finding, table
from paper.damping_sweep import FULL, QUICK, Point, Sweep, damping_sweep
from paper.fig_8_picture import damping_picture
from paper.trials import LARGEST_EXACT
from qnewton.records import Facts
from qnewton.report.quantities import number_text, share_text

PAPER_DAMPING = 1.0
PAPER_CUT = 1e3
"""By how much the paper's Fig. 8 has κ fall at λ around 1."""

MARGINAL = 0.02
"""Accuracy that counts as a marginal decrease."""


def _first(point: Point, read: Any) -> Any:
    """Return what ``read`` finds in the facts of the first Newton step, if there are any."""
    return read(point.facts[0]) if 0 in point.facts else None


def _table(found: Sweep) -> ArtifactTable:
    return table(
        "fig-8-runs",
        "Accuracy and condition number against λ, run by run",
        found.points,
        {
            "λ": lambda p: p.damping,
            "SGD steps before": lambda p: p.warmup,
            "seed": lambda p: p.seed,
            "test accuracy at the end": lambda p: p.trial.test_accuracy,
            "diverged": lambda p: p.trial.diverged,
            "Newton steps": lambda p: p.trial.newton_steps,
            "steps with A not positive definite": lambda p: p.trial.indefinite_steps,
            "steps skipped": lambda p: p.trial.skipped_steps,
            "κ at the first Newton step": lambda p: p.first_condition,
            "median κ later": lambda p: p.later_condition,
            "definiteness at the first Newton step": lambda p: _first(
                p, lambda f: f.spectrum.definiteness
            ),
            "norm of A at the first Newton step": lambda p: _first(p, lambda f: f.spectrum.norm),
        },
        "A run whose loss exceeds 100 times its first is given up as diverged; the accuracy "
        "is the one it had then. κ by Lanczos is a lower bound where it did not settle. "
        "Where A is not positive definite Cholesky fails and LU solves.",
    )


def _checks(found: Sweep) -> Iterator[Check]:
    points, setup = found.points, found.setup
    shifts, falls = [], []
    for series in found.series():
        known = [
            p for p in series if 0 in p.facts and p.facts[0].spectrum.definiteness == "positive"
        ]
        norms = [(norm, p.damping) for p in known if (norm := p.facts[0].spectrum.norm) is not None]
        largest = [norm - damping for norm, damping in norms]
        # κ and norm are exact to rounding from eigenvalues, and to 1% from Lanczos.
        if len(largest) > 1:
            shifts.append((max(largest) - min(largest)) / max(norm for norm, _ in norms))
        kappas = [p.first_condition for p in known if p.first_condition is not None]
        falls += [later / earlier for earlier, later in itertools.pairwise(kappas)]
    allowed = 1e-5 if found.n <= LARGEST_EXACT else 0.02
    shift, ratio = max(shifts, default=0.0), max(falls, default=0.0)
    ended = [
        len(p.trial.records) == p.warmup + setup.newton_steps or p.trial.diverged for p in points
    ]
    count = len(setup.dampings) * len(setup.warmups) * len(setup.seeds)
    yield Check(
        "where A is definite, λ is all that its norm differs by at the first Newton step",
        shift <= allowed,
        f"norm less λ spreads by at most {shift:.1e} of the norm ({allowed:g} allowed)",
    )
    yield Check(
        "where A is definite, κ falls as λ grows",
        ratio <= 1.0 + allowed,
        f"{len(falls)} neighboring pairs, largest ratio {ratio:.4f}",
    )
    yield Check(
        "every run took all its steps or is marked as diverged",
        all(ended) and len(points) == count,
        f"{sum(ended)} of {count} runs, {sum(p.trial.diverged for p in points)} diverged",
    )


def _finding(found: Sweep, warmup: int) -> Finding:
    setup = found.setup
    mine = [point for point in found.points if point.warmup == warmup]
    runs = {d: [p for p in mine if p.damping == d] for d in setup.dampings}
    accuracy = {d: statistics.fmean(p.trial.test_accuracy for p in runs[d]) for d in runs}
    at = min(runs, key=lambda damping: abs(math.log(damping / PAPER_DAMPING)))
    least = setup.dampings[0]
    best = max(accuracy, key=accuracy.__getitem__)
    kappas = {d: {p.seed: k for p in runs[d] if (k := p.first_condition)} for d in (least, at)}
    cuts = [kappas[least][seed] / k for seed, k in kappas[at].items() if seed in kappas[least]]
    cut = math.exp(statistics.fmean(map(math.log, cuts))) if cuts else None
    start = "from the first step on" if warmup == 0 else f"after {warmup} SGD steps"
    return Finding.judged(
        "V-D, Fig. 8: λ around 1 cuts κ by 10³ with only a marginal decrease in performance, "
        f"and is the best trade-off (Newton {start})",
        f"Measured, {setup.workload}, {len(setup.seeds)} seeds, {setup.newton_steps} "
        f"Newton steps, β = {found.request.lr:g}: at the first Newton step κ = "
        f"{_range(kappas[least].values())} at λ = {least:g} and {_range(kappas[at].values())} at "
        f"λ = {at:g}, a factor of {number_text(cut)}"
        f"{'' if warmup else _undamped_text(found.undamped)}. Accuracy "
        f"{share_text(accuracy[at])} at λ = {at:g}, {share_text(accuracy[least])} at λ = "
        f"{least:g}, best {share_text(accuracy[best])} at λ = {best:g}.{_diverging(runs)} Counted "
        f"as holding: κ cut by {PAPER_CUT:g} and at most {share_text(MARGINAL)} below the best.",
        cut is not None and cut >= PAPER_CUT and accuracy[best] - accuracy[at] <= MARGINAL,
    )


def _diverging(runs: dict[float, list[Point]]) -> str:
    """Say which λ are too small to train at all, if some are."""
    diverged = {d: [p for p in points if p.trial.diverged] for d, points in runs.items()}
    trains = [damping for damping, points in diverged.items() if not points]
    if not trains or min(trains) == min(runs):
        return ""
    why = ""
    if all(p.trial.indefinite_steps > 0 for points in diverged.values() for p in points):
        why = (
            ": A is not positive definite there, and steps along negative curvature climb. So "
            "λ costs no accuracy, it is what makes Newton train at all"
        )
    return f" Every λ below {min(trains):g} diverges{why}."


def _undamped_text(undamped: Facts | None) -> str:
    if undamped is None or undamped.spectrum.condition is None:
        return ""
    if undamped.spectrum.condition.value is None:
        return ", and without damping H is singular to rounding"
    return f"; without damping κ = {number_text(undamped.spectrum.condition.value)}"


def _range(values: Collection[float]) -> str:
    ends = dict.fromkeys(number_text(end(values)) for end in (min, max)) if values else ["unknown"]
    return " to ".join(ends)


EXPERIMENT = Experiment(
    name="fig-8",
    title="Fig. 8: accuracy and condition number against the damping",
    quick=QUICK,
    full=FULL,
    run=damping_sweep,
    tables=lambda found: [_table(found)],
    pictures=lambda found: {"fig-8": damping_picture(found, PAPER_DAMPING, PAPER_CUT)},
    checks=_checks,
    findings=lambda found: [_finding(found, warmup) for warmup in found.setup.warmups],
    settings=lambda context, found: {
        "setup": found.setup.name,
        "workload": found.setup.workload,
        "seeds": [context.seed + offset for offset in found.setup.seeds],
        "newton_steps": found.setup.newton_steps,
        "newton_lr": found.request.lr,
        "first_order_lr": found.setup.first_order_lr,
        "full": context.full,
    },
)
