"""One run of one optimizer on one workload: losses and held-out measures over seconds."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.minibatch.settings import Setting
from benchmarks.minibatch.workloads import Batch, Training, Workload

_FIRST_MARK_S = 0.05
_NEXT_MARK = 1.2


@dataclass(frozen=True)
class Point:
    """Where a run stood.

    Attributes:
        cpu_seconds: Processor time of all threads since the start, without measurements.
        wall_seconds: Wall clock, without measurements.
        steps: Steps taken.
        loss: Over the whole training set.
        held_out: The held-out measure.
    """

    cpu_seconds: float
    wall_seconds: float
    steps: int
    loss: float
    held_out: float


@dataclass(frozen=True)
class Limits:
    """When a run ends, in the seconds that count.

    Attributes:
        seconds: Every run goes on for as long as this.
        most_seconds: A run that has not reached the target goes on for as long as this.
        target: Loss to be reached; ``None`` for none.
    """

    seconds: float
    most_seconds: float
    target: float | None = None


@dataclass(frozen=True)
class Run:
    """What one run came to.

    Attributes:
        workload: Name of the workload.
        setting: Name of the setting.
        seed: Of weights, batches and noise.
        threads: Threads of torch.
        limits: When it was to end.
        curve: In the order of time; the first is the start, the last the end.
        error: What it raised; ``None`` for a run that ended at its limits.
    """

    workload: str
    setting: str
    seed: int
    threads: int
    limits: Limits
    curve: tuple[Point, ...]
    error: str | None

    @property
    def least_loss(self) -> float:
        """The least loss over the training set; infinite if none is a number."""
        losses = [point.loss for point in self.curve if not math.isnan(point.loss)]
        return min(losses, default=math.inf)

    def point_at(self, loss: float) -> Point | None:
        """Return where the loss was first at most this; ``None`` if it never was."""
        return next((point for point in self.curve if point.loss <= loss), None)

    def seconds_to(self, loss: float) -> float | None:
        """Return when the loss was first at most this; ``None`` if it never was."""
        point = self.point_at(loss)
        return None if point is None else counted(point, self.threads)

    @property
    def seconds_per_step(self) -> float:
        """Mean seconds per step."""
        last = self.curve[-1]
        return counted(last, self.threads) / max(1, last.steps)


def counted(point: Point, threads: int) -> float:
    """Return the seconds that count: processor time on one thread, wall clock on more.

    Processor time is what others on the machine cannot lengthen much. A second thread that waits
    for work spins, and its time is no work.
    """
    return point.cpu_seconds if threads == 1 else point.wall_seconds


class _Watch:
    """The curve of a run, and clocks that stand still while it is measured."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._cpu = self._wall = 0.0
        self.steps = 0
        self.curve: list[Point] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clocks run."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self._cpu += time.process_time() - cpu
        self._wall += time.perf_counter() - wall

    @property
    def seconds(self) -> float:
        """The seconds that count."""
        return self._cpu if torch.get_num_threads() == 1 else self._wall

    def measure(self) -> float:
        """Add where the run stands, and return the loss."""
        loss, held_out = self._training.full_loss(), self._training.held_out()
        self.curve.append(Point(self._cpu, self._wall, self.steps, loss, held_out))
        return loss


def run(workload: Workload, setting: Setting, seed: int, limits: Limits) -> Run:
    """Train on as many threads as torch has, and measure off the clock, more and more seldom.

    Whatever an optimizer raises ends its run and stands in it; the others have their turn.
    """
    training = workload.make(seed)
    watch, error = _Watch(training), None
    watch.measure()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            _train(training, setting, limits, watch)
        except Exception as reason:  # noqa: BLE001  # an optimizer's error is its result
            error = f"{type(reason).__name__}: {' '.join(str(reason).split())[:300]}"
    threads = torch.get_num_threads()
    return Run(workload.name, setting.name, seed, threads, limits, tuple(watch.curve), error)


def _train(training: Training, setting: Setting, limits: Limits, watch: _Watch) -> None:
    with watch.running():
        optimizer = setting.make(training.model)
    mark = _FIRST_MARK_S
    while True:
        with watch.running():
            _step(training, optimizer, next(training.batches))
        watch.steps += 1
        if watch.seconds < mark:
            continue
        loss, now = watch.measure(), watch.seconds
        missing = limits.target is not None and not loss <= limits.target
        end = limits.most_seconds if missing else limits.seconds
        if now >= end:
            return
        mark = min(_NEXT_MARK * now, end)


def _step(training: Training, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = training.loss(batch)
        loss.backward()
        return loss

    # The stub wants a float; every optimizer of PyTorch takes and returns tensors.
    optimizer.step(closure)  # pyright: ignore[reportArgumentType, reportCallIssue]
