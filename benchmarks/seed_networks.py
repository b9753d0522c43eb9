"""Three small networks, each drawn by a seed, and one run of QNewton with nothing set on one."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from qnewton import QNewton

STEPS = 150
SAMPLES = 16

DTYPES = {"float32": torch.float32, "float64": torch.float64}

Loss = Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """What one run came to.

    Attributes:
        network: A key of :data:`NETWORKS`.
        dtype: A key of :data:`DTYPES`.
        seed: Of the weights and the samples.
        steps: Steps taken.
        error: The exception that ended it; ``None`` if none did.
        first: The loss before the first step.
        last: The loss after the last one.
        at_bound: Steps after which λ was at its floor or its ceiling.
        skipped: Steps that moved nothing.
        fallbacks: Steps along -g for want of a usable direction.
    """

    network: str
    dtype: str
    seed: int
    steps: int
    error: str | None
    first: float
    last: float
    at_bound: int
    skipped: int
    fallbacks: int

    @property
    def rose(self) -> bool:
        """Whether the last loss is above the first, or no number."""
        return not self.last <= self.first

    @property
    def share_at_bound(self) -> float:
        """Share of the steps after which λ was at a bound."""
        return self.at_bound / max(self.steps, 1)


def feed_forward(dtype: torch.dtype) -> tuple[nn.Module, Loss]:
    """Return a 4-3-2 tanh network on random samples with random targets, N = 23."""
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).to(dtype)
    inputs, targets = torch.randn(SAMPLES, 4, dtype=dtype), torch.randn(SAMPLES, 2, dtype=dtype)
    return net, lambda: mse_loss(net(inputs), targets)


def convolutional(dtype: torch.dtype) -> tuple[nn.Module, Loss]:
    """Return a convolution with ReLU and pooling on images with random labels, N = 47.

    It can separate the samples, so that its loss has no minimum but 0, infinitely far away.
    """
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    ).to(dtype)
    inputs = torch.randn(SAMPLES, 1, 6, 6, dtype=dtype)
    targets = torch.randint(0, 3, (SAMPLES,))
    return net, lambda: cross_entropy(net(inputs), targets)


class _LastState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(2, 2, batch_first=True)
        self.head = nn.Linear(2, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        states, _ = self.recurrent(inputs)
        return self.head(states[:, -1])


def recurrent(dtype: torch.dtype) -> tuple[nn.Module, Loss]:
    """Return an LSTM on sequences of length 4 with random targets, N = 51.

    It fits the samples exactly: the loss falls to its rounding, and most steps are taken there.
    """
    net = _LastState().to(dtype)
    inputs, targets = torch.randn(SAMPLES, 4, 2, dtype=dtype), torch.randn(SAMPLES, 1, dtype=dtype)
    return net, lambda: mse_loss(net(inputs), targets)


NETWORKS: dict[str, Callable[[torch.dtype], tuple[nn.Module, Loss]]] = {
    "feed-forward": feed_forward,
    "convolutional": convolutional,
    "recurrent": recurrent,
}


def run_seed(network: str, dtype: str, seed: int, steps: int = STEPS) -> SeedRun:
    """Train one network with ``QNewton(model)`` on all of its samples.

    Args:
        network: A key of :data:`NETWORKS`.
        dtype: A key of :data:`DTYPES`.
        seed: Of the weights and the samples.
        steps: Steps to take.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, loss = NETWORKS[network](DTYPES[dtype])
    optimizer = QNewton(model)
    first, error = float(loss().detach()), None
    for _ in range(steps):
        try:
            optimizer.step(loss)
        except Exception as raised:  # noqa: BLE001
            # Whatever it is, it is what this run is to find; the others go on.
            error = f"{type(raised).__name__}: {raised}"
            break
    last = float(loss().detach())
    records = list(optimizer.records)
    judged = [record.damping for record in records if record.damping is not None]
    return SeedRun(
        network=network,
        dtype=dtype,
        seed=seed,
        steps=len(records),
        error=error,
        first=first,
        last=last if math.isfinite(last) else math.inf,
        at_bound=sum(damping.at_bound for damping in judged),
        skipped=sum(record.skipped is not None for record in records),
        fallbacks=sum(damping.origin == "gradient" for damping in judged),
    )
