"""What does QNewton's first-order step cost beside ``torch.optim.SGD``'s?

A step is forward and backward pass, in a closure or before a bare ``step()``, and the update. In
the warm-up QNewton's does what SGD's does, and also measures, checks and records. Both train the
same weights on the same batch in one process, in turns, so that a busy machine is busy for both.

    python -m benchmarks optimizer_overhead
"""

from __future__ import annotations

import itertools
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import Report, Row, Say, describe_machine, reached
from qnewton import Classical, QNewton, Warmup
from qnewton.cost import nominal_calibration
from qnewton.workloads import load_workload
from qnewton.workloads.mlp import build_mlp

REACH = 1.2
REPEATS = 31
RATE = 0.01


@dataclass(frozen=True)
class Case:
    """A network and its batch.

    Attributes:
        name: What the table calls it.
        widths: Layer widths.
        inputs: Batch.
        targets: Classes.
        steps: Steps that make one repeat.
    """

    name: str
    widths: tuple[int, ...]
    inputs: Tensor
    targets: Tensor
    steps: int


def cases() -> list[Case]:
    """Return the digits workload's network, on all samples and on few, and one of a million."""
    digits = load_workload("digits", seed=0)
    inputs, targets = digits.train_inputs, digits.train_targets
    generator = torch.Generator().manual_seed(0)
    return [
        Case("N = 1,482, batch 1,437", (64, 16, 16, 10), inputs, targets, 50),
        Case("N = 1,482, batch 256", (64, 16, 16, 10), inputs[:256], targets[:256], 50),
        Case(
            "N = 1,068,810, batch 128",
            (784, 1024, 256, 10),
            torch.randn(128, 784, generator=generator),
            torch.randint(0, 10, (128,), generator=generator),
            5,
        ),
    ]


def whole_step(case: Case, make: Callable[[nn.Module], Any], bare: bool) -> Callable[[], None]:
    """Return a function that takes one whole step of a new optimizer."""
    model = build_mlp(case.widths, seed=0)
    optimizer = make(model)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(case.inputs), case.targets)
        loss.backward()
        return loss

    def step() -> None:
        if bare:
            closure()
            optimizer.step()
        else:
            optimizer.step(closure)

    return step


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=RATE)


def qnewton(model: nn.Module) -> torch.optim.Optimizer:
    return QNewton(
        model,
        warmup=Warmup(steps=10**9, first_order_lr=RATE),
        classical=Classical(calibration=nominal_calibration()),
    )


def repeat(contenders: dict[str, Callable[[], None]], steps: int) -> dict[str, float]:
    """Return each contender's mean seconds per step, taking turns at every step."""
    seconds = dict.fromkeys(contenders, 0.0)
    for _ in range(steps):
        for name, step in contenders.items():
            start = time.perf_counter()
            step()
            seconds[name] += time.perf_counter() - start
    return {name: total / steps for name, total in seconds.items()}


def measure(say: Say) -> Report:
    """Time both optimizers in turns, with a closure and without."""
    warnings.filterwarnings("ignore", message=".*without a closure")
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    for case, bare in itertools.product(cases(), (False, True)):
        name = f"first-order step, {case.name}, {'bare' if bare else 'closure'}"
        contenders = {
            "sgd": whole_step(case, sgd, bare),
            "qnewton": whole_step(case, qnewton, bare),
        }
        say(f"{name}: {REPEATS} repeats")
        repeat(contenders, case.steps)  # warms up
        repeats = [repeat(contenders, case.steps) for _ in range(REPEATS)]
        samples = {who: [seconds[who] for seconds in repeats] for who in contenders}
        medians = {who: statistics.median(values) for who, values in samples.items()}
        ratio = medians["qnewton"] / medians["sgd"]
        rows.append(
            reached(
                f"{name}: time over torch.optim.SGD's",
                f"≤ {REACH:g}",
                f"{ratio:.2f} ({1e3 * medians['qnewton']:.3g} ms, {1e3 * medians['sgd']:.3g} ms)",
                ratio <= REACH,
            )
        )
        facts[name] = {"ratio": ratio, "seconds": samples}
    return Report("optimizer_overhead", rows, describe_machine(), facts=facts)
