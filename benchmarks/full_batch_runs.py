"""One run of one optimizer on one full-batch problem, watched from inside its closure."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.full_batch_problems import FullBatchProblem
from qnewton import QNewton

TOLERANCE = 1e-8
LBFGS_HISTORIES = (10, 100)
ADAM_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)

Build = Callable[[], FullBatchProblem]


@dataclass(frozen=True)
class Run:
    """What one run came to.

    Attributes:
        seconds: Wall clock until the gradient's norm was at most ``TOLERANCE``, the optimizer's
            construction included; ``None`` if it never was.
        evaluations: Calls of the closure.
        gradient_norm: The smallest seen.
        loss: The loss there.
        problem: The problem with its model as the run left it.
    """

    seconds: float | None
    evaluations: int
    gradient_norm: float
    loss: float
    problem: FullBatchProblem


Method = Callable[[Build, float], Run]
"""Takes a problem and a limit in seconds, and runs."""


class _Finished(Exception):
    """The gradient is small enough, or time is up."""


class _Watch:
    """A closure that counts, reads the clock and ends the run by raising, wherever it is called."""

    # A point that a line search only tries counts as reached, which favours the peer that has one.

    def __init__(self, problem: FullBatchProblem, limit_s: float) -> None:
        self.problem = problem
        self.limit_s = limit_s
        self.evaluations = 0
        self.gradient_norm = math.inf
        self.loss = math.nan
        self.reached: float | None = None
        self._parameters = list(problem.model.parameters())
        self._start = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def closure(self) -> Tensor:
        """Evaluate loss and gradient, as any training loop's closure does."""
        self.problem.model.zero_grad()
        loss = self.problem.loss()
        loss.backward()
        self.evaluations += 1
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        # An optimizer that only asks for the loss leaves no gradients behind, or, as QNewton does,
        # those of its step, which have been looked at already.
        if len(gradients) == len(self._parameters):
            norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
            if norm < self.gradient_norm:
                self.gradient_norm, self.loss = norm, loss.item()
            if norm <= TOLERANCE:
                self.reached = self.elapsed
                raise _Finished
        if self.elapsed > self.limit_s:
            raise _Finished
        return loss

    def run(self, train: Callable[[], None]) -> Run:
        """Train until the closure says that it is over, or the optimizer gives up."""
        with contextlib.suppress(_Finished):
            train()
        return Run(self.reached, self.evaluations, self.gradient_norm, self.loss, self.problem)


def newton(build: Build, limit_s: float) -> Run:
    """Run QNewton with its defaults."""
    watch = _Watch(build(), limit_s)

    def train() -> None:
        optimizer = QNewton(watch.problem.model)
        while True:
            optimizer.step(watch.closure)

    return watch.run(train)


def lbfgs(history: int) -> Method:
    """Return a run of L-BFGS with a strong-Wolfe line search.

    Where it stalls it starts afresh, from where it is; if that moves nothing, it has given up.
    """

    def run(build: Build, limit_s: float) -> Run:
        watch = _Watch(build(), limit_s)

        def train() -> None:
            parameters = list(watch.problem.model.parameters())
            moved = True
            while moved:
                before = [p.detach().clone() for p in parameters]
                torch.optim.LBFGS(
                    parameters,
                    lr=1,
                    max_iter=10**9,
                    max_eval=10**9,
                    history_size=history,
                    tolerance_grad=0,
                    tolerance_change=0,
                    line_search_fn="strong_wolfe",
                ).step(watch.closure)
                pairs = zip(before, parameters, strict=True)
                moved = any(not torch.equal(old, new) for old, new in pairs)

        return watch.run(train)

    return run


def adam(rate: float, cosine: bool, horizon_s: float | None = None) -> Method:
    """Return a run of Adam.

    Args:
        rate: Learning rate.
        cosine: Let the rate fall to zero as half a cosine, over the time allowed.
        horizon_s: Seconds over which it falls, where not over all that are allowed.
    """

    def run(build: Build, limit_s: float) -> Run:
        watch = _Watch(build(), limit_s)
        horizon = limit_s if horizon_s is None else horizon_s

        def train() -> None:
            optimizer = torch.optim.Adam(watch.problem.model.parameters(), lr=rate)
            while True:
                watch.closure()
                if cosine:
                    share = min(1.0, watch.elapsed / horizon)
                    optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * share)) / 2
                optimizer.step()

        return watch.run(train)

    return run


def better(one: Run, other: Run) -> bool:
    """Return whether one run beats another: sooner there, or else nearer."""
    if one.seconds is None and other.seconds is None:
        return one.gradient_norm < other.gradient_norm
    return (one.seconds or math.inf) < (other.seconds or math.inf)
