"""What Table III's runs say about the paper's claims."""

import math
from collections.abc import Iterator

from paper.artifact import Finding
from paper.kept_runs import reached
from paper.paper_rows import TABLE_3
from paper.repricing import BOUNDS, H100_ASSUMPTION, HERE, PAPER_H100, SGD_STEP_S, Prices
from paper.shared_run import OPTIMIZERS, SharedRun
from qnewton.report.quantities import number_text, power_text, seconds_text, share_text
from qnewton.runs import Run

USABLE = 0.9
"""Share of a run's steps at which a usable estimate of κ decides as κ itself does."""


def findings(shared: SharedRun, prices: Prices) -> Iterator[Finding]:
    """Return every claim of Table III beside what was found."""
    yield _steps(shared)
    yield _fastest(shared, prices, HERE)
    yield _fastest(shared, prices, PAPER_H100)
    yield _bound(prices)
    yield _sums()


def _steps(shared: SharedRun) -> Finding:
    newton, target, sgd = shared.newton, shared.setup.target, shared.tunings["sgd"]
    paper = TABLE_3["sgd"].steps / TABLE_3["paper"].steps

    def steps(run: Run) -> str:
        return f"{'' if reached(run, target) else 'more than '}{len(run.steps)} steps"

    def saving(other: Run) -> float:
        """Return the share of the other run's steps that Newton saves; 0 if Newton failed."""
        return 1 - len(newton.steps) / len(other.steps) if reached(newton, target) else 0.0

    tuned = ", ".join(
        f"tuned {OPTIMIZERS[name]} {steps(tuning.best)} (learning rate "
        f"{tuning.best_rate:g}{'' if tuning.bracketed else ', at the edge of the grid'})"
        for name, tuning in shared.tunings.items()
    )
    others = [f"{steps(run)} at {rate:g}" for rate, run in sgd.runs.items() if run is not sgd.best]
    # The SGD rate at which the ratio of steps comes nearest to the paper's.
    ratios = {
        rate: len(run.steps) / len(newton.steps)
        for rate, run in sgd.runs.items()
        if reached(run, target)
    }
    nearest = ""
    if ratios:
        rate = min(ratios, key=lambda rate: (abs(math.log(ratios[rate] / paper)), rate))
        nearest = (
            f"; the paper's ratio of {paper:g} is nearest at {rate:g}, with {ratios[rate]:.3g}"
        )
    enough = 1 - 1 / paper
    saved = {name: saving(tuning.best) for name, tuning in shared.tunings.items()}
    slow = ", ".join(f"{rate:g}" for rate, run in sgd.runs.items() if saving(run) >= enough)
    return Finding.judged(
        f"V-B, Table III: Newton needs {TABLE_3['paper'].steps:,} steps where SGD "
        f"needs {TABLE_3['sgd'].steps:,}: {share_text(enough)} fewer",
        f"To {shared.goal} on {shared.setup.workload} (measured, seed {newton.config.seed}): "
        f"Newton {steps(newton)} (β = {newton.config.options['lr']:g}, not tuned), {tuned}; "
        f"accuracy is looked at every {newton.metrics[0].step} steps. Newton saves "
        f"{share_text(saved['sgd'])} of tuned SGD's steps and {share_text(saved['adam'])} of tuned "
        "Adam's. SGD's learning rate, which the paper does not state, decides more than Newton "
        f"does: {', '.join(others)}{nearest}. Counted as holding: the paper's saving against tuned "
        "SGD and tuned Adam.",
        all(share >= enough for share in saved.values()),
        f"SGD is not tuned: learning rate {slow} of those tried" if slow else None,
    )


