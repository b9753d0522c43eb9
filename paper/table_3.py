"""Table III: SGD, classical-only, quantum-only and Q-Newton on one workload, to one accuracy."""

import math

from paper.artifact import (
    Artifact,
    ArtifactTable,
    Check,
    PaperContext,
    PaperExperiment,
)
from paper.repricing import (
    BOUNDS,
    H100_ASSUMPTION,
    HERE,
    PAPER_H100,
    SGD_STEP_S,
    PolicyPrices,
    Prices,
    recorded_prices_check,
    reprice_all,
)
from paper.shared_run import Setup, SharedRun, reached, shared_run
from paper.table_3_findings import OPTIMIZERS, findings
from paper.table_3_pictures import bounds_picture, tuning_picture
from paper.table_3_rows import PAPER_ROWS
from qnewton.experiments.compare import NEWTON_POLICIES
from qnewton.records import QuantumHardware
from qnewton.report.quantities import seconds_text, share_text
from qnewton.report.style import solver_look
from qnewton.runs import Run

_METHODS = {"classical-only": "classical-only", "quantum-only": "quantum-only", "paper": "q-newton"}
"""Policies by the name of their row."""


def make(context: PaperContext, setup: Setup | None = None) -> Artifact:
    """Train what is missing, price it, and hold it against the paper's rows."""
    shared = shared_run(context, setup)
    config = shared.newton.config
    assert config.hardware is not None
    prices = reprice_all(shared.newton)
    main = _main_table(shared, prices)
    return Artifact(
        name="table-3",
        title=f"Table III: time to {100 * shared.setup.target:g}% on {shared.setup.workload}",
        tables=(
            main,
            _bounds_table(prices, config.hardware),
            _tuning_table(shared),
            _paper_table(),
        ),
        pictures={
            "table-3-tuning": tuning_picture(shared),
            "table-3-bounds": bounds_picture(shared),
        },
        checks=_checks(shared, prices, main),
        findings=findings(shared, prices),
        settings={
            "workload": shared.setup.workload,
            "target": shared.setup.target,
            "seed": context.seed,
            "batch_size": config.options["batch_size"],
            "damping": config.options["damping"],
            "newton_lr": config.options["lr"],
            "full": context.full,
            "runs": str(shared.newton.folder),
        },
    )


def _main_table(shared: SharedRun, prices: Prices) -> ArtifactTable:
    newton = shared.newton
    accuracy, steps = newton.metrics[-1].test_accuracy, len(newton.steps)
    rows = []
    for name, tuning in shared.tunings.items():
        last, taken = tuning.best.metrics[-1], len(tuning.best.steps)
        modelled = last.modelled_seconds
        rows.append(
            (
                f"{OPTIMIZERS[name]}, tuned",
                tuning.best_rate,
                taken,
                last.test_accuracy,
                last.measured_seconds,
                None if modelled is None else modelled / taken,
                modelled,
                SGD_STEP_S,
                SGD_STEP_S * taken,
                None,
                *_paper_cells(name),
            )
        )
    modelled = newton.metrics[-1].modelled_seconds
    rows.append(
        (
            f"Newton, solved by {_solvers(newton)} (the shared run)",
            newton.config.options["lr"],
            steps,
            accuracy,
            newton.metrics[-1].measured_seconds,
            None if modelled is None else modelled / steps,
            modelled,
            None,
            None,
            0.0,
            *_paper_cells("classical"),
        )
    )
    for policy, label in NEWTON_POLICIES.items():
        here, h100 = prices.of(policy, HERE), prices.of(policy, PAPER_H100)
        rows.append(
            (
                label,
                newton.config.options["lr"],
                steps,
                accuracy,
                None,
                here.seconds_per_step,
                here.seconds,
                h100.seconds_per_step,
                h100.seconds,
                here.quantum_share,
                *_paper_cells(_METHODS[policy]),
            )
        )
    calibration = newton.config.calibration
    assert calibration is not None
    assert newton.config.hardware is not None
    return ArtifactTable(
        name="table-3",
        title=f"Table III: to {100 * shared.setup.target:g}% test accuracy on "
        f"{shared.setup.workload}",
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
        f"{calibration.machine} ({calibration.source}). {H100_ASSUMPTION}. Quantum solves: "
        f"{_machine_text(newton.config.hardware)}, priced by the paper's count with nothing else "
        "charged.",
    )


def _paper_cells(method: str) -> tuple[int | None, float | None, float | None]:
    row = PAPER_ROWS.get(method)
    return (None, None, None) if row is None else (row.steps, row.seconds_per_step, row.seconds)


