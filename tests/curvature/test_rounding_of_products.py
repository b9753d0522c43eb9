"""What rounding does to second derivatives is never taken for a wrong operation."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as binary
from torch.nn.functional import cross_entropy

from qnewton import QNewton
from qnewton.curvature import systems
from qnewton.curvature.rerun import NUMERICAL
from tests.curvature.model_table import draw

Doubles = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def gaussian_process(w: Tensor) -> Tensor:
    x = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None]
    kernel = torch.exp(-((x - x.mT) ** 2) / (2 * (0.01 + w.sum() ** 2 / 100)))
    factor = torch.linalg.cholesky(kernel + 1e-13 * torch.eye(20, dtype=torch.float64))
    half = torch.linalg.solve_triangular(factor, torch.sin(6 * x), upper=False)
    return half.square().sum() / 2 + factor.diagonal().log().sum()


HILBERT = 1.0 / (torch.arange(8)[:, None] + torch.arange(8) + 1.0).double()

ILL_CONDITIONED: dict[str, Callable[[Tensor], Tensor]] = {
    "Gaussian process": gaussian_process,
    "logdet": lambda w: torch.logdet(HILBERT + torch.diag(w.square() * 1e-9)),
    "inverse": lambda w: torch.linalg.inv(HILBERT + torch.diag(w * 1e-10)).sum(),
    "solve": lambda w: (
        (torch.linalg.solve(HILBERT + w.outer(w) * 1e-9, w.double()) * 1e-3).square().sum()
    ),
    "softplus": lambda w: nn.functional.softplus(1e3 * w).sum() + nn.functional.softplus(-w).sum(),
    "exp": lambda w: (torch.exp(30 * w) - torch.exp(30 * w.roll(1))).square().sum(),
    "cancellation": lambda w: ((1e8 + w).square() - 1e16 - 2e8 * w).prod(),
    "Rosenbrock": lambda w: (1e6 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum(),
}


@Doubles
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ILL_CONDITIONED)
def test_rounding_is_never_refused(name, seed, dtype):
    start = 1.5 + 0.5 * draw(8, seed=seed)
    w = start.abs().to(dtype).requires_grad_()
    try:
        assert systems([w], lambda: ILL_CONDITIONED[name](w), blocks="full")
    except NUMERICAL:
        assert name == "Gaussian process"


@Doubles
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_unscaled_data_is_never_refused(scale, dtype):
    for seed in range(5):
        torch.manual_seed(seed)
        x = (torch.randn(60, 6) * scale ** torch.rand(6) + scale).to(dtype)
        y = (torch.arange(60) % 2).to(dtype)[:, None]
        net = nn.Linear(6, 1).to(dtype)
        assert systems(net, lambda net=net, x=x, y=y: binary(net(x), y))


@pytest.mark.parametrize("depth", [10, 30])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.GELU])
def test_deep_networks_in_single_precision_are_never_refused(activation, depth):
    torch.manual_seed(0)
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(8, 8), activation())]
    net = nn.Sequential(*hidden, nn.Linear(8, 3))
    x, y = torch.randn(40, 8), torch.arange(40) % 3
    assert systems(net, lambda: cross_entropy(net(x), y))


@pytest.mark.parametrize("seed", [1, 7])
def test_rounding_of_a_nearly_perfect_fit_is_no_wrong_derivative(seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
        x, y = torch.randn(256, 64), torch.randint(0, 10, (256,))
    fit = QNewton(net)
    for _ in range(20):
        fit.step(lambda: cross_entropy(net(x), y))
    first, last = [*net[0].parameters()], [*net[2].parameters()]
    again = QNewton([{"params": first, "damping": 2.0}, {"params": last}], damping=1.0)
    again.step(lambda: cross_entropy(net(x), y))
    assert again.records[0].skipped is None
    assert again.records[0].loss < 1e-3
