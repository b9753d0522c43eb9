"""Parameters without dimensions: temperatures, log-variances, coefficients of an equation."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton import Damping, Limits, QNewton, Warmup
from qnewton.curvature import Kind, Partition


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"damping": 0.0},
        {"blocks": "full"},
        {"limits": Limits(max_dense=0)},
        {"warmup": 2},
        {"prune": 1, "damping": 0.1},
        {"damping": Damping(0.1, scale="max-abs")},
        {"policy": "hybrid", "quantum": "attosecond"},
        {"policy": "paper", "quantum": "attosecond", "damping": 1e-3},
    ],
    ids=str,
)
def test_a_single_scalar_reaches_its_minimum(settings: dict[str, Any], dtype: torch.dtype) -> None:
    w = nn.Parameter(torch.tensor(3.0, dtype=dtype))
    optimizer = QNewton([w], **settings)
    for _ in range(8):
        optimizer.step(lambda: (w - 1) ** 2)
    assert w.shape == ()
    assert w.item() == pytest.approx(1.0, abs=1e-5)


def test_a_scalar_leaves_a_saddle() -> None:
    w = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))
    optimizer = QNewton([w])
    for _ in range(12):
        optimizer.step(lambda: (w**2 - 1) ** 2)
    assert abs(w.item()) == pytest.approx(1.0, abs=1e-6)


class Scaled(nn.Module):
    """A linear layer whose output has a temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(0.3))
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.temperature.exp()


def problem() -> tuple[Scaled, Tensor, Tensor]:
    torch.manual_seed(0)
    return Scaled().double(), torch.randn(8, 3).double(), torch.randn(8, 2).double()


@pytest.mark.slow
@pytest.mark.parametrize("damping", ["auto", 3.0])
@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
@pytest.mark.parametrize("warmup", [0, 2])
def test_a_scalar_beside_other_parameters(
    kind: Kind, blocks: Partition, damping: Any, warmup: int
) -> None:
    model, x, y = problem()
    optimizer = QNewton(
        model,
        curvature=kind,
        blocks=blocks,
        damping=damping,
        warmup=Warmup(steps=warmup, first_order_lr=0.02),
    )
    for _ in range(4):
        optimizer.step(lambda: mse_loss(model(x), y))
    assert model.temperature.shape == ()
    assert optimizer.records[-1].loss < optimizer.records[0].loss
    # A run goes on from its state as if never interrupted.
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again = copy.deepcopy(model)
    resumed = QNewton(again, curvature=kind, blocks=blocks, damping=damping, warmup=warmup)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    optimizer.step(lambda: mse_loss(model(x), y))
    resumed.step(lambda: mse_loss(again(x), y))
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


class WithLoss(nn.Module):
    """What a loop without closures calls: it returns its loss."""

    def __init__(self, model: nn.Module, targets: Tensor) -> None:
        super().__init__()
        self.model, self.targets = model, targets

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": mse_loss(self.model(x), self.targets)}


@pytest.mark.parametrize("damping", ["auto", 3.0])
@pytest.mark.parametrize("warmup", [0, 2])
def test_a_scalar_in_an_attached_model(damping: Any, warmup: int) -> None:
    model, x, y = problem()
    whole = WithLoss(model, y)
    optimizer = QNewton(whole, damping=damping, warmup=Warmup(steps=warmup, first_order_lr=0.02))
    handle = optimizer.attach(whole, lambda output: output["loss"])
    for _ in range(4):
        optimizer.zero_grad()
        whole(x)["loss"].backward()
        optimizer.step()
    handle.remove()
    assert optimizer.records[-1].loss < optimizer.records[0].loss
