"""What does ``QNewton(model)`` do when nothing is set?

Six kinds of model, one table: the loss before and after, the steps, and whether the loss ever rose
where every step sees all samples. No peers: this is what whoever tries it first will see.

    python -m benchmarks untouched_defaults --data-dir FOLDER
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.full_batch_problems import (
    FullBatchProblem,
    digit_autoencoder,
    poisson_pinn,
    polynomial_regression,
)
from benchmarks.harness import Report, Row, Say, describe_machine, reached
from qnewton import QNewton
from qnewton.workloads import load_workload

LIMIT_S = 20.0
MOST_STEPS = 50
SEED = 0

# Beside a loss of about 1, this is what summing in another order changes.
_ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-12}


@dataclass(frozen=True)
class Case:
    """A model and a loss for every step.

    Attributes:
        name: What the table calls it.
        model: Untrained.
        losses: Yields what each step's closure returns, without end.
        full_batch: Whether every step sees the same samples.
        factor: How many times smaller the loss should be after ``MOST_STEPS`` or ``LIMIT_S``.
    """

    name: str
    model: nn.Module
    losses: Iterator[Callable[[], Tensor]]
    full_batch: bool
    factor: float


def digits() -> Case:
    """Return the workload ``digits``, full batch."""
    workload = load_workload("digits", SEED)
    model = workload.build_model(SEED)
    loss = _on(model, workload.train_inputs, workload.train_targets)
    return Case("digits 64-16-16-10", model, _forever(loss), full_batch=True, factor=20)


def mnist() -> Case:
    """Return the workload ``mnist``, its batch of 2,048.

    Raises:
        ValueError: If there is no MNIST here.
    """
    workload = load_workload("mnist", SEED)
    model = workload.build_model(SEED)
    losses = (_on(model, inputs, targets) for inputs, targets in workload.batches(SEED))
    return Case("MNIST 784-16-16-10, batch 2,048", model, losses, full_batch=False, factor=4)


def convolutions() -> Case:
    """Return a small convolutional network on the digits as 8×8 images, N = 914."""
    workload = load_workload("digits", SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 10),
        )
    images = workload.train_inputs.view(-1, 1, 8, 8)[:512]
    loss = _on(model, images, workload.train_targets[:512])
    return Case("two convolutions, digits", model, _forever(loss), full_batch=True, factor=5)


def from_problem(build: Callable[[], FullBatchProblem], factor: float) -> Case:
    """Return one of the full-batch problems as a case."""
    problem = build()
    losses = _forever(problem.loss)
    return Case(problem.name, problem.model, losses, full_batch=True, factor=factor)


CASES: dict[str, Callable[[], Case]] = {
    "digits": digits,
    "mnist": mnist,
    "convolutions": convolutions,
    "autoencoder": lambda: from_problem(digit_autoencoder, factor=5),
    "pinn": lambda: from_problem(poisson_pinn, factor=100),
    "regression": lambda: from_problem(polynomial_regression, factor=4),
}


def measure(say: Say) -> Report:
    """Train all six."""
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    for name, build in CASES.items():
        try:
            case = build()
        except ValueError as reason:
            rows.append(Row(f"untouched defaults, {name}", "", str(reason), "not measured"))
            continue
        found = train(case)
        facts[case.name] = found
        rows.append(_row(case, found))
        say(f"{rows[-1].question}: {rows[-1].measured}")
    return Report("untouched_defaults", rows, describe_machine(), facts=facts)


def train(case: Case, most_steps: int = MOST_STEPS, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """Train a case with nothing set and return the losses of its steps and what became of them.

    The last loss is read after the last step, so that there is one more than there are steps.
    """
    optimizer = QNewton(case.model)
    losses: list[float] = []
    start = time.perf_counter()
    for step, loss in enumerate(case.losses):
        if step == most_steps or time.perf_counter() - start > limit_s:
            losses.append(float(loss().detach()))
            break
        losses.append(float(optimizer.step(loss)))
    dtype = next(case.model.parameters()).dtype
    rises = sum(
        after > before + _ROUNDING[dtype] * max(1.0, abs(before))
        for before, after in itertools.pairwise(losses)
    )
    return {
        "before": losses[0],
        "after": losses[-1],
        "steps": len(losses) - 1,
        "seconds": time.perf_counter() - start,
        "rises": rises if case.full_batch else None,
        "all_finite": all(math.isfinite(loss) for loss in losses),
        "losses": losses,
    }


def _row(case: Case, found: dict[str, Any]) -> Row:
    reach = f"loss ÷ {case.factor:g}" + (", never up" if case.full_batch else "")
    up = "" if found["rises"] is None else f", up {found['rises']} times"
    fell = found["after"] * case.factor <= found["before"]
    return reached(
        f"untouched defaults, {case.name}",
        reach,
        f"{found['before']:.3g} to {found['after']:.3g} in {found['steps']} steps, "
        f"{found['seconds']:.2g} s{up}",
        fell and not found["rises"] and found["all_finite"],
    )


def _forever(loss: Callable[[], Tensor]) -> Iterator[Callable[[], Tensor]]:
    while True:
        yield loss


def _on(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], Tensor]:
    return lambda: cross_entropy(model(inputs), targets)
