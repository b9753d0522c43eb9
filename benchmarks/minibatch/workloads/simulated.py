"""Two models of simulated data: ratings by a factorisation, a spiral by a neural ODE."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from benchmarks.minibatch.workloads.training import (
    Batch,
    Training,
    Workload,
    seeded,
    shuffled,
    supervised,
)

_USERS, _ITEMS, _RANK = 600, 400, 5
_RATINGS, _HELD_OUT, _NOISE = 30_000, 5000, 0.3
_TIME_STEP, _SEGMENT = 0.025, 10


class _Factorisation(nn.Module):
    """Ratings as products of eight numbers per user and per item, and a bias of each."""

    def __init__(self) -> None:
        super().__init__()
        self.user = nn.Embedding(_USERS, 8)
        self.item = nn.Embedding(_ITEMS, 8)
        self.user_bias = nn.Embedding(_USERS, 1)
        self.item_bias = nn.Embedding(_ITEMS, 1)
        for table in (self.user, self.item, self.user_bias, self.item_bias):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, pairs: Tensor) -> Tensor:
        user, item = pairs.unbind(-1)
        product = (self.user(user) * self.item(item)).sum(-1)
        return product + self.user_bias(user).squeeze(-1) + self.item_bias(item).squeeze(-1)


def factorisation(seed: int) -> Training:
    """Return 30,000 ratings of rank 5 with noise, 600 users and 400 items, batch 256."""
    splits = _ratings()
    batches = shuffled(splits[0], 256, seed)
    return supervised(seeded(_Factorisation, seed), mse_loss, splits, batches, mse_loss)


class _NeuralODE(nn.Module):
    """Ten steps of Runge-Kutta from points [n, 2], the change by a network of the cubes.

    Reference: R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary Differential
    Equations, NeurIPS 2018.
    """

    def __init__(self) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2))

    def forward(self, points: Tensor) -> Tensor:
        path = []
        for _ in range(_SEGMENT):
            points = _runge_kutta(lambda y: self.change(y**3), points)
            path.append(points)
        return torch.stack(path, dim=1)


def neural_ode(seed: int) -> Training:
    """Return segments of a spiral that a neural ODE follows, batch 64."""
    splits = _segments(torch.tensor([2.0, 0.0])), _segments(torch.tensor([1.5, 0.5]))
    batches = shuffled(splits[0], 64, seed)
    return supervised(seeded(_NeuralODE, seed), mse_loss, splits, batches, mse_loss)


SIMULATED = (
    Workload(
        "factorisation",
        "30,000 ratings, 600 users × 400 items, 8 numbers each, batch 256",
        "mean square",
        False,
        factorisation,
    ),
    Workload(
        "neural ODE",
        "a spiral, 2-50-2 tanh in ten steps of Runge-Kutta, batch 64",
        "mean square",
        False,
        neural_ode,
    ),
)


@functools.cache
def _ratings() -> tuple[Batch, Batch]:
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(_USERS, _RANK, generator=generator) / _RANK**0.25
    items = torch.randn(_ITEMS, _RANK, generator=generator) / _RANK**0.25
    biases = [0.5 * torch.randn(count, generator=generator) for count in (_USERS, _ITEMS)]
    count = _RATINGS + _HELD_OUT
    cells = torch.randperm(_USERS * _ITEMS, generator=generator)[:count]
    pairs = torch.stack([cells // _ITEMS, cells % _ITEMS], dim=-1)
    exact = (users @ items.mT + biases[0][:, None] + biases[1]).flatten()[cells]
    ratings = exact + _NOISE * torch.randn(count, generator=generator)
    return (
        (pairs[:_RATINGS], ratings[:_RATINGS]),
        (pairs[_RATINGS:], ratings[_RATINGS:]),
    )


def _segments(start: Tensor) -> Batch:
    """Return points of a spiral [n, 2], and the ten points that follow each, [n, 10, 2]."""
    turn = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
    path = [start]
    for _ in range(1000):
        path.append(_runge_kutta(lambda y: y**3 @ turn, path[-1]))
    points = torch.stack(path)
    following = points[1:].unfold(0, _SEGMENT, 1).transpose(1, 2)
    return points[: len(following)], following.contiguous()


def _runge_kutta(change: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    h = _TIME_STEP
    first = change(points)
    second = change(points + h / 2 * first)
    third = change(points + h / 2 * second)
    fourth = change(points + h * third)
    return points + h / 6 * (first + 2 * second + 2 * third + fourth)
