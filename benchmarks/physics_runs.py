"""One run of one optimizer on one physics-informed problem: its error over time."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from benchmarks.levenberg_marquardt import PoissonByHand
from benchmarks.physics_problems import Build, PhysicsProblem, poisson_2d_points
from qnewton import QNewton

# A curve to 60 s has at most 182 points.
_FIRST_MARK_S = 0.05
_NEXT_MARK = 1.04
# L-BFGS evaluates its closure once more per call.
_LBFGS_ITERATIONS = 20


@dataclass(frozen=True)
class Point:
    """Where a run stood.

    Attributes:
        seconds: Wall clock since the start, the optimizer's construction included, and the
            measurement of errors left out.
        error: Relative L2 error of u.
        loss: The loss.
    """

    seconds: float
    error: float
    loss: float


@dataclass(frozen=True)
class Run:
    """What one run came to.

    Attributes:
        curve: In the order of time; the first is the start, the last the end.
        steps: Calls of ``step``; iterations in a run by hand.
        problem: The problem with its model as the run left it.
    """

    curve: tuple[Point, ...]
    steps: int
    problem: PhysicsProblem

    @property
    def error(self) -> float:
        """The error at the end; infinite if the run ended in NaN."""
        error = self.curve[-1].error
        return math.inf if math.isnan(error) else error

    def seconds_to(self, error: float) -> float | None:
        """Return when the error was first at most this; ``None`` if it never was."""
        return next((point.seconds for point in self.curve if point.error <= error), None)


Method = Callable[[Build, float], Run]
"""Takes a problem and a limit in seconds, and runs."""

Train = Callable[[PhysicsProblem, Callable[[], float]], Iterator[None]]
"""Takes a problem and the share of the time that is over, and yields after every step."""


class _Watch:
    """The curve of a run, and a clock that stands still while it is measured."""

    def __init__(self, problem: PhysicsProblem) -> None:
        self._problem = problem
        self._start = time.perf_counter()
        self.curve: list[Point] = []
        self.measure(0.0)

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without those of measuring."""
        return time.perf_counter() - self._start

    def measure(self, elapsed: float) -> None:
        """Add where the problem's model stands now."""
        stopped = time.perf_counter()
        point = Point(elapsed, self._problem.error(), self._problem.loss().item())
        self.curve.append(point)
        self._start += time.perf_counter() - stopped


def watched(train: Train) -> Method:
    """Return a run whose error is measured between steps, more and more seldom."""

    def run(build: Build, limit_s: float) -> Run:
        problem = build()
        watch, steps, mark = _Watch(problem), 0, _FIRST_MARK_S
        for _ in train(problem, lambda: watch.elapsed / limit_s):
            elapsed = watch.elapsed
            steps += 1
            if elapsed >= min(mark, limit_s):
                watch.measure(elapsed)
                mark = _NEXT_MARK * elapsed
            if elapsed >= limit_s:
                break
        else:
            watch.measure(watch.elapsed)
        return Run(tuple(watch.curve), steps, problem)

    return run


@watched
def newton(problem: PhysicsProblem, share: Callable[[], float]) -> Iterator[None]:
    """Run QNewton with its defaults; its closure is the loss and nothing else."""
    optimizer = QNewton(problem.model)
    while True:
        optimizer.step(problem.loss)
        yield


@watched
def by_hand(problem: PhysicsProblem, share: Callable[[], float]) -> Iterator[None]:
    """Run Levenberg-Marquardt written for Poisson 2-D, until no step lowers the loss."""
    fit = PoissonByHand(problem.model, *poisson_2d_points())
    while fit.step():
        yield


@watched
def lbfgs(problem: PhysicsProblem, share: Callable[[], float]) -> Iterator[None]:
    """Run L-BFGS with a strong-Wolfe line search and a history of 100.

    Where it stalls it starts afresh, from where it is; if that moves nothing, it has given up.
    """
    parameters = list(problem.model.parameters())
    optimizer = _new_lbfgs(problem)
    fresh = True
    while True:
        before = [p.detach().clone() for p in parameters]
        optimizer.step(_closure(problem, optimizer))
        yield
        pairs = zip(before, parameters, strict=True)
        if any(not torch.equal(old, new) for old, new in pairs):
            fresh = False
        elif fresh:
            return
        else:
            optimizer, fresh = _new_lbfgs(problem), True


def adam(rate: float) -> Method:
    """Return a run of Adam whose rate falls to zero as half a cosine over the time allowed."""
    return _decaying(rate, lambda problem: torch.optim.Adam(problem.model.parameters(), lr=rate))


def soap(rate: float) -> Method:
    """Return a run of SOAP, its rate decayed as Adam's, without weight decay.

    Reference: N. Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, ICLR 2025.
    """

    def make(problem: PhysicsProblem) -> torch.optim.Optimizer:
        # A peer: installed with the extra ``bench`` only.
        from pytorch_optimizer import SOAP  # pyright: ignore[reportMissingImports]  # extra

        return SOAP(problem.model.parameters(), lr=rate, weight_decay=0.0)

    return _decaying(rate, make)


def _decaying(rate: float, make: Callable[[PhysicsProblem], torch.optim.Optimizer]) -> Method:
    def train(problem: PhysicsProblem, share: Callable[[], float]) -> Iterator[None]:
        optimizer = make(problem)
        closure = _closure(problem, optimizer)
        while True:
            decay = (1 + math.cos(math.pi * min(1.0, share()))) / 2
            optimizer.param_groups[0]["lr"] = rate * decay
            closure()
            optimizer.step()
            yield

    return watched(train)


def _new_lbfgs(problem: PhysicsProblem) -> torch.optim.LBFGS:
    return torch.optim.LBFGS(
        problem.model.parameters(),
        lr=1,
        max_iter=_LBFGS_ITERATIONS,
        history_size=100,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )


def _closure(
    problem: PhysicsProblem, optimizer: torch.optim.Optimizer
) -> Callable[[], torch.Tensor]:
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = problem.loss()
        loss.backward()
        return loss

    return closure
