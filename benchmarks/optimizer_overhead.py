"""What does QNewton's first-order step cost beside ``torch.optim.SGD``'s?

A step is a closure (forward and backward pass) and the update; in the warm-up QNewton's does what
SGD's does, and also measures, checks and records. Both train the same weights on the same batch in
one process, in turns, so that a busy machine is busy for both.

    python benchmarks/optimizer_overhead.py
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qnewton import QNewton
from qnewton.cost import nominal_calibration
from qnewton.optimizer import describe_machine
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
        steps: Steps timed together in one repeat.
    """

    name: str
    widths: tuple[int, ...]
    inputs: Tensor
    targets: Tensor
    steps: int


def cases() -> list[Case]:
    """Return the digits workload's network on all its samples, and one of a million parameters."""
    digits = load_workload("digits", seed=0)
    generator = torch.Generator().manual_seed(0)
    return [
        Case("digits, N = 1,482", (64, 16, 16, 10), digits.train_inputs, digits.train_targets, 20),
        Case(
            "N = 1,068,810",
            (784, 1024, 256, 10),
            torch.randn(128, 784, generator=generator),
            torch.randint(0, 10, (128,), generator=generator),
            3,
        ),
    ]


def closure_step(
    case: Case, make: Callable[[nn.Module], torch.optim.Optimizer]
) -> Callable[[], None]:
    """Return a function that takes one whole step of a new optimizer."""
    model = build_mlp(case.widths, seed=0)
    optimizer = make(model)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(case.inputs), case.targets)
        loss.backward()
        return loss

    def step() -> None:
        optimizer.step(closure)

    return step


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=RATE)


def qnewton(model: nn.Module) -> torch.optim.Optimizer:
    return QNewton(model, warmup=10**9, first_order_lr=RATE, calibration=nominal_calibration())


def seconds_per_step(step: Callable[[], None], steps: int) -> float:
    """Time ``steps`` calls together."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def main() -> int:
    """Print the table, write the JSON, and fail if a ratio misses its mark."""
    rows = []
    print(f"{describe_machine()}; medians of {REPEATS} interleaved repeats\n")
    print(f"{'whole step':20s} {'SGD':>10s} {'QNewton':>10s} {'ratio':>7s}  reach")
    for case in cases():
        contenders = {"sgd": closure_step(case, sgd), "qnewton": closure_step(case, qnewton)}
        samples: dict[str, list[float]] = {name: [] for name in contenders}
        for repeat in range(REPEATS + 1):
            for name, step in contenders.items():
                seconds = seconds_per_step(step, case.steps)
                if repeat > 0:  # the first warms up
                    samples[name].append(seconds)
        medians = {name: statistics.median(values) for name, values in samples.items()}
        ratio = medians["qnewton"] / medians["sgd"]
        rows.append({"case": case.name, "ratio": ratio, "reach": REACH, "seconds": samples})
        print(
            f"{case.name:20s} {medians['sgd'] * 1e3:7.3f} ms {medians['qnewton'] * 1e3:7.3f} ms "
            f"{ratio:7.3f}  ≤ {REACH}"
        )
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    report = {"machine": describe_machine(), "repeats": REPEATS, "rows": rows}
    (folder / "optimizer_overhead.json").write_text(json.dumps(report, indent=2) + "\n")
    met = all(row["ratio"] <= REACH for row in rows)
    print("\nreached" if met else "\nnot reached")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
