"""Which steps are taken on one of many batches: whether data change, and who judges a step."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from qnewton import Limits, QNewton
from qnewton.optimizer.data_change import is_batch, leave_loss, notice
from qnewton.optimizer.memory import Memory
from tests.optimizer.on_batches import batches, closure_of, network, squares_of, train


def test_a_loss_that_returns_is_that_of_the_same_data() -> None:
    memory = Memory({})
    assert is_batch(memory, unknowns=321, budget=10.0)
    assert not is_batch(memory, unknowns=320, budget=10.0)
    for _ in range(2):
        leave_loss(memory, 1.0)
        notice(memory, 1.0 + 1e-6)
    assert not is_batch(memory, unknowns=10**6, budget=10.0)
    notice(memory, 5.0)  # nobody knows what it would have been
    assert not is_batch(memory, unknowns=10**6, budget=10.0)
    for _ in range(3):
        leave_loss(memory, 1.0)
        notice(memory, 1.1)
    assert is_batch(memory, unknowns=10, budget=10.0)
    assert not is_batch(memory, unknowns=10, budget=math.inf)


@pytest.mark.parametrize("lr", [1.0, 0.3])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-3])
def test_the_whole_data_get_newtons_steps_from_the_third_on(lr: float, weight_decay: float) -> None:
    net, batch = network(), next(batches())
    optimizer = QNewton(net, lr=lr, weight_decay=weight_decay)
    for _ in range(5):
        optimizer.step(closure_of(net, batch))
    kinds = [record.averaged is not None for record in optimizer.records]
    assert kinds == [True, True, True, False, False]


def test_few_unknowns_get_newtons_steps_until_data_change() -> None:
    net, data = network(width=4), batches()
    optimizer = QNewton(net)
    train(optimizer, net, data, 4)
    assert [r.averaged is not None for r in optimizer.records] == [False, True, True, True]


@pytest.mark.parametrize(
    "asked",
    [
        {"curvature": "ggn"},
        {"damping": 0.1},
        {"prune": 0.5},
        {"limits": Limits(budget=math.inf)},
        {"policy": "paper", "quantum": "attosecond"},
    ],
)
def test_who_asks_for_systems_has_them(asked: dict[str, Any]) -> None:
    net, data = network(width=4), batches()
    optimizer = QNewton(net, **asked)
    train(optimizer, net, data, 3)
    assert all(record.averaged is None and record.blocks for record in optimizer.records)


def test_a_budget_below_the_steps_own_passes_is_refused() -> None:
    with pytest.raises(ValueError, match="budget is 1; it must be 2 passes or more"):
        Limits(budget=1)


# Whose batch judges its own step.


def straight(rows: int, noise: float, seed: int = 0) -> tuple[nn.Linear, Iterator[Any]]:
    """Regression on eight inputs: as many residuals as rows, nine unknowns."""
    torch.manual_seed(seed)
    net = nn.Linear(8, 1).double()
    generator = torch.Generator().manual_seed(seed)
    exact = torch.randn(8, 1, generator=generator, dtype=torch.float64)

    def data() -> Iterator[Any]:
        while True:
            x = torch.randn(rows, 8, generator=generator, dtype=torch.float64)
            off = torch.randn(rows, 1, generator=generator, dtype=torch.float64)
            yield x, x @ exact + noise * off

    return net, data()


def test_many_residuals_without_noise_judge_their_own_steps() -> None:
    net, data = straight(rows=100, noise=0.0)
    optimizer = QNewton(net)
    train(optimizer, net, data, 20, squares_of)
    assert all(record.averaged is None for record in optimizer.records)
    assert optimizer.records[-1].loss < 1e-20


def test_residuals_with_noise_are_believed_until_the_next_batches_disagree() -> None:
    net, data = straight(rows=20, noise=1.0)
    optimizer = QNewton(net)
    train(optimizer, net, data, 40, squares_of)
    kinds = [record.averaged is not None for record in optimizer.records]
    assert not any(kinds[:3])
    assert kinds[-1]
    assert kinds == sorted(kinds)  # and never again


def test_few_residuals_never_judge_their_own_steps() -> None:
    net, data = straight(rows=17, noise=0.0)
    optimizer = QNewton(net)
    train(optimizer, net, data, 4, squares_of)
    assert [r.averaged is not None for r in optimizer.records] == [False, True, True, True]
