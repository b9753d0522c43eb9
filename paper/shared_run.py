"""Training runs that several artifacts read: trained once, then read back from their folders."""

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paper.artifact import PaperContext
from qnewton.experiments.compare import CompareEvent, CompareRequest, compare
from qnewton.records import QuantumHardware
from qnewton.runs import Comparison, NotARunError, Run, read_comparison, read_config, read_run
from qnewton.training.loop import Progress
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare, resolved
from qnewton.workloads import Workload, load_workload

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

    optimizer: str
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
        rates = sorted(self.runs)
        return rates[0] < self.best_rate < rates[-1]

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
    tunings: dict[str, Tuning]

    @property
    def hardware(self) -> QuantumHardware:
        """The quantum machine that the Newton run was quoted for."""
        assert self.newton.config.hardware is not None
        return self.newton.config.hardware

    @property
    def machine_text(self) -> str:
        """That machine's name, and whether it is hypothetical."""
        return f"{self.hardware.name}{' (hypothetical)' if self.hardware.hypothetical else ''}"


def shared_run(context: PaperContext, setup: Setup | None = None) -> SharedRun:
    """Return Table III's runs, trained now unless ``context.folder`` already holds them.

    SGD and Adam are tuned first: each rate trains to the target on its own, and the grid grows
    by half a decade while the best rate is at its edge, three times at most. The comparison is
    then made with the best SGD rate.

    Raises:
        ValueError: If the folder holds a comparison made with other settings.
    """
    setup = setup or (FULL if context.full else QUICK)
    folder = context.folder / "table-3" / f"{setup.name}-seed{context.seed}"
    workload = load_workload(setup.workload, context.seed, context.data_dir)
    grids = {"sgd": setup.sgd_rates or workload.sgd_learning_rates, "adam": setup.adam_rates}
    tunings = {
        name: tune(context, setup, workload, name, rates, folder / "tuning")
        for name, rates in grids.items()
    }
    comparison = _comparison(
        context, setup, workload, tunings["sgd"].best_rate, folder / "comparison"
    )
    newton = next(row.run for row in comparison.rows if row.method == "q-newton")
    return SharedRun(
        setup=setup,
        comparison=comparison,
        newton=read_run(folder / "comparison" / newton),
        tunings=tunings,
    )


def tune(
    context: PaperContext,
    setup: Setup,
    workload: Workload,
    optimizer: str,
    rates: tuple[float, ...],
    folder: Path,
) -> Tuning:
    """Train a first-order optimizer to the target at every rate, and at more while it pays."""
    runs: dict[float, Run] = {}
    wanted, widenings = sorted(rates), 0
    while True:
        for rate in wanted:
            context.progress(f"{optimizer}, learning rate {rate:g}")
            request = TrainingRequest(
                workload=setup.workload,
                optimizer=optimizer,  # type: ignore[arg-type]  # one of the grid's two names
                lr=rate,
                steps=setup.first_order_steps,
                target=setup.target,
                seed=context.seed,
                checkpoint_every=setup.first_order_steps,
            )
            runs[rate] = kept_run(context, request, workload, folder / f"{optimizer}-lr{rate:g}")
        tuning = Tuning(optimizer=optimizer, runs=dict(sorted(runs.items())), target=setup.target)
        if tuning.bracketed or widenings == _MOST_WIDENINGS:
            return tuning
        edge = tuning.best_rate
        wanted = [_rounded(edge * _WIDEN if edge == max(runs) else edge / _WIDEN)]
        widenings += 1


def kept_run(
    context: PaperContext,
    request: TrainingRequest,
    workload: Workload,
    folder: Path,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Return the training run in ``folder``, trained now unless it is there and whole.

    Raises:
        ValueError: If the folder holds a run of other options.
    """
    session = prepare(request, workload, context.calibration)
    if folder.exists():
        run = read_run(folder)
        if run.config.options != session.config.options:
            raise ValueError(_other(folder))
        if len(run.steps) == request.steps or reached(run, request.target):
            return run
        shutil.rmtree(folder)
    begin(session, folder, on_step)
    return read_run(folder)


def reached(run: Run, target: float | None) -> bool:
    """Return whether the run's last evaluation met the target."""
    return target is not None and bool(run.metrics) and run.metrics[-1].test_accuracy >= target


def _comparison(
    context: PaperContext, setup: Setup, workload: Workload, sgd_rate: float, folder: Path
) -> Comparison:
    request = CompareRequest(
        training=TrainingRequest(
            workload=setup.workload,
            steps=setup.newton_steps,
            target=setup.target,
            seed=context.seed,
        ),
        sgd_learning_rates=(sgd_rate,),
        max_sgd_steps=setup.first_order_steps,
        agreement_every=setup.agreement_every,
    )
    if folder.exists():
        options = read_config(folder).options
        wanted = dataclasses.asdict(resolved(request.training, workload))
        wanted["hardware"] = options["hardware"]
        if any(options[name] != value for name, value in wanted.items()):
            raise ValueError(_other(folder))
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


def _other(folder: Path) -> str:
    return (
        f"{folder} holds a run made with other settings; choose another folder with --runs, or "
        "remove it"
    )


def _rounded(rate: float) -> float:
    """Return a rate to one digit, so that 0.3 times 3 is 0.9 and its folder's name is short."""
    return float(f"{rate:.1g}")
