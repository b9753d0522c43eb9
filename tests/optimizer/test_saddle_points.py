"""Newton with nothing set leaves strict saddles, where gradient descent stays."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from qnewton import QNewton

STEPS = 20
RATES = (0.003, 0.01, 0.03, 0.1)


class Surface(nn.Module):
    """Σ x² - Σ y² + Σ y⁴/2 over n_up and n_down directions, with minima at y = ±1 of -n_down/2."""

    def __init__(self, n_up: int, n_down: int, offset: float) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.zeros(n_up, dtype=torch.float64))
        self.down = nn.Parameter(torch.full((n_down,), offset, dtype=torch.float64))

    def forward(self) -> Tensor:
        y = self.down.square()
        return self.up.square().sum() - y.sum() + y.square().sum() / 2


class DeepLinear(nn.Module):
    """½‖B A - T‖² for two factors; every point with B A ≠ T's best approximation is a saddle."""

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(size, size, bias=False, dtype=torch.float64)
        self.second = nn.Linear(size, size, bias=False, dtype=torch.float64)
        self.target = torch.diag(torch.arange(size, 0, -1, dtype=torch.float64))

    def forward(self) -> Tensor:
        identity = torch.eye(len(self.target), dtype=torch.float64)
        return (self.second(self.first(identity)) - self.target).square().sum() / 2


def zero_weights() -> DeepLinear:
    model = DeepLinear()
    nn.init.zeros_(model.first.weight)
    nn.init.zeros_(model.second.weight)
    return model


def of_rank_one() -> DeepLinear:
    """Return the network that fits the target's largest singular value and nothing else."""
    model = zero_weights()
    with torch.no_grad():
        for layer in (model.first, model.second):
            layer.weight[0, 0] = model.target[0, 0].sqrt()
    return model


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> float:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model()
        loss.backward()
        return loss

    for _ in range(steps):
        # The stub wants a float; every optimizer of PyTorch takes and returns tensors.
        optimizer.step(closure)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return float(model().detach())


def best_of_sgd(make: Callable[[], nn.Module], steps: int) -> float:
    losses = []
    for rate in RATES:
        model = make()
        losses.append(train(model, torch.optim.SGD(model.parameters(), lr=rate), steps))
    return min(losses)


@pytest.mark.parametrize("sizes", [(1, 1), (30, 1), (10, 5)], ids=str)
@pytest.mark.parametrize("offset", [0.0, 1e-12, 1e-6])
def test_newton_leaves_a_strict_saddle(sizes: tuple[int, int], offset: float) -> None:
    def make() -> Surface:
        return Surface(*sizes, offset)

    model = make()
    # All the way down along every descending direction would be -n_down/2; -¼ is on the way.
    assert train(model, QNewton(model), STEPS) < -0.25
    # The fastest rate multiplies y by 1.2 a step: 20 steps turn 1e-6 into 4e-5.
    assert best_of_sgd(make, STEPS) > -1e-6


def test_from_an_exact_saddle_sgd_never_leaves() -> None:
    assert best_of_sgd(lambda: Surface(1, 1, 0.0), 1000) == 0.0


@pytest.mark.parametrize("make", [zero_weights, of_rank_one])
def test_a_deep_linear_network_leaves_its_saddle(make: Callable[[], DeepLinear]) -> None:
    model = make()
    start = float(model().detach())
    gradients = torch.autograd.grad(model(), list(model.parameters()))
    assert all(float(gradient.abs().max()) < 1e-12 for gradient in gradients)
    # The next saddle down is lower by ½ of the largest singular value not yet fitted, squared.
    assert train(model, QNewton(model), STEPS) < start - 1.0
    assert best_of_sgd(make, STEPS) == pytest.approx(start, abs=1e-9)


@pytest.mark.slow
def test_a_deep_linear_network_is_trained_from_zero_weights() -> None:
    model = zero_weights()
    assert train(model, QNewton(model), 100) < 1e-8


@pytest.mark.parametrize("offset", [0.0, 1e-6])
def test_parameters_without_a_module_leave_it_too(offset: float) -> None:
    model = Surface(1, 1, offset)
    assert train(model, QNewton(list(model.parameters())), STEPS) < -0.25
