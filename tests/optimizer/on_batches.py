"""A network and batches for steps on one of many batches."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton import QNewton
from qnewton.records import AveragedRecord


def network(seed: int = 0, width: int = 40) -> nn.Sequential:
    """More unknowns than the first steps may have rows of second derivatives."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, 1)).double()


def batches(seed: int = 0, noise: float = 0.0, size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        x = torch.randn(size, 8, generator=generator, dtype=torch.float64)
        y = x[:, :1].sin() + x[:, 1:2] * x[:, 2:3]
        yield x, y + noise * torch.randn(y.shape, generator=generator, dtype=torch.float64)


def closure_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Callable[[], Tensor]:
    """A loss that is no sum of squares, whose first steps are free for more unknowns."""
    return lambda: (net(batch[0]) - batch[1]).square().mean().exp() - 1


def squares_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Callable[[], Tensor]:
    return lambda: mse_loss(net(batch[0]), batch[1])


def train(
    optimizer: QNewton, net: nn.Module, data: Any, steps: int, of: Callable[..., Any] = closure_of
) -> None:
    for _ in range(steps):
        optimizer.step(of(net, next(data)))


def averaged(optimizer: QNewton) -> AveragedRecord:
    record = optimizer.records[-1].averaged
    assert record is not None
    return record


def flat(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])
