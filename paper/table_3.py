"""Table III: SGD, classical-only, quantum-only and Q-Newton on one workload, to one accuracy."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext
from paper.paper_rows import TABLE_3, sums_table
from paper.repricing import (
    BOUNDS,
    H100_ASSUMPTION,
    HERE,
    MACHINES,
    PAPER_H100,
    SGD_STEP_S,
    Prices,
    quantum_quote,
    reprice_all,
)
from paper.shared_run import FULL, OPTIMIZERS, QUICK, Setup, SharedRun, reached, shared_run
from paper.table_3_pictures import TEXTS, bounds_picture, tuning_picture
from qnewton.experiments.compare import NEWTON_POLICIES
from qnewton.report.quantities import number_text, power_text, seconds_text
from qnewton.report.style import solver_look
from qnewton.runs import Run

USABLE = 0.9
"""Share of a run's steps at which a usable estimate of κ decides as κ itself does."""

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
    said = {"found": found, "machine": _machine_text(found), "assumed": H100_ASSUMPTION}
    return TEXTS.table("table-3", rows, **said)


def _per_step(seconds: float | None, steps: int) -> tuple[float | None, float | None]:
    return (None if seconds is None else seconds / steps), seconds


def _paper_cells(method: str) -> tuple[int | None, float | None, float | None]:
    row = TABLE_3.get(method)
    return (None, None, None) if row is None else (row.steps, row.seconds_per_step, row.seconds)


def _bounds_table(found: Priced) -> ArtifactTable:
    rows = []
    for bound, machine in itertools.product(BOUNDS, MACHINES):
        hybrid, quantum = (found.prices.of(p, machine, bound) for p in ("paper", "quantum-only"))
        logs = hybrid.decades
        largest = max((log for log in logs if log is not None), default=None)
        head = (BOUNDS[bound], machine, logs[0], largest, logs[-1])
        seconds = (found.prices.of("classical-only", machine).seconds, quantum.seconds)
        rows.append((*head, hybrid.quantum_steps, len(hybrid.steps), *seconds, hybrid.seconds))
    return TEXTS.table("table-3-estimates", rows, machine=_machine_text(found))


def _tuning_table(found: Priced) -> ArtifactTable:
    rows = []
    for tuning in found.tunings.values():
        for rate, run in tuning.runs.items():
            last, steps = run.metrics[-1], len(run.steps)
            head = (OPTIMIZERS[tuning.optimizer], rate, steps, reached(run, tuning.target))
            saved = 1 - len(found.newton.steps) / steps
            rows.append((*head, last.test_accuracy, last.measured_seconds, saved))
    return TEXTS.table("table-3-rates", rows, newton=found.newton)


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
    largest = max(products, default=0.0)
    mine = (len(newton.steps), accuracy)
    same = all((rows[m].steps, rows[m].test_accuracy) == mine for m in _METHODS.values())
    yield TEXTS.check("rows", same, newton=newton, accuracy=accuracy)
    yield TEXTS.check("totals", max(apart) < 1e-9, apart=apart)
    yield TEXTS.check("products", largest < 1e-9, products=products, largest=largest)
    same = (rows["sgd"].learning_rate, rows["sgd"].steps) == (sgd.best_rate, len(sgd.best.steps))
    yield TEXTS.check("sgd", same, sgd=sgd, steps=rows["sgd"].steps)
    blocks = [block for record in newton.steps for block in record.blocks]
    same = sum(
        quote is not None
        and quantum_quote(block, found.hardware, "determinant").seconds == quote.seconds
        for block in blocks
        for quote in [block.decision.quote("qsvt")]
    )
    yield TEXTS.check("quotes", same == len(blocks), same=same, blocks=len(blocks))


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


def _findings(found: Priced) -> Iterator[Finding]:
    yield _steps(found)
    yield _fastest(found, HERE)
    yield _fastest(found, PAPER_H100)
    yield _bound(found.prices)
    rows = TABLE_3.values()
    wrong = [row for row in rows if not row.adds_up()]
    right = [row for row in rows if row.adds_up()]
    yield TEXTS.finding("sums", not wrong, wrong=wrong, right=right)


