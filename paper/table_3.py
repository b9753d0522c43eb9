"""Table III: SGD, classical-only, quantum-only and Q-Newton on one workload, to one accuracy."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from paper.artifact import ArtifactTable, Check, Experiment, PaperContext, table
from paper.paper_rows import TABLE_3, sums_table
from paper.repricing import (
    BOUNDS,
    H100_ASSUMPTION,
    HERE,
    MACHINES,
    PAPER_H100,
    SGD_STEP_S,
    PolicyPrices,
    Prices,
    recorded_prices_check,
    reprice_all,
)
from paper.shared_run import FULL, OPTIMIZERS, QUICK, Setup, SharedRun, reached, shared_run
from paper.table_3_findings import findings
from paper.table_3_pictures import bounds_picture, tuning_picture
from qnewton.experiments.compare import NEWTON_POLICIES
from qnewton.report.quantities import seconds_text, share_text
from qnewton.report.style import solver_look

_METHODS = {"classical-only": "classical-only", "quantum-only": "quantum-only", "paper": "q-newton"}
"""Rows of the comparison by policy."""


@dataclass(frozen=True, kw_only=True)
class Priced(SharedRun):
    """Table III's runs with the Newton run's prices."""

    prices: Prices


def _run(context: PaperContext, setup: Setup) -> Priced:
    shared = shared_run(context, setup)
    return Priced(**vars(shared), prices=reprice_all(shared.newton))


def _main_table(found: Priced) -> ArtifactTable:
    newton, rows = found.newton, []
    for name, tuning in found.tunings.items():
        last, taken = tuning.best.metrics[-1], len(tuning.best.steps)
        head = (f"{OPTIMIZERS[name]}, tuned", tuning.best_rate, taken, last.test_accuracy)
        here = (last.measured_seconds, *_per_step(last.modelled_seconds, taken))
        rows.append((*head, *here, SGD_STEP_S, SGD_STEP_S * taken, None, *_paper_cells(name)))
    last, taken = newton.metrics[-1], len(newton.steps)
    head = (newton.config.options["lr"], taken, last.test_accuracy)
    here = (last.measured_seconds, *_per_step(last.modelled_seconds, taken))
    used = {block.solver for step in newton.steps for block in step.blocks if block.solver}
    solvers = " and ".join(solver_look(solver).label for solver in sorted(used))
    label = f"Newton, solved by {solvers} (the shared run)"
    rows.append((label, *head, *here, None, None, 0.0, *_paper_cells("classical")))
    for policy, label in NEWTON_POLICIES.items():
        prices = [found.prices.of(policy, machine) for machine in MACHINES]
        modelled = (cell for price in prices for cell in (price.seconds_per_step, price.seconds))
        share = prices[0].quantum_share
        rows.append((label, *head, None, *modelled, share, *_paper_cells(policy)))
    return ArtifactTable(
        name="table-3",
        title=f"Table III: to {found.goal} test accuracy on {found.setup.workload}",
        columns=(
            "method",
            "learning rate",
            "steps",
            "test accuracy",
            "total (measured s)",
            "a step (modelled s, this machine)",
            "total (modelled s, this machine)",
            f"a step (modelled s, {PAPER_H100})",
            f"total (modelled s, {PAPER_H100})",
            "share solved by quantum (this machine)",
            "steps (paper)",
            "a step (paper, s)",
            "total (paper, s)",
        ),
        rows=tuple(rows),
        note="The Newton policies solve the same systems, so they take the steps of one shared "
        "run; a policy that never ran has no measured time. Nothing is pruned. "
        "Q-Newton and Quantum-Only price κ by the determinant bound and pay for it. This machine: "
        f"{found.calibration.machine} ({found.calibration.source}). {H100_ASSUMPTION}. Quantum "
        f"solves: {_machine_text(found)}, priced by the paper's count with nothing else charged.",
    )


def _per_step(seconds: float | None, steps: int) -> tuple[float | None, float | None]:
    return (None if seconds is None else seconds / steps), seconds


def _paper_cells(method: str) -> tuple[int | None, float | None, float | None]:
    row = TABLE_3.get(method)
    return (None, None, None) if row is None else (row.steps, row.seconds_per_step, row.seconds)


def _bounds_table(found: Priced) -> ArtifactTable:
    def hybrid(case: tuple[str, str]) -> PolicyPrices:
        return found.prices.of("paper", case[1], case[0])

    return table(
        "table-3-estimates",
        "What the scheduler does with each estimate of κ",
        itertools.product(BOUNDS, MACHINES),
        {
            "κ from": lambda case: BOUNDS[case[0]],
            "classical machine": lambda case: case[1],
            "log10 κ at the first step": lambda case: hybrid(case).decades[0],
            "largest log10 κ": lambda case: max(
                (log for log in hybrid(case).decades if log is not None), default=None
            ),
            "log10 κ at the last step": lambda case: hybrid(case).decades[-1],
            "steps Q-Newton gives to quantum": lambda case: hybrid(case).quantum_steps,
            "steps": lambda case: len(hybrid(case).steps),
            "Classical-Only (modelled s)": lambda case: (
                found.prices.of("classical-only", case[1]).seconds
            ),
            "Quantum-Only (modelled s)": lambda case: (
                found.prices.of("quantum-only", case[1], case[0]).seconds
            ),
            "Q-Newton (modelled s)": lambda case: hybrid(case).seconds,
        },
        f"Same run, same systems, priced again. Quantum solves: {_machine_text(found)}. A "
        "dash: some step's price overflows. κ by Lanczos is the condition number to 1%.",
    )


def _tuning_table(found: Priced) -> ArtifactTable:
    steps, options = len(found.newton.steps), found.newton.config.options
    return table(
        "table-3-rates",
        "Steps to the target at every learning rate",
        [(t, rate, run) for t in found.tunings.values() for rate, run in t.runs.items()],
        {
            "optimizer": lambda row: OPTIMIZERS[row[0].optimizer],
            "learning rate": lambda row: row[1],
            "steps taken": lambda row: len(row[2].steps),
            "target reached": lambda row: reached(row[2], row[0].target),
            "test accuracy at the end": lambda row: row[2].metrics[-1].test_accuracy,
            "total (measured s)": lambda row: row[2].metrics[-1].measured_seconds,
            "steps Newton saves": lambda row: 1 - steps / len(row[2].steps),
        },
        f"Newton takes {steps} steps with β = {options['lr']:g} and "
        f"λ = {options['damping']:g}, neither tuned. One seed, and the accuracy is "
        "looked at every few steps, as the workload says. Where the target was not reached, the "
        "saving is a lower limit.",
    )


def _checks(found: Priced) -> Iterator[Check]:
    newton, main = found.newton, _main_table(found)
    rows = {row.method: row for row in found.comparison.rows}
    apart = [
        relative_difference(found.prices.of(policy, HERE).seconds, rows[method].modelled_seconds)
        for policy, method in _METHODS.items()
    ]
    sgd = found.tunings["sgd"]
    products = [
        abs(per_step * row[2] / total - 1)
        for row in main.rows
        for per_step, total in ((row[5], row[6]), (row[7], row[8]))
        if per_step is not None and total
    ]
    accuracy = newton.metrics[-1].test_accuracy
    yield Check(
        "the Newton rows have the steps and the accuracy of their run folder",
        all(
            (rows[method].steps, rows[method].test_accuracy) == (len(newton.steps), accuracy)
            for method in _METHODS.values()
        ),
        f"{len(newton.steps)} steps, {share_text(accuracy)}, in {newton.folder.name}",
    )
    yield Check(
        "pricing the recorded steps again gives the comparison's modelled totals",
        max(apart) < 1e-9,
        f"largest relative difference {max(apart):.1e}",
    )
    yield Check(
        "steps times modelled seconds per step is the modelled total",
        max(products, default=0.0) < 1e-9,
        f"{len(products)} pairs, largest relative difference {max(products, default=0.0):.1e}",
    )
    yield Check(
        "tuned SGD and the comparison's SGD are the same run",
        (rows["sgd"].learning_rate, rows["sgd"].steps) == (sgd.best_rate, len(sgd.best.steps)),
        f"learning rate {sgd.best_rate:g}, {len(sgd.best.steps)} and {rows['sgd'].steps} steps",
    )
    yield recorded_prices_check(newton.steps, found.hardware)


def relative_difference(mine: float | None, theirs: float | None) -> float:
    """Return how far two prices are apart; a price that does not exist agrees with none alone.

    Example:
        >>> relative_difference(2.0, 1.0), relative_difference(None, None)
        (1.0, 0.0)
        >>> relative_difference(None, 1.0)
        inf
    """
    if mine is None or theirs is None:
        return 0.0 if mine == theirs else math.inf
    return abs(mine - theirs) / theirs


def _machine_text(found: SharedRun) -> str:
    kind = "hypothetical, " if found.hardware.hypothetical else ""
    return (
        f"{found.hardware.name} ({kind}gate time {seconds_text(found.hardware.gate_time_s.value)})"
    )


EXPERIMENT = Experiment(
    name="table-3",
    title="Table III: time to {0.goal} on {0.setup.workload}",
    quick=QUICK,
    full=FULL,
    run=_run,
    tables=lambda found: [
        _main_table(found),
        _bounds_table(found),
        _tuning_table(found),
        sums_table(
            "table-3-paper-sums",
            "Do the paper's own rows add up?",
            TABLE_3.values(),
            {
                "product (s)": lambda row: row.product,
                "total printed (s)": lambda row: row.seconds,
            },
        ),
    ],
    pictures=lambda found: {
        "table-3-tuning": tuning_picture(found),
        "table-3-bounds": bounds_picture(found),
    },
    checks=_checks,
    findings=lambda found: findings(found, found.prices),
    settings=lambda context, found: {
        "workload": found.setup.workload,
        "target": found.setup.target,
        "seed": context.seed,
        "batch_size": found.newton.config.options["batch_size"],
        "damping": found.newton.config.options["damping"],
        "newton_lr": found.newton.config.options["lr"],
        "full": context.full,
        "runs": str(found.newton.folder),
    },
)
