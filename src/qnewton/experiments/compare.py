"""The paper's Table III to one target, and beside it Newton's method by classical solvers alone."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnewton.cost import SOLVERS
from qnewton.experiments.agreement import Agreement, AgreementCheck, write_agreements
from qnewton.experiments.replay import Replayed, replay
from qnewton.optimizer import StageHook
from qnewton.records import Calibration
from qnewton.report.run_summary import clocks_text
from qnewton.runs import Comparison, ComparisonRow, RunConfig, create_folder, write_comparison
from qnewton.scheduler.pricing import ReplaySettings
from qnewton.training.loop import Progress, Session, TrainingResult
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare, resolved
from qnewton.training.steppers import NewtonStepper
from qnewton.workloads import Workload

NEWTON_POLICIES = {
    "classical-only": "Classical-Only",
    "quantum-only": "Quantum-Only",
    "paper": "Q-Newton",
}
"""The paper's three Newton rows: policy and label."""

BEST_CLASSICAL = "classical"
"""The policy of the row beside the paper's: the cheapest classical solver of each system."""

_METHODS = {"paper": "q-newton", BEST_CLASSICAL: "best-classical"}
"""Rows whose method has another name than the policy that it was decided by."""


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """What a comparison trains.

    Attributes:
        training: Options of the Newton run; its policy is replaced by each row's own.
        sgd_learning_rates: The grid SGD is tuned over; ``None`` for the workload's own.
        max_sgd_steps: Steps after which SGD is given up at a learning rate.
        agreement_every: Newton steps between checks that the charged solvers agree.
    """

    training: TrainingRequest
    sgd_learning_rates: tuple[float, ...] | None = None
    max_sgd_steps: int = 1500
    agreement_every: int = 10


@dataclass(frozen=True)
class CompareEvent:
    """What a progress display gets: which run is on, its longest length, how far it is.

    ``progress`` is ``None`` when the run begins.
    """

    label: str
    steps: int
    progress: Progress | None = None


class DisagreementError(RuntimeError):
    """A solver that a comparison charges for did not give the direction that was taken."""


def compare(
    request: CompareRequest,
    folder: Path,
    workload: Workload,
    calibration: Calibration,
    on_event: Callable[[CompareEvent], None] = lambda _: None,
    on_stage: StageHook = lambda _step, _stage: None,
) -> Comparison:
    """Run the comparison into ``folder`` and return its table.

    SGD is tuned over a grid; the learning rate with the fewest steps to the target is its row.
    The paper's three Newton policies, and the one that takes the cheapest classical solver, choose
    between solvers of one and the same system, so they take the same steps: one run is trained,
    solved by the cheapest solver that works here, and its recorded steps are priced for each
    policy. On sampled steps LU inversion and the emulated QSVT
    solve the same system too, and how far their directions are from the one taken is recorded.
    With a warm-up that depends on prices the policies take different steps; then each trains on
    its own.

    Args:
        request: What to train.
        folder: A new folder; each run goes into a subfolder.
        workload: The workload the request names.
        calibration: The classical machine's constants, frozen into every run.
        on_event: Told of every step.
        on_stage: Told when a stage of a Newton step begins.

    Raises:
        ValueError: If the request names something that does not exist.
        RunExistsError: If the folder already holds something.
        RunStorageError: If the folder cannot be written.
        DisagreementError: If a charged solver gave another direction on a sampled step.
    """
    training = request.training
    target = workload.target_accuracy if training.target is None else training.target
    training = dataclasses.replace(
        resolved(training, workload), target=target, hardware=training.hardware or "attosecond"
    )
    on = _Comparing(request, training, folder, workload, calibration, on_event, on_stage)
    # One session for all policies where they take the same steps, else one per policy.
    policies = (*NEWTON_POLICIES, BEST_CLASSICAL)
    runs = (
        {BEST_CLASSICAL: policies}
        if training.warmup_value != "auto"
        else {p: (p,) for p in policies}
    )
    newton = [(on.session(policy=policy), priced) for policy, priced in runs.items()]
    options = {**dataclasses.asdict(training), "max_sgd_steps": request.max_sgd_steps}
    config = newton[0][0].config
    create_folder(
        folder, dataclasses.replace(config, kind="compare", policy="all", options=options)
    )
    rows = [on.tuned_sgd(request.sgd_learning_rates or workload.sgd_learning_rates)]
    agreements: list[Agreement] = []
    for session, priced in newton:
        rows += on.newton_rows(session, priced, agreements)
    write_agreements(folder, agreements)
    comparison = Comparison(
        workload=training.workload,
        target=target,
        seed=training.seed,
        run=str(folder),
        rows=tuple(rows),
    )
    write_comparison(folder, comparison)
    worst = next((agreement for agreement in agreements if not agreement.holds), None)
    if worst is not None:
        raise DisagreementError(
            f"at step {worst.step} {worst.solver} gave another direction than the one taken "
            f"(difference {worst.relative_difference}, outcome {worst.outcome}); the rows charged "
            f"for it are not comparable, see {folder / 'agreement.json'}"
        )
    return comparison