def _fastest(shared: SharedRun, prices: Prices, machine: str) -> Finding:
    sgd, h100 = shared.tunings["sgd"].best, machine == PAPER_H100
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
    assumption = None
    if fastest:
        assumption = f"κ comes from {BOUNDS[fastest[0]]}, not from the determinant bound"
        if h100:
            assumption += (
                "; the Hessian costs no more than the paper's SGD step, and a query of the quantum "
                "solver one attosecond"
            )
    only = quantum["determinant"]
    measured = (
        f"Modelled totals, {machine} with the attosecond machine (hypothetical): SGD "
        f"{seconds_text(sgd_s)}, Classical-Only {seconds_text(classical)}, Quantum-Only "
        f"{'without a finite price' if only is None else seconds_text(only)} and Q-Newton "
        f"{seconds_text(totals['determinant'])} with the determinant bound. Q-Newton with κ from "
        f"the trace bound {seconds_text(totals['trace'])}, from Lanczos "
        f"{seconds_text(totals['lanczos'])}."
    )
    if prices.of("paper", machine, "lanczos").quantum_share == 1.0:
        measured += " There it is Quantum-Only: no step goes to LU inversion."
    forming = math.fsum(s.modelled.curvature for s in shared.newton.steps if s.modelled is not None)
    if h100:
        measured += f" {H100_ASSUMPTION}."
    elif sgd_s is not None and forming > sgd_s:
        measured += (
            f" Forming the Hessians alone is modelled at {seconds_text(forming)}, so that no "
            "solver, however fast, makes Newton faster than tuned SGD here."
        )
    return Finding.judged(
        "I (key result 1), Table III: Q-Newton takes the least total time of SGD, "
        f"Classical-Only, Quantum-Only and Q-Newton ({machine})",
        measured,
        "determinant" in fastest,
        assumption,
    )


def _bound(prices: Prices) -> Finding:
    chosen = {
        bound: [step.chosen for step in prices.of("paper", HERE, bound).steps] for bound in BOUNDS
    }
    agree = {
        bound: sum(map(str.__eq__, chosen[bound], chosen["lanczos"])) / len(chosen["lanczos"])
        for bound in ("determinant", "trace")
    }
    return Finding.judged(
        "IV-C: in place of κ an upper bound from the determinant is enough to schedule by",
        f"Modelled, {HERE} with the attosecond machine (hypothetical), same systems: "
        f"{'; '.join(_decisions(prices, bound) for bound in BOUNDS)}. The bounds decide as κ "
        f"itself does at {share_text(agree['determinant'])} (norm) and "
        f"{share_text(agree['trace'])} (trace) of the steps; counted as usable: "
        f"{share_text(USABLE)}.",
        agree["determinant"] >= USABLE,
        "the determinant is combined with the trace, and A is positive definite"
        if agree["trace"] >= USABLE
        else None,
    )


def _decisions(prices: Prices, bound: str) -> str:
    """Describe an estimate at both ends of the run and what it makes the scheduler choose."""
    found = prices.of("paper", HERE, bound)
    first, last = (_kappa(found.steps[end].log_condition, bound) for end in (0, -1))
    chosen = [step.step for step in found.steps if step.chosen == "qsvt"]
    when = f", the last at step {chosen[-1]}" if 0 < len(chosen) < len(found.steps) else ""
    h100 = prices.of("paper", PAPER_H100, bound).quantum_steps
    return (
        f"{BOUNDS[bound]}: {first} at the first step, {last} at the last, quantum solver at "
        f"{len(chosen)} of {len(found.steps)} steps{when} ({h100} with {PAPER_H100})"
    )


def _kappa(log: float | None, bound: str) -> str:
    if log is None:
        return "κ unknown"
    if bound == "lanczos":
        return f"κ = {number_text(math.exp(log))}"
    return f"κ ≤ {power_text(round(log / math.log(10)))} (e^{log:.0f})"


def _sums() -> Finding:
    wrong = [
        f"{row.label}: {row.steps:,} × {row.seconds_per_step:g} s = {row.product:g} s, printed "
        f"{row.seconds:g} s"
        for row in TABLE_3.values()
        if not row.adds_up()
    ]
    right = [row.label for row in TABLE_3.values() if row.adds_up()]
    return Finding.judged(
        "Table III: total time is total steps times time per step",
        f"From the paper's own numbers: {'; '.join(wrong) or 'every row adds up'}. Adding up to "
        f"rounding: {', '.join(right) or 'none'}.",
        not wrong,
    )
