"""Do the modelled seconds of a run agree with the measured ones on the machine that was calibrated?

Calibrates this machine, then trains digits, MNIST and a regression under policy ``classical``, with
a fixed damping and with the one that sets itself, and sums both clocks over all steps of each run,
stage by stage. They have to agree within a factor of 2 in sum. The machine has to be quiet, from
the calibration to the last run.

    python -m benchmarks modelled_seconds --data-dir FOLDER
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from benchmarks.full_batch_problems import diabetes_network
from benchmarks.harness import Report, Row, Say, describe_machine, reached
from qnewton import Classical, QNewton
from qnewton.experiments.calibrate import calibrate
from qnewton.records import Calibration, StepRecord
from qnewton.report.run_summary import AGREEMENT, ClockAgreement, agreement_of
from qnewton.training.loop import train
from qnewton.training.request import TrainingRequest
from qnewton.training.session import prepare
from qnewton.workloads import load_workload

STEPS = {"digits": 15, "mnist": 5, "regression": 30}

Damping = Literal["auto"] | None
"""``None`` for the workload's own number."""


def measure(say: Say) -> Report:
    """Calibrate, train, and compare the two clocks."""
    say("calibrating, less than two minutes")
    calibration = calibrate(on_timing=lambda timing: None)
    rows: list[Row] = []
    found: dict[str, Any] = {}
    for name, run in _runs(calibration):
        try:
            records = run()
        except FileNotFoundError as error:
            rows.append(Row(_question(name), "", str(error), "not measured"))
            continue
        agreement = agreement_of(records)
        if agreement is None:
            rows.append(reached(_question(name), _REACH, "no step has a modelled time", False))
            continue
        found[name] = _stages(agreement)
        for line in _lines(name, agreement):
            say(line)
        rows.append(
            reached(
                _question(name),
                _REACH,
                f"{sum(agreement.measured.values()):.3g} s measured, "
                f"{sum(agreement.modelled.values()):.3g} s modelled, ratio {agreement.ratio:.2f}"
                f"{_without_price(agreement)}",
                agreement.agrees and not agreement.unpriced,
            )
        )
    return Report("modelled_seconds", rows, machine=describe_machine(), facts={"runs": found})


_REACH = f"within a factor of {AGREEMENT:g}"


def _question(name: str) -> str:
    return f"measured over modelled seconds of {name}, policy classical"


def _without_price(agreement: ClockAgreement) -> str:
    return f", {agreement.unpriced} steps without a price" if agreement.unpriced else ""


def _runs(calibration: Calibration) -> Iterator[tuple[str, Callable[[], Sequence[StepRecord]]]]:
    for damping in (None, "auto"):
        said = "fixed λ" if damping is None else "λ that sets itself"
        for workload in ("digits", "mnist"):
            yield (
                f"{STEPS[workload]} steps of {workload}, {said}",
                lambda workload=workload, damping=damping: _trained(workload, damping, calibration),
            )
        yield (
            f"{STEPS['regression']} steps of a regression, {said}",
            lambda damping=damping: _regression(damping, calibration),
        )


def _trained(workload: str, damping: Damping, calibration: Calibration) -> Sequence[StepRecord]:
    request = TrainingRequest(workload=workload, steps=STEPS[workload], damping=damping)
    session = prepare(request, load_workload(workload, request.seed), calibration)
    return train(session).records


def _regression(damping: Damping, calibration: Calibration) -> Sequence[StepRecord]:
    problem = diabetes_network()
    optimizer = QNewton(
        problem.model,
        damping=1e-2 if damping is None else damping,
        classical=Classical(calibration=calibration),
    )
    for _ in range(STEPS["regression"]):
        optimizer.step(problem.loss)
    return list(optimizer.records)


def _lines(name: str, agreement: ClockAgreement) -> Iterator[str]:
    yield f"{name}: {agreement.steps} steps, measured over modelled {agreement.ratio:.2f}"
    for stage, measured in agreement.measured.items():
        modelled = agreement.modelled[stage]
        ratio = f"{measured / modelled:.2f}" if modelled > 0.0 else "-"
        yield f"  {stage:18s} {measured:9.4f} s measured {modelled:9.4f} s modelled {ratio:>8s}"


def _stages(agreement: ClockAgreement) -> dict[str, Any]:
    return {
        "steps": agreement.steps,
        "unpriced": agreement.unpriced,
        "ratio": agreement.ratio,
        "measured_seconds": agreement.measured,
        "modelled_seconds": agreement.modelled,
    }
