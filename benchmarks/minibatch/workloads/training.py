"""What a workload is: model, batches and loss, and two measures that are taken off the clock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qnewton.workloads.base import evaluating

Batch = tuple[Tensor, ...]

_EVALUATED_AT_ONCE = 1000


@dataclass(frozen=True)
class Training:
    """One training from one seed, complete but for the optimizer.

    Attributes:
        model: At its start, in training mode.
        batches: A batch for every step, without end. A workload that acts draws it by the model as
            it is then.
        loss: The loss on a batch, with its graph; what a closure returns.
        full_loss: The loss over the whole training set, in evaluation mode.
        held_out: A measure on data that no step sees.
    """

    model: nn.Module
    batches: Iterator[Batch]
    loss: Callable[[Batch], Tensor]
    full_loss: Callable[[], float]
    held_out: Callable[[], float]


def kept_by_loss(first: float, best: float, last: float) -> bool:
    """Return whether a run kept what it had: at most 1.1 of its best loss and 1% of its first."""
    return last <= 1.1 * best + 0.01 * first


@dataclass(frozen=True)
class Workload:
    """A training script.

    Attributes:
        name: What the table calls it.
        title: Data and model in one line.
        metric: What ``held_out`` measures.
        higher_is_better: Whether more of it is better.
        make: Makes a training from a seed, which decides weights and batches.
        kept: Whether a run kept what it had, by its first, its best and its last full loss.
    """

    name: str
    title: str
    metric: str
    higher_is_better: bool
    make: Callable[[int], Training]
    kept: Callable[[float, float, float], bool] = kept_by_loss


def shuffled(data: Batch, size: int, seed: int) -> Iterator[Batch]:
    """Yield batches of whole epochs, each in an order of its own; what is left over is dropped."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(data[0]), generator=generator)
        for chosen in order[: len(order) // size * size].split(size):
            yield tuple(part[chosen] for part in data)


def mean_over(model: nn.Module, measure: Callable[[Batch], Tensor], data: Batch) -> float:
    """Return the mean of a mean over data, evaluated in pieces, in evaluation mode."""
    total = 0.0
    with evaluating(model):
        for piece in zip(*(part.split(_EVALUATED_AT_ONCE) for part in data), strict=True):
            total += float(measure(piece)) * len(piece[0])
    return total / len(data[0])


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a model whose weights come from a seed; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def supervised(
    model: nn.Module,
    criterion: Callable[[Tensor, Tensor], Tensor],
    splits: tuple[Batch, Batch],
    batches: Iterator[Batch],
    score: Callable[[Tensor, Tensor], Tensor],
) -> Training:
    """Return the training of a model on pairs of input and target.

    Args:
        model: Takes inputs.
        criterion: The mean loss of outputs and targets.
        splits: Inputs and targets to train on, and those held out.
        batches: Of the first split.
        score: The held-out measure, a mean of outputs and targets.
    """
    train, test = splits

    def loss(batch: Batch) -> Tensor:
        inputs, targets = batch
        return criterion(model(inputs), targets)

    def scored(batch: Batch) -> Tensor:
        inputs, targets = batch
        return score(model(inputs), targets)

    return Training(
        model=model,
        batches=batches,
        loss=loss,
        full_loss=lambda: mean_over(model, loss, train),
        held_out=lambda: mean_over(model, scored, test),
    )


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of rows whose largest output is the target."""
    return (outputs.argmax(-1) == targets).float().mean()
