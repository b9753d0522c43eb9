"""What curvature is computed of: models, batches and losses, the same at every call.

Each contender builds its own copy, from the same seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.workloads import load_workload
from qnewton.workloads.mlp import build_mlp

SEED = 0
CLASSES = 10


@dataclass(frozen=True)
class Problem:
    """A model with one batch; the loss is the mean cross-entropy.

    Attributes:
        name: In words.
        data: Where the batch comes from, in words.
        model: Float32, on the CPU.
        inputs: The batch.
        targets: Its labels.
    """

    name: str
    data: str
    model: nn.Module
    inputs: Tensor
    targets: Tensor

    @property
    def n(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def closure(self) -> Tensor:
        """Return the live loss."""
        return cross_entropy(self.model(self.inputs), self.targets)


def mnist_mlp(batch: int = 2048) -> Problem:
    """Return the paper's 784-16-16-10 ReLU network, N = 13,002."""
    inputs, targets, data = _mnist(batch)
    model = build_mlp((784, 16, 16, 10), SEED)
    return Problem(f"784-16-16-10 ReLU, batch {batch:,}", data, model, inputs, targets)


def conv_net(batch: int = 128) -> Problem:
    """Return two convolutions with tanh and average pooling, N = 3,006."""
    inputs, targets, data = _mnist(batch)

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 10, 3),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(10, 16, 3),
            nn.Tanh(),
            nn.AvgPool2d(3),
            nn.Flatten(),
            nn.Linear(144, CLASSES),
        )

    name = f"two 3×3 convolutions, tanh, batch {batch:,}"
    return Problem(name, data, _seeded(build), inputs.view(-1, 1, 28, 28), targets)


def tanh_mlp(batch: int = 256) -> Problem:
    """Return a 64-32-20-10 tanh network on scikit-learn's digits, N = 2,950."""
    workload = load_workload("digits", SEED)

    def build() -> nn.Module:
        return nn.Sequential(
            nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 20), nn.Tanh(), nn.Linear(20, CLASSES)
        )

    return Problem(
        f"64-32-20-10 tanh, batch {batch:,}",
        "scikit-learn's digits",
        _seeded(build),
        workload.train_inputs[:batch].clone(),
        workload.train_targets[:batch].clone(),
    )


def random_mlp(inputs: int, hidden: int, batch: int) -> Problem:
    """Return an inputs-hidden-hidden-10 ReLU network on standard normal inputs.

    About half of the hidden units are active per sample, as on real data after initialisation.
    """
    features, targets, data = _random((inputs,), batch)
    name = f"{inputs}-{hidden}-{hidden}-10 ReLU, batch {batch:,}"
    model = build_mlp((inputs, hidden, hidden, CLASSES), SEED)
    return Problem(name, data, model, features, targets)


def _mnist(batch: int) -> tuple[Tensor, Tensor, str]:
    try:
        workload = load_workload("mnist", SEED)
    except ValueError as reason:
        inputs, targets, data = _random((784,), batch)
        return inputs, targets, f"{data}, because MNIST was not found: {reason}"
    # Copies, so that the other 58,000 images can go.
    return workload.train_inputs[:batch].clone(), workload.train_targets[:batch].clone(), "MNIST"


def _random(shape: tuple[int, ...], batch: int) -> tuple[Tensor, Tensor, str]:
    generator = torch.Generator().manual_seed(SEED)
    inputs = torch.randn(batch, *shape, generator=generator)
    targets = torch.randint(0, CLASSES, (batch,), generator=generator)
    return inputs, targets, "standard normal inputs, random labels"


def _seeded(build: Callable[[], nn.Module]) -> nn.Module:
    # The default initialisation draws from the global generator, which is put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return build()
