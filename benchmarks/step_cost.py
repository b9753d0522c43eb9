"""What does a step with nothing set cost on a mini-batch, in passes and in memory?

A pass is one forward and one backward. Networks of 10⁴ to 10⁷ parameters at batch 128, and the
frozen workloads of ``minibatch`` with more than 10⁴. Medians of processor time on one thread,
the first step left out. Memory is that of two steps in a process of their own, beside Adam's.

    python -m benchmarks step_cost
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.harness import Report, Row, Say, describe_machine, peak_bytes, reached
from benchmarks.minibatch.workloads import WORKLOADS, Batch, Training
from benchmarks.minibatch.workloads.training import accuracy, seeded, shuffled, supervised
from qnewton import QNewton

MOST_PASSES, MOST_MEMORY = 12.0, 3.0
WIDTHS = (70, 280, 960, 3120)
"""Hidden widths of 64-w-w-10, from 10⁴ to 10⁷ parameters."""

_BATCH, _STEPS, _LIMIT_S = 128, 6, 30.0

Make = Callable[[nn.Module], torch.optim.Optimizer]
OPTIMIZERS: Mapping[str, Make] = {
    "QNewton": QNewton,
    "Adam": lambda model: torch.optim.Adam([p for p in model.parameters() if p.requires_grad]),
}


@dataclass(frozen=True)
class Cost:
    """What steps on one model cost.

    Attributes:
        n: Number of parameters.
        pass_seconds: One forward and backward.
        step_seconds: One step.
        pass_bytes: Peak memory of two steps of Adam.
        step_bytes: Peak memory of two steps.
    """

    n: int
    pass_seconds: float
    step_seconds: float
    pass_bytes: int
    step_bytes: int


def measure(say: Say) -> Report:
    """Measure every model by itself; one that raises has a row that says why."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    facts: dict[str, object] = {}
    for name in names():
        question = f"{name}: one step over one forward and backward"
        try:
            found = cost_of(name)
        except (RuntimeError, ValueError) as reason:
            said = " ".join(str(reason).split())[:200]
            rows.append(reached(question, f"≤ {MOST_PASSES:g}×", said, met=False))
        else:
            rows += rows_of(name, found)
            facts[name] = asdict(found)
        say(f"{rows[-1].question}: {rows[-1].measured}")
    return Report("step_cost", rows, describe_machine(), facts=facts)


def names() -> list[str]:
    """Return the names of all models."""
    return [*map(_width_name, WIDTHS), "CNN", "VAE", "GRU", "tied GPT", "BERT"]


def rows_of(name: str, cost: Cost) -> list[Row]:
    """Return the rows of a model: seconds and memory."""
    passes, memory = cost.step_seconds / cost.pass_seconds, cost.step_bytes / cost.pass_bytes
    title = f"{name}, N = {cost.n:,}"
    return [
        reached(
            f"{title}: one step over one forward and backward",
            f"≤ {MOST_PASSES:g}×",
            f"{passes:.3g}× ({cost.step_seconds:.3g} s, {cost.pass_seconds:.3g} s)",
            passes <= MOST_PASSES,
        ),
        reached(
            f"{title}: peak memory over Adam's",
            f"≤ {MOST_MEMORY:g}×",
            f"{memory:.3g}× ({cost.step_bytes / 1e6:.0f} MB, {cost.pass_bytes / 1e6:.0f} MB)",
            memory <= MOST_MEMORY,
        ),
    ]


def cost_of(name: str) -> Cost:
    """Return what steps on a model cost.

    Raises:
        ValueError: If its data are missing, or its loss is refused.
        RuntimeError: If its memory cannot be measured.
    """
    training = training_of(name)
    closures = closures_of(training)
    pass_seconds = median_seconds(lambda: next(closures)())
    optimizer = QNewton(training.model)
    step_seconds = median_seconds(lambda: optimizer.step(next(closures)))
    n = sum(p.numel() for p in training.model.parameters() if p.requires_grad)
    theirs, ours = (peak_bytes(two_steps, name, who) for who in ("Adam", "QNewton"))
    return Cost(n, pass_seconds, step_seconds, theirs, ours)


def training_of(name: str) -> Training:
    """Return a model with its batches, by its name."""
    for workload in WORKLOADS:
        if workload.name == name:
            return workload.make(0)
    [width] = [width for width in WIDTHS if _width_name(width) == name]
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(10 * _BATCH, 64, generator=generator)
    split = inputs, torch.randint(10, (len(inputs),), generator=generator)

    def build() -> nn.Module:
        layers = [nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 10))

    model = seeded(build, 0)
    batches = shuffled(split, _BATCH, 0)
    return supervised(model, cross_entropy, (split, split), batches, accuracy)


def two_steps(name: str, optimizer: str) -> Callable[[], object]:
    """Return what takes two steps: the contender whose memory is measured."""
    torch.set_num_threads(1)
    training = training_of(name)
    closures, made = closures_of(training), OPTIMIZERS[optimizer](training.model)

    def run() -> None:
        for _ in range(2):
            # The stub wants a float; every optimizer of PyTorch takes and returns tensors.
            made.step(next(closures))  # pyright: ignore[reportArgumentType, reportCallIssue]

    return run


def closures_of(training: Training) -> Iterator[Callable[[], Tensor]]:
    """Yield the closure of every batch, as training loops have it."""
    for batch in training.batches:

        def closure(batch: Batch = batch) -> Tensor:
            training.model.zero_grad()
            loss = training.loss(batch)
            loss.backward()
            return loss

        yield closure


def median_seconds(run: Callable[[], object]) -> float:
    """Return the median processor time of some runs after the first, fewer where they are long."""
    seconds: list[float] = []
    while len(seconds) <= _STEPS and sum(seconds) < _LIMIT_S:
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[1:] or seconds)


def _width_name(width: int) -> str:
    return f"64-{width}-{width}-10 ReLU, batch {_BATCH}"
