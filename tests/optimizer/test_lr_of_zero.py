"""What has lr 0 does not move, by any path, and a small lr makes every step short."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from qnewton import Limits, QNewton, Warmup
from qnewton.curvature import Kind, Partition
from qnewton.operators import DenseOperator
from qnewton.optimizer.movable import PrincipalOperator, scaled_operator

F64 = torch.float64


def saddle(w: Tensor) -> Tensor:
    return (w[0] ** 2 - 1) ** 2 / 4 + w[1] ** 2 / 2


@pytest.mark.parametrize("damping", ["auto", 0.1])
@pytest.mark.parametrize("lr", [0.0, torch.tensor(0.0)])
def test_nothing_moves_at_a_saddle(damping: Any, lr: Any) -> None:
    w = nn.Parameter(torch.tensor([0.0, 1.0], dtype=F64))
    optimizer = QNewton([w], lr=lr, damping=damping)
    for _ in range(3):
        optimizer.step(lambda: saddle(w))
    assert w.tolist() == [0.0, 1.0]
    assert optimizer.counters["step"] == 3
    if damping == "auto":
        assert {record.skipped for record in optimizer.records} == {
            "every lr is 0, so nothing may move"
        }


@pytest.mark.parametrize("lr", [1e-3, 0.1, 1.0, 3.0])
def test_a_small_lr_bounds_the_step_along_an_eigenvector(lr: float) -> None:
    w = nn.Parameter(torch.tensor([0.0, 0.0], dtype=F64))
    optimizer = QNewton([w], lr=lr)
    optimizer.step(lambda: saddle(w))
    [record] = optimizer.records
    assert record.damping is not None
    assert record.damping.origin == "eigenvector"
    assert 0.0 < record.step_norm <= min(lr, 1.0) * record.damping.radius * (1 + 1e-9)


@pytest.mark.parametrize("held", [0, 1])
def test_the_search_for_negative_curvature_leaves_out_what_is_held(held: int) -> None:
    a = nn.Parameter(torch.tensor([0.0], dtype=F64))
    b = nn.Parameter(torch.tensor([0.0], dtype=F64))
    groups = [{"params": [a], "lr": 1.0}, {"params": [b], "lr": 1.0}]
    groups[held]["lr"] = 0.0
    optimizer = QNewton(groups)
    for _ in range(12):
        optimizer.step(lambda: ((a**2 - 1) ** 2 / 4 + (b**2 - 1) ** 2 / 4).sum())
    fixed, free = (a, b) if held == 0 else (b, a)
    assert fixed.item() == 0.0
    assert abs(abs(free.item()) - 1.0) < 1e-6


def coupled() -> tuple[nn.Sequential, Callable[[], Tensor]]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    inputs, targets = torch.randn(16, 4, dtype=F64), torch.randn(16, 2, dtype=F64)
    return net, lambda: mse_loss(net(inputs), targets)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_a_group_that_is_held_stays_and_the_others_take_their_own_step(
    kind: Kind, blocks: Partition
) -> None:
    net, loss = coupled()
    start = [p.detach().clone() for p in net[0].parameters()]
    groups = [{"params": net[0].parameters(), "lr": 0.0}, {"params": net[2].parameters()}]
    optimizer = QNewton(groups, model=net, curvature=kind, blocks=blocks)
    for _ in range(8):
        optimizer.step(loss)
    assert all(torch.equal(p, q) for p, q in zip(net[0].parameters(), start, strict=True))

    # The same as if the group were frozen: the loss in what may move is a least-squares problem.
    alone, same_loss = coupled()
    for parameter in alone[0].parameters():
        parameter.requires_grad_(False)
    frozen = QNewton(alone, curvature=kind, blocks=blocks)
    for _ in range(8):
        frozen.step(same_loss)
    assert optimizer.records[-1].loss < 0.9 * optimizer.records[0].loss
    assert optimizer.records[-1].loss == pytest.approx(frozen.records[-1].loss, rel=1e-3)


@pytest.mark.parametrize("damping", ["auto", 1.0])
def test_a_warmup_and_a_cosine_schedule_hold_still_where_lr_is_zero(damping: Any) -> None:
    net, loss = coupled()
    optimizer = QNewton(net, damping=damping)
    scheduler: Any = LambdaLR(optimizer, lambda step: min(step / 4, 1.0))
    moved = []
    for _ in range(6):
        before = torch.cat([p.detach().flatten() for p in net.parameters()])
        optimizer.step(loss)
        after = torch.cat([p.detach().flatten() for p in net.parameters()])
        moved.append(float((after - before).norm()))
        scheduler.step()
    assert moved[0] == 0.0
    assert all(length > 0.0 for length in moved[1:])
    scheduler = CosineAnnealingLR(optimizer, T_max=1, eta_min=0.0)
    scheduler.step()
    before = torch.cat([p.detach().flatten() for p in net.parameters()])
    optimizer.step(loss)
    assert torch.equal(before, torch.cat([p.detach().flatten() for p in net.parameters()]))


def test_first_order_steps_hold_still_where_lr_is_zero() -> None:
    a = nn.Parameter(torch.tensor([2.0], dtype=F64))
    b = nn.Parameter(torch.tensor([2.0], dtype=F64))
    groups = [{"params": [a], "lr": 0.0}, {"params": [b]}]
    optimizer = QNewton(groups, warmup=Warmup(steps=2, first_order_lr=0.1))
    optimizer.step(lambda: (a**2 + b**2).sum())
    assert (a.item(), b.item()) == (2.0, pytest.approx(1.6))
    with pytest.warns(UserWarning, match="without a closure"):
        optimizer.step()
    assert a.item() == 2.0
    assert b.item() < 1.6


def test_blocks_without_a_system_hold_still_where_lr_is_zero() -> None:
    small = nn.Parameter(torch.ones(2, dtype=F64))
    large = nn.Parameter(torch.ones(5, dtype=F64))
    groups = [{"params": [small]}, {"params": [large], "lr": 0.0}]
    optimizer = QNewton(groups, damping=1.0, limits=Limits(max_newton=3))
    optimizer.step(lambda: small.square().sum() + large.square().sum())
    assert torch.equal(large, torch.ones(5, dtype=F64))
    assert small[0].item() < 1.0


def test_the_fallback_holds_still_what_has_lr_zero() -> None:
    a = nn.Parameter(torch.tensor([1.0], dtype=F64))
    b = nn.Parameter(torch.tensor([1.0], dtype=F64))
    optimizer = QNewton([{"params": [a], "lr": 0.0}, {"params": [b], "lr": 0.5}])

    def closure() -> Tensor:
        # |x|^1.5 has an infinite second derivative at 0.
        walls = (a - a.detach()).abs().pow(1.5) + (b - b.detach()).abs().pow(1.5)
        return (a**2 + b**2 + walls).sum()

    optimizer.step(closure)
    [record] = optimizer.records
    assert record.damping is not None
    assert record.damping.origin == "gradient"
    assert a.item() == 1.0
    assert b.item() < 1.0


def test_a_principal_operator_and_a_scaled_one_agree_with_their_entries() -> None:
    matrix = torch.randn(5, 5, dtype=F64, generator=torch.Generator().manual_seed(0))
    whole = DenseOperator(matrix + matrix.mT)
    index = torch.tensor([0, 2, 3])
    part = PrincipalOperator(whole, index)
    vectors = torch.eye(3, dtype=F64)
    assert torch.equal(part.dense(), whole.dense()[index][:, index])
    assert torch.allclose(part @ vectors, part.dense())
    assert torch.allclose(part @ vectors[0], part.dense()[:, 0])
    lengths = torch.tensor([1.0, 0.0, 0.5, 1.0, 2.0], dtype=F64)
    assert torch.allclose(
        scaled_operator(whole, lengths).dense(), lengths[:, None] * whole.dense() * lengths
    )
