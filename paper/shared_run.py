"""Table III's runs: tuned SGD and Adam, and one Newton run that every policy is priced from."""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paper.artifact import PaperContext
from paper.trials import first_order_runs, other_settings, reached
from qnewton.experiments.compare import CompareEvent, CompareRequest, compare
from qnewton.records import Calibration, QuantumHardware
from qnewton.runs import Comparison, NotARunError, Run, read_comparison, read_config, read_run
from qnewton.training.request import TrainingRequest
from qnewton.training.session import resolved
from qnewton.workloads import Workload, load_workload

FirstOrder = Literal["sgd", "adam"]
OPTIMIZERS: dict[FirstOrder, str] = {"sgd": "SGD", "adam": "Adam"}

_WIDEN = 3.0
_MOST_WIDENINGS = 3


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What Table III's comparison trains.

    Attributes:
        name: Folder name of the setup.
        workload: What is trained.
        target: Test accuracy every method trains to.
        newton_steps: Newton steps at most.
        first_order_steps: SGD and Adam steps at most, at each learning rate.
        agreement_every: Newton steps between checks that the charged solvers agree.
        sgd_rates: Learning rates SGD is tuned over; ``None`` for the workload's grid.
        adam_rates: Learning rates Adam is tuned over.
    """

    name: str
    workload: str = "mnist"
    target: float
    newton_steps: int
    first_order_steps: int = 1500
    agreement_every: int
    sgd_rates: tuple[float, ...] | None = None
    adam_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)


# On MNIST one check of the charged solvers takes as long as five Newton steps: at the first step
# alone in the quick setup.
QUICK = Setup(name="quick", target=0.90, newton_steps=60, agreement_every=1000)
FULL = Setup(name="full", target=0.95, newton_steps=1000, agreement_every=10)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """One first-order optimizer at every learning rate tried.

    Attributes:
        optimizer: ``sgd`` or ``adam``.
        runs: Its run at each rate, smallest rate first.
        target: The accuracy it trains to.
    """

    optimizer: FirstOrder
    runs: dict[float, Run]
    target: float

    @property
    def best_rate(self) -> float:
        """The rate with the fewest steps to the target; without any, the most accurate one."""
        return max(self.runs, key=self._score)

    @property
    def best(self) -> Run:
        """The run at that rate."""
        return self.runs[self.best_rate]

    @property
    def bracketed(self) -> bool:
        """Whether the best rate has worse ones on both sides."""
        return min(self.runs) < self.best_rate < max(self.runs)

    def _score(self, rate: float) -> tuple[bool, float]:
        run = self.runs[rate]
        if reached(run, self.target):
            return True, -float(len(run.steps))
        return False, run.metrics[-1].test_accuracy


@dataclass(frozen=True, kw_only=True)
class SharedRun:
    """The comparison behind Table III.

    Attributes:
        setup: What was asked for.
        comparison: Its rows.
        newton: The Newton run that all policies are priced from.
        tunings: The first-order optimizers by name.
    """

    setup: Setup
    comparison: Comparison
    newton: Run
    tunings: dict[FirstOrder, Tuning]

    @property
    def goal(self) -> str:
        """What every method trains to, for titles."""
        return f"{100 * self.setup.target:g}%"

    @property
    def calibration(self) -> Calibration:
        """The classical machine's constants that the Newton run was priced with."""
        assert self.newton.config.calibration is not None
        return self.newton.config.calibration

    @property
    def hardware(self) -> QuantumHardware:
        """The quantum machine that the Newton run was quoted for."""
        assert self.newton.config.hardware is not None
        return self.newton.config.hardware

    @property
    def machine_text(self) -> str:
        """That machine's name, and whether it is hypothetical."""
        return f"{self.hardware.name}{' (hypothetical)' if self.hardware.hypothetical else ''}"


def shared_run(context: PaperContext, setup: Setup) -> SharedRun:
    """Return Table III's runs, trained now unless ``context.folder`` already holds them.

    SGD and Adam are tuned first: each rate trains to the target on its own, and the grid grows
    by half a decade while the best rate is at its edge, three times at most. The comparison is
    then made with the best SGD rate.

    Raises:
        ValueError: If the folder holds a comparison made with other settings.
    """
    folder = context.folder / "table-3" / f"{setup.name}-seed{context.seed}"
    workload = load_workload(setup.workload, context.seed, context.data_dir)
    tunings: dict[FirstOrder, Tuning] = {
        name: _tune(context, setup, workload, name, folder) for name in OPTIMIZERS
    }
    rate = tunings["sgd"].best_rate
    comparison = _comparison(context, setup, workload, rate, folder / "comparison")
    subfolder = next(row.run for row in comparison.rows if row.method == "q-newton")
    newton = read_run(folder / "comparison" / subfolder)
    return SharedRun(setup=setup, comparison=comparison, newton=newton, tunings=tunings)


def _tune(
    context: PaperContext, setup: Setup, workload: Workload, optimizer: FirstOrder, folder: Path
) -> Tuning:
    """Train a first-order optimizer to the target at every rate, and at more while it pays."""
    base = TrainingRequest(
        workload=setup.workload,
        optimizer=optimizer,
        steps=setup.first_order_steps,
        target=setup.target,
        seed=context.seed,
        checkpoint_every=setup.first_order_steps,
    )
    grids = {"sgd": setup.sgd_rates or workload.sgd_learning_rates, "adam": setup.adam_rates}
    runs: dict[float, Run] = {}
    wanted, widenings = sorted(grids[optimizer]), 0
    while True:
        runs |= first_order_runs(context, workload, folder / "tuning", base, wanted)
        tuning = Tuning(optimizer=optimizer, runs=dict(sorted(runs.items())), target=setup.target)
        if tuning.bracketed or widenings == _MOST_WIDENINGS:
            return tuning
        edge = tuning.best_rate
        # One digit, so that 0.3 times 3 is 0.9 and its folder's name is short.
        wanted = [float(f"{edge * _WIDEN if edge == max(runs) else edge / _WIDEN:.1g}")]
        widenings += 1


def _comparison(
    context: PaperContext, setup: Setup, workload: Workload, sgd_rate: float, folder: Path
) -> Comparison:
    training = TrainingRequest(
        workload=setup.workload, steps=setup.newton_steps, target=setup.target, seed=context.seed
    )
    request = CompareRequest(
        training=training,
        sgd_learning_rates=(sgd_rate,),
        max_sgd_steps=setup.first_order_steps,
        agreement_every=setup.agreement_every,
    )
    if folder.exists():
        options = read_config(folder).options
        wanted = dataclasses.asdict(resolved(training, workload))
        wanted["hardware"] = options["hardware"]
        if any(options[name] != value for name, value in wanted.items()):
            raise other_settings(folder)
        try:
            return read_comparison(folder)
        except NotARunError:
            # It did not finish; what is there is of no use to anyone.
            shutil.rmtree(folder)

    def on_event(event: CompareEvent) -> None:
        if event.progress is None:
            context.progress(event.label)
        elif event.progress.record.phase == "newton":
            step, seconds = event.progress.record.step + 1, event.progress.measured_seconds
            context.progress(f"{event.label}, step {step}, {seconds:.0f} s measured")

    return compare(request, folder, workload, context.calibration, on_event)
