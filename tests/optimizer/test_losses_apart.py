"""A loss that depends on no parameter of the optimizer moves nothing, and the records say so."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qnewton import HealthWarning, QNewton
from qnewton.optimizer.step_context import NOTHING_IN_LOSS
from qnewton.records import Convergence

WAYS: list[dict[str, Any]] = [
    {},
    {"blocks": "layer"},
    {"damping": 0.0},
    {"damping": 0.1, "blocks": "full"},
    {"damping": 0.1, "curvature": "ggn"},
    {"curvature": "ggn"},
    {"curvature": "fisher"},
    {"damping": 0.1, "curvature": "fisher", "rescale": True},
    {"damping": 0.1, "policy": "paper", "quantum": "attosecond"},
    {"damping": 0.1, "prune": 0.9},
    {"damping": 0.1, "warmup": 9},
]


def network(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).to(dtype)


def run(optimizer: QNewton, loss: Callable[[], Tensor], steps: int) -> None:
    """Take steps that must move nothing."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    before = [p.detach().clone() for p in parameters]
    for _ in range(steps):
        optimizer.step(loss)
    assert all(torch.equal(p, kept) for p, kept in zip(parameters, before, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_loss_of_another_model_moves_nothing_and_warns_once(
    way: dict[str, Any], dtype: torch.dtype
) -> None:
    net, other, x = network(dtype), nn.Linear(3, 1).to(dtype), torch.ones(4, 3, dtype=dtype)
    optimizer = QNewton(net, **way)
    with pytest.warns(HealthWarning, match=NOTHING_IN_LOSS) as seen:
        run(optimizer, lambda: other(x).square().mean(), 16)
    assert len([w for w in seen if w.category is HealthWarning]) == 1
    assert {record.skipped for record in optimizer.records} == {NOTHING_IN_LOSS}
    assert {record.gradient_norm for record in optimizer.records} == {None}
    assert "unhealthy" in str(optimizer.health)


@pytest.mark.parametrize("way", [{}, {"damping": 0.1}], ids=str)
def test_a_step_with_everything_frozen_says_so(way: dict[str, Any]) -> None:
    net, x = network(torch.float32), torch.ones(4, 3)
    optimizer = QNewton(net, **way)
    net.requires_grad_(False)
    with pytest.warns(HealthWarning, match="all are frozen"):
        run(optimizer, lambda: net(x).square().mean(), 8)
    assert [record.step for record in optimizer.records] == [*range(8)]
    assert optimizer.records[0].skipped == f"{NOTHING_IN_LOSS}: all are frozen"
    assert optimizer.records[0].loss == pytest.approx(net(x).square().mean().item())
    net.requires_grad_(True)
    optimizer.step(lambda: net(x).square().mean())
    assert optimizer.records[-1].skipped is None
    assert optimizer.records[-1].step == 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("blocks", ["full", "tensor"])
@pytest.mark.parametrize("way", [{"damping": 0.1}, {}, {"damping": 0.1, "policy": "hybrid"}])
def test_a_gradient_of_zero_is_solved_for_again_and_again(
    way: dict[str, Any], blocks: Any, dtype: torch.dtype
) -> None:
    # Conjugate gradients need no product there, and no later step may be priced by that.
    torch.manual_seed(0)
    w = nn.Parameter(torch.zeros(700, dtype=dtype))
    quantum = "attosecond" if "policy" in way else None
    optimizer = QNewton([w], blocks=blocks, quantum=quantum, **way)
    for loss in (lambda: 0.0 * w.square().sum() + 1.0, lambda: w.square().sum()):
        run(optimizer, loss, 4)
        judged = optimizer.records[-1].damping
        assert judged is None or judged.converged is Convergence.GRADIENT
    for _ in range(4):
        optimizer.step(lambda: (w - 1.0).square().sum())
    assert optimizer.records[-1].loss < 700.0