def _bounds_table(prices: Prices, hardware: QuantumHardware) -> ArtifactTable:
    rows = []
    for bound, label in BOUNDS.items():
        for machine in (HERE, PAPER_H100):
            hybrid, quantum = (prices.of(p, machine, bound) for p in ("paper", "quantum-only"))
            first, last = hybrid.steps[0], hybrid.steps[-1]
            rows.append(
                (
                    label,
                    machine,
                    _decades(first.log_condition),
                    _decades(max(_logs(hybrid), default=None)),
                    _decades(last.log_condition),
                    sum(step.chosen == "qsvt" for step in hybrid.steps),
                    len(hybrid.steps),
                    prices.of("classical-only", machine).seconds,
                    quantum.seconds,
                    hybrid.seconds,
                )
            )
    return ArtifactTable(
        name="table-3-estimates",
        title="What the scheduler does with each estimate of κ",
        columns=(
            "κ from",
            "classical machine",
            "log10 κ at the first step",
            "largest log10 κ",
            "log10 κ at the last step",
            "steps Q-Newton gives to quantum",
            "steps",
            "Classical-Only (modelled s)",
            "Quantum-Only (modelled s)",
            "Q-Newton (modelled s)",
        ),
        rows=tuple(rows),
        note=f"Same run, same systems, priced again. Quantum solves: {_machine_text(hardware)}. A "
        "dash: some step's price overflows. κ by Lanczos is the condition number to 1%.",
    )


def _tuning_table(shared: SharedRun) -> ArtifactTable:
    newton = shared.newton
    rows = [
        (
            OPTIMIZERS[name],
            rate,
            len(run.steps),
            reached(run, tuning.target),
            run.metrics[-1].test_accuracy,
            run.metrics[-1].measured_seconds,
            1 - len(newton.steps) / len(run.steps),
        )
        for name, tuning in shared.tunings.items()
        for rate, run in tuning.runs.items()
    ]
    return ArtifactTable(
        name="table-3-rates",
        title="Steps to the target at every learning rate",
        columns=(
            "optimizer",
            "learning rate",
            "steps taken",
            "target reached",
            "test accuracy at the end",
            "total (measured s)",
            "steps Newton saves",
        ),
        rows=tuple(rows),
        note=f"Newton takes {len(newton.steps)} steps with β = {newton.config.options['lr']:g} and "
        f"λ = {newton.config.options['damping']:g}, neither tuned. One seed, and the accuracy is "
        "looked at every few steps, as the workload says. Where the target was not reached, the "
        "saving is a lower limit.",
    )


def _paper_table() -> ArtifactTable:
    return ArtifactTable(
        name="table-3-paper-sums",
        title="Do the paper's own rows add up?",
        columns=("method", "steps", "a step (s)", "product (s)", "total printed (s)", "adds up"),
        rows=tuple(
            (
                row.label,
                row.steps,
                row.seconds_per_step,
                row.product,
                row.seconds,
                row.adds_up(),
            )
            for row in PAPER_ROWS.values()
        ),
        note="Adds up: steps times any time that rounds to the one printed gives the total.",
    )


def _checks(shared: SharedRun, prices: Prices, main: ArtifactTable) -> tuple[Check, ...]:
    newton = shared.newton
    rows = {row.method: row for row in shared.comparison.rows}
    assert newton.config.hardware is not None
    apart = [
        relative_difference(prices.of(policy, HERE).seconds, rows[method].modelled_seconds)
        for policy, method in _METHODS.items()
    ]
    sgd = shared.tunings["sgd"]
    products = [
        abs(per_step * row[2] / total - 1)
        for row in main.rows
        for per_step, total in ((row[5], row[6]), (row[7], row[8]))
        if per_step is not None and total
    ]
    newton_rows = [rows[method] for method in _METHODS.values()]
    return (
        Check(
            name="the Newton rows have the steps and the accuracy of their run folder",
            passed=all(
                row.steps == len(newton.steps)
                and row.test_accuracy == newton.metrics[-1].test_accuracy
                for row in newton_rows
            ),
            detail=f"{len(newton.steps)} steps, {share_text(newton.metrics[-1].test_accuracy)}, in "
            f"{newton.folder.name}",
        ),
        Check(
            name="pricing the recorded steps again gives the comparison's modelled totals",
            passed=max(apart) < 1e-9,
            detail=f"largest relative difference {max(apart):.1e}",
        ),
        Check(
            name="steps times modelled seconds a step is the modelled total",
            passed=max(products, default=0.0) < 1e-9,
            detail=f"{len(products)} pairs, largest relative difference "
            f"{max(products, default=0.0):.1e}",
        ),
        Check(
            name="tuned SGD and the comparison's SGD are the same run",
            passed=(rows["sgd"].learning_rate, rows["sgd"].steps)
            == (sgd.best_rate, len(sgd.best.steps)),
            detail=f"learning rate {sgd.best_rate:g}, {len(sgd.best.steps)} and "
            f"{rows['sgd'].steps} steps",
        ),
        recorded_prices_check(newton.steps, newton.config.hardware),
    )


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


def _solvers(run: Run) -> str:
    used = {block.solver for step in run.steps for block in step.blocks if block.solver}
    return " and ".join(solver_look(solver).label for solver in sorted(used))


def _logs(prices: PolicyPrices) -> list[float]:
    return [step.log_condition for step in prices.steps if step.log_condition is not None]


def _decades(log: float | None) -> float | None:
    return None if log is None else log / math.log(10)


def _machine_text(hardware: QuantumHardware) -> str:
    kind = "hypothetical, " if hardware.hypothetical else ""
    return f"{hardware.name} ({kind}gate time {seconds_text(hardware.gate_time_s.value)})"


EXPERIMENT = PaperExperiment(
    name="table-3",
    title="Table III: SGD, classical-only, quantum-only and Q-Newton on MNIST",
    make=make,
)