def _steps(shared: SharedRun) -> Finding:
    newton, target, sgd = shared.newton, shared.setup.target, shared.tunings["sgd"]
    paper = TABLE_3["sgd"].steps / TABLE_3["paper"].steps

    def steps(run: Run) -> str:
        return f"{'' if reached(run, target) else 'more than '}{len(run.steps)} steps"

    def saving(other: Run) -> float:
        """Return the share of the other run's steps that Newton saves; 0 if Newton failed."""
        return 1 - len(newton.steps) / len(other.steps) if reached(newton, target) else 0.0

    # The SGD rate at which the ratio of steps comes nearest to the paper's.
    ratios = (
        (rate, len(run.steps) / len(newton.steps))
        for rate, run in sgd.runs.items()
        if reached(run, target)
    )
    nearest = min(ratios, key=lambda ratio: (abs(math.log(ratio[1] / paper)), ratio), default=None)
    enough = 1 - 1 / paper
    saved = {name: saving(tuning.best) for name, tuning in shared.tunings.items()}
    said = {"shared": shared, "newton": newton, "paper": TABLE_3, "optimizers": OPTIMIZERS}
    said["others"] = [(rate, run) for rate, run in sgd.runs.items() if run is not sgd.best]
    said["slow"] = [rate for rate, run in sgd.runs.items() if saving(run) >= enough]
    said |= {"steps": steps, "nearest": nearest, "ratio": paper, "enough": enough, "saved": saved}
    return TEXTS.finding("steps", all(share >= enough for share in saved.values()), **said)


def _fastest(found: Priced, machine: str) -> Finding:
    sgd, h100, prices = found.tunings["sgd"].best, machine == PAPER_H100, found.prices
    sgd_s = SGD_STEP_S * len(sgd.steps) if h100 else sgd.metrics[-1].modelled_seconds
    totals = {bound: prices.of("paper", machine, bound).seconds for bound in BOUNDS}
    quantum = {bound: prices.of("quantum-only", machine, bound).seconds for bound in BOUNDS}
    classical = prices.of("classical-only", machine).seconds
    fastest = [
        bound
        for bound, hybrid in totals.items()
        if hybrid is not None
        and all(
            hybrid <= rival for rival in (sgd_s, classical, quantum[bound]) if rival is not None
        )
    ]
    forming = math.fsum(s.modelled.curvature for s in found.newton.steps if s.modelled is not None)
    said = {"sgd": sgd_s, "classical": classical, "quantum": quantum, "totals": totals}
    said["only_quantum"] = prices.of("paper", machine, "lanczos").quantum_share == 1.0
    said["forming"] = forming if sgd_s is not None and forming > sgd_s else None
    said["fastest"] = BOUNDS[fastest[0]] if fastest else None
    said["h100"] = H100_ASSUMPTION if h100 else None
    return TEXTS.finding("fastest", "determinant" in fastest, machine=machine, **said)


def _bound(prices: Prices) -> Finding:
    def chosen(bound: str) -> list[str]:
        return [step.chosen for step in prices.of("paper", HERE, bound).steps]

    exact = chosen("lanczos")
    agree = {
        bound: sum(map(str.__eq__, chosen(bound), exact)) / len(exact)
        for bound in ("determinant", "trace")
    }
    decisions = {label: _decisions(prices, bound) for bound, label in BOUNDS.items()}
    said = {"decisions": decisions, "agree": agree, "usable": USABLE}
    holds = agree["determinant"] >= USABLE
    return TEXTS.finding("bound", holds, here=HERE, h100=PAPER_H100, **said)


def _decisions(prices: Prices, bound: str) -> dict[str, Any]:
    """Describe an estimate at both ends of the run and what it makes the scheduler choose."""
    steps = prices.of("paper", HERE, bound).steps
    return {
        "first": _kappa(steps[0].log_condition, bound),
        "last": _kappa(steps[-1].log_condition, bound),
        "chosen": [step.step for step in steps if step.chosen == "qsvt"],
        "steps": len(steps),
        "h100": prices.of("paper", PAPER_H100, bound).quantum_steps,
    }


def _kappa(log: float | None, bound: str) -> str:
    if log is None:
        return "κ unknown"
    if bound == "lanczos":
        return f"κ = {number_text(math.exp(log))}"
    return f"κ ≤ {power_text(round(log / math.log(10)))} (e^{log:.0f})"


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
        sums_table("table-3-paper-sums", TABLE_3, lambda row: (row.product, row.seconds)),
    ],
    pictures=lambda found: {
        "table-3-tuning": tuning_picture(found),
        "table-3-bounds": bounds_picture(found),
    },
    checks=_checks,
    findings=_findings,
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