@dataclass(frozen=True)
class _Comparing:
    """A comparison on its way: what is trained, into which folder, and who is told."""

    request: CompareRequest
    training: TrainingRequest
    folder: Path
    workload: Workload
    calibration: Calibration
    on_event: Callable[[CompareEvent], None]
    on_stage: StageHook

    def session(self, **changes: Any) -> Session:
        """Prepare a run with some options of its own."""
        request = dataclasses.replace(self.training, **changes)
        return prepare(request, self.workload, self.calibration)

    def run(self, session: Session, subfolder: str, label: str) -> TrainingResult:
        """Train a session into a subfolder, and tell of its steps under a label."""
        steps = session.request.steps

        def on_step(progress: Progress) -> None:
            self.on_event(CompareEvent(label, steps, progress))

        self.on_event(CompareEvent(label, steps))
        return begin(session, self.folder / subfolder, on_step, self.on_stage)

    def tuned_sgd(self, rates: tuple[float, ...]) -> ComparisonRow:
        """Train SGD at every rate and return the best one's row."""
        # The best reaches the target in the fewest steps; if none does, it is the most accurate.
        # Once a rate has reached the target, others are given up as soon as they take longer.
        best: tuple[tuple[bool, float], float, TrainingResult] | None = None
        limit = self.request.max_sgd_steps
        sgd = {"optimizer": "sgd", "policy": "classical"}
        for rate in sorted(rates, reverse=True):
            session = self.session(**sgd, lr=rate, steps=limit, checkpoint_every=limit)
            result = self.run(session, f"sgd-lr{rate:g}", f"SGD, learning rate {rate:g}")
            reached, steps = result.reached is not None, len(result.records)
            score = (reached, -steps if reached else result.metrics[-1].test_accuracy)
            if best is None or score > best[0]:
                best = (score, rate, result)
            if reached:
                limit = min(limit, steps)
        assert best is not None
        _, rate, result = best
        tried = ", ".join(f"{r:g}" for r in sorted(rates))
        return ComparisonRow(
            method="sgd",
            label="SGD",
            run=f"sgd-lr{rate:g}",
            measured_seconds=result.metrics[-1].measured_seconds,
            quantum_share=None,
            learning_rate=rate,
            note=f"best of the learning rates {tried}",
            modelled_survey_seconds=0.0,
            **_totals(result, result.metrics[-1].modelled_seconds),
        )

    def newton_rows(
        self, session: Session, policies: Sequence[str], agreements: list[Agreement]
    ) -> list[ComparisonRow]:
        """Train one Newton run and return the row of every policy that it stands for."""
        stepper = session.stepper
        assert isinstance(stepper, NewtonStepper)
        every = self.request.agreement_every
        check = AgreementCheck(stepper.optimizer.market, every, self.on_stage)
        stepper.optimizer.register_solution_hook(check)
        trained = session.config.policy
        subfolder = trained if policies == (trained,) else "newton"
        result = self.run(session, subfolder, NEWTON_POLICIES.get(trained, "Newton"))
        agreements += check.agreements
        hardware = session.config.hardware
        assert hardware is not None
        # The quotes of the run are those of every policy, so they stay.
        settings = ReplaySettings(
            calibration=self.calibration, hardware=hardware, keep=("classical", "quantum")
        )
        rows = []
        for policy in policies:
            price = replay(result.records, policy, settings)
            own = policy == trained
            rows.append(
                ComparisonRow(
                    method=_METHODS.get(policy, policy),
                    label=NEWTON_POLICIES.get(policy) or _best_label(price),
                    run=subfolder,
                    measured_seconds=result.metrics[-1].measured_seconds if own else None,
                    quantum_share=price.quantum_share,
                    learning_rate=session.request.lr,
                    note=_note(price, result, session.config, own=own),
                    modelled_survey_seconds=price.survey_seconds,
                    **_totals(result, price.seconds),
                )
            )
        return rows


def _best_label(price: Replayed) -> str:
    solvers = [SOLVERS.find(name) for name in price.decisions]
    titles = [solver.title for solver in solvers if solver is not None]
    return f"Best classical ({', '.join(titles)})" if titles else "Best classical"


def _note(price: Replayed, result: TrainingResult, config: RunConfig, *, own: bool) -> str | None:
    """Return what a reader must know; ``own`` says that the run itself was decided so."""
    notes = []
    if own:
        measured = sum(record.measured.survey for record in result.records)
        notes.append(f"{measured:.2g} s of the measured time went into measuring the matrices")
        disagree = clocks_text(config, result.records)
        notes += [] if disagree is None else [disagree]
    else:
        solvers = sorted({b.solver for r in result.records for b in r.blocks if b.solver})
        notes.append(
            "priced from the steps of one Newton run, which this machine trained with "
            f"{' and '.join(solvers)}"
        )
    if price.unpriced_steps:
        notes.append(f"no finite price at {price.unpriced_steps} steps")
    return "; ".join(notes)


def _totals(result: TrainingResult, modelled: float | None) -> dict[str, Any]:
    """Return the fields of a row that its training and its modelled seconds tell."""
    steps = len(result.records)
    return {
        "steps": steps,
        "reached": result.reached is not None,
        "test_accuracy": result.metrics[-1].test_accuracy,
        "modelled_seconds": modelled,
        "modelled_seconds_per_step": None if modelled is None else modelled / steps,
    }
