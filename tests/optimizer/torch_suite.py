"""What PyTorch's suite asks of a problem, and the settings it runs under."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qnewton import Classical, Damping, QNewton, Warmup
from qnewton.cost import nominal_calibration

CLASSICAL = Classical(calibration=nominal_calibration())


# Settings under which the checks run. Where the suite's convex loss is maximized, λ is above its
# curvature: below, a Newton step goes to the stationary point, the minimum. So it is where the
# system is pruned, which could make a weakly damped one indefinite.
SETTINGS: dict[str, Callable[[], dict[str, Any]]] = {
    "default": dict,
    "lr": lambda: {"lr": 0.5},
    "tensor lr": lambda: {"lr": torch.tensor(0.5)},
    "maximize": lambda: {"maximize": True, "damping": 100.0},
    "relative damping": lambda: {"damping": Damping(0.5, scale="max-abs")},
    "prune": lambda: {"prune": 3, "damping": 100.0},
    "weight decay": lambda: {"weight_decay": 0.01},
    "full": lambda: {"blocks": "full"},
    "warmup": lambda: {"warmup": Warmup(steps=2, first_order_lr=0.01)},
}


each_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())


def build(
    params: Any, settings: Callable[[], dict[str, Any]] | None = None, **more: Any
) -> QNewton:
    return QNewton(params, classical=CLASSICAL, **((settings() if settings else {}) | more))


class Affine:
    """The suite's problem: ‖W x + b‖² in W and b."""

    def __init__(self, seed: int = 0, contiguous: bool = True) -> None:
        generator = torch.Generator().manual_seed(seed)
        if contiguous:
            weight = torch.randn(10, 5, generator=generator)
            bias = torch.randn(10, generator=generator)
        else:
            weight = torch.randn(10, 5, 2, generator=generator)[..., 0]
            bias = torch.randn(10, 2, generator=generator)[..., 0]
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        self.x = torch.randn(5, generator=generator)

    @property
    def parameters(self) -> list[Tensor]:
        return [self.weight, self.bias]

    def named(self, named: bool) -> list[Any]:
        return [("weight", self.weight), ("bias", self.bias)] if named else self.parameters

    def copy(self) -> "Affine":
        return copy.deepcopy(self)

    def loss(self) -> Tensor:
        return (self.weight.mv(self.x) + self.bias).square().sum()

    def closure(self, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            return loss

        return closure
