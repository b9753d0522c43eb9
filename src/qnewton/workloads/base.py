"""A workload: data, model, loss and target, and how it is evaluated."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qnewton.curvature import Kind, Partition


@dataclass(frozen=True, kw_only=True)
class NewtonDefaults:
    """How a workload takes Newton's steps where nothing else is asked for.

    Attributes:
        curvature: ``hessian``, ``ggn`` or ``fisher``.
        blocks: ``full``, ``layer`` or ``tensor``.
        damping: λ.
        rescale: Whether blocks are put together by the Fisher matrix between them.
    """

    curvature: Kind = "hessian"
    blocks: Partition = "full"
    damping: float = 1.0
    rescale: bool = False


@dataclass(frozen=True)
class Workload:
    """One training problem, complete but for the optimizer.

    Attributes:
        name: Name on the command line.
        title: One line for people.
        train_inputs: Shape [n_train, ...].
        train_targets: Shape [n_train].
        test_inputs: Shape [n_test, ...].
        test_targets: Shape [n_test].
        build_model: Makes the untrained model from a seed, without touching the global generator.
        loss: Maps (outputs, targets) to the mean loss.
        target_accuracy: Test accuracy a comparison trains to.
        batch_size: Samples per step; ``None`` trains on the whole training split.
        evaluate_every: Steps between evaluations of the whole test split.
        newton_lr: Length β of a Newton step at the damping of ``newton``.
        sgd_learning_rates: The grid a comparison tunes SGD over.
        source: Where the data came from, recorded with the run.
        notes: What was not available and what stands in for it, recorded with the run.
        newton: How Newton's steps are taken where nothing else is asked for.
    """

    name: str
    title: str
    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    build_model: Callable[[int], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    target_accuracy: float
    batch_size: int | None
    evaluate_every: int
    newton_lr: float
    sgd_learning_rates: tuple[float, ...]
    source: str
    notes: tuple[str, ...] = ()
    newton: NewtonDefaults = NewtonDefaults()

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return self.train_inputs.shape[0]

    def batches(self, seed: int, first_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batch of every step from ``first_step`` on, without end.

        Batches are cut from one shuffle per epoch, each epoch's shuffle drawn from its own
        generator, so that step k's batch depends on seed and k alone and a resumed run sees
        exactly what the uninterrupted one would have.
        """
        if self.batch_size is None or self.batch_size >= self.n_train:
            while True:
                yield self.train_inputs, self.train_targets
        per_epoch = self.n_train // self.batch_size
        step = first_step
        while True:
            epoch, position = divmod(step, per_epoch)
            order = torch.randperm(self.n_train, generator=_generator(seed, epoch))
            for k in range(position, per_epoch):
                chosen = order[k * self.batch_size : (k + 1) * self.batch_size]
                yield self.train_inputs[chosen], self.train_targets[chosen]
            step = (epoch + 1) * per_epoch

    def evaluate(self, model: nn.Module) -> tuple[float, float]:
        """Return (mean loss, accuracy) over the whole test split, leaving the mode unchanged."""
        with evaluating(model):
            outputs = model(self.test_inputs)
        loss = float(self.loss(outputs, self.test_targets))
        accuracy = float((outputs.argmax(dim=1) == self.test_targets).double().mean())
        return loss, accuracy


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode, without gradients."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(was_training)


def _generator(seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed << 32) + epoch)


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Return both splits with the training split's mean removed and deviation divided out.

    A feature that never varies in the training split is only centred.

    Args:
        train: Shape [n_train, features].
        test: Shape [n_test, features].
    """
    mean, deviation = train.mean(dim=0), train.std(dim=0)
    scale = deviation.where(deviation > 0, 1.0)
    return (train - mean) / scale, (test - mean) / scale
