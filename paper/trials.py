"""Training runs that several artifacts read back from their folders, and short ones of sweeps."""

import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from paper.artifact import PaperContext
from qnewton.optimizer.hooks import SolutionHook
from qnewton.records import Calibration, Outcome, StepRecord, Treatment
from qnewton.runs import Run, read_run
from qnewton.training.loop import Progress, train
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare
from qnewton.training.steppers import NewtonStepper
from qnewton.workloads import Workload

K = TypeVar("K")


def kept_runs(
    context: PaperContext,
    workload: Workload,
    folder: Path,
    grid: Mapping[K, tuple[str, TrainingRequest]],
    text: Callable[[str], str] = str,
) -> dict[K, Run]:
    """Return the run of every case of a grid, each in the folder that the case names."""
    found = {}
    for case, (name, request) in grid.items():
        context.progress(text(name))
        found[case] = kept_run(context, request, workload, folder / name)
    return found


def first_order_runs(
    context: PaperContext,
    workload: Workload,
    folder: Path,
    request: TrainingRequest,
    rates: Iterable[float],
    text: Callable[[str], str] = str,
) -> dict[float, Run]:
    """Return the run of a first-order optimizer at every learning rate."""
    grid = {rate: (f"{request.optimizer}-lr{rate:g}", replace(request, lr=rate)) for rate in rates}
    return kept_runs(context, workload, folder, grid, text)


def kept_run(
    context: PaperContext,
    request: TrainingRequest,
    workload: Workload,
    folder: Path,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Return the training run in ``folder``, trained now unless it is there and whole."""
    session = prepare(request, workload, context.calibration)
    if folder.exists():
        run = read_run(folder)
        if run.config.options != session.config.options:
            raise other_settings(folder)
        if len(run.steps) == request.steps or reached(run, request.target):
            return run
        shutil.rmtree(folder)
    begin(session, folder, on_step)
    return read_run(folder)


def reached(run: Run, target: float | None) -> bool:
    """Return whether the run's last evaluation met the target."""
    return target is not None and bool(run.metrics) and run.metrics[-1].test_accuracy >= target


def other_settings(folder: Path) -> ValueError:
    """Return the error of a folder whose run is another one."""
    return ValueError(
        f"{folder} holds a run made with other settings; choose another folder with --runs, or "
        "remove it"
    )


DIVERGED = 100.0
"""A loss this many times the first one is not waited for: the run has diverged."""

LARGEST_EXACT = 4096
"""Up to this N a sweep measures the spectrum by all eigenvalues, beyond it by Lanczos."""

C = TypeVar("C")
R = TypeVar("R")
T = TypeVar("T")


def sweep(
    context: PaperContext, cases: Iterable[C], text: Callable[[C], str], run: Callable[[C], R]
) -> list[R]:
    """Run every case in turn, and say in a few words which one it is."""
    found = []
    for case in cases:
        context.progress(text(case))
        found.append(run(case))
    return found


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One finished run.

    Attributes:
        request: What was trained.
        records: One a step taken.
        test_accuracy: Accuracy on the whole test split after the last step.
        diverged: Whether it was given up for its loss.
    """

    request: TrainingRequest
    records: tuple[StepRecord, ...]
    test_accuracy: float
    diverged: bool

    @property
    def newton_steps(self) -> int:
        """Newton steps tried."""
        return sum(record.phase == "newton" for record in self.records)

    @property
    def indefinite_steps(self) -> int:
        """Newton steps at which a factorization found A not positive definite."""
        return sum(
            any(
                attempt.outcome is Outcome.NOT_DEFINITE
                for block in record.blocks
                for attempt in block.attempts
            )
            for record in self.records
        )

    @property
    def skipped_steps(self) -> int:
        """Steps that changed nothing."""
        return sum(record.skipped is not None for record in self.records)

    @property
    def lowest_kept_mass(self) -> float | None:
        """The smallest share of a row's absolute sum that pruning kept, over all steps."""
        return min(self.treated(lambda treatment: treatment.lowest_kept_mass), default=None)

    def treated(self, number: Callable[[Treatment], T | None]) -> list[T]:
        """Return what is known of a number of the treatment, system by system."""
        blocks = [block for record in self.records for block in record.blocks]
        return [value for b in blocks if (value := number(b.treatment)) is not None]


def run_trial(
    request: TrainingRequest,
    workload: Workload,
    calibration: Calibration,
    hook: SolutionHook | None = None,
) -> Trial:
    """Train ``request.steps`` steps with QNewton, or until the loss has diverged.

    Nothing is kept on disk. The hook sees every solved system.
    """
    session = prepare(request, workload, calibration)
    stepper = session.stepper
    assert isinstance(stepper, NewtonStepper)
    if hook is not None:
        stepper.optimizer.register_solution_hook(hook)
    result = train(session, stop=_diverged)
    return Trial(
        request=session.request,
        records=result.records,
        test_accuracy=result.metrics[-1].test_accuracy,
        diverged=_diverged(result.records),
    )


def _diverged(records: Sequence[StepRecord]) -> bool:
    loss = records[-1].loss
    return not math.isfinite(loss) or loss > DIVERGED * records[0].loss
