"""Closures whose losses are sums of squares, and their Jacobians by one pass for every row."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton.curvature.residuals import Residuals, SumOfSquares, sum_of_squares
from qnewton.curvature.uses import Uses, uses_in


class Case(NamedTuple):
    """A closure and its parameters."""

    loss: Callable[[], Tensor]
    parameters: list[Tensor]


def laplacian(net: nn.Module, points: Tensor) -> Tensor:
    x = points.clone().requires_grad_()
    [du] = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    return sum(torch.autograd.grad(du[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2))  # type: ignore[return-value]


def seeded(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(*layers).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net


def poisson() -> Case:
    net = seeded(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 1))
    inside, edge = torch.rand(9, 2).double(), torch.rand(5, 2).double()
    nu = nn.Parameter(torch.tensor(0.3).double())

    def loss() -> Tensor:
        return (nu * laplacian(net, inside) + 1).square().mean() + net(edge).square().mean()

    return Case(loss, [*net.parameters(), nu])


def declared() -> Case:
    net = seeded(nn.Linear(2, 4), nn.Softplus(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    points = torch.rand(7, 2).double()
    return Case(lambda: Residuals(laplacian(net, points), net(points)).loss, [*net.parameters()])


def several_outputs() -> Case:
    net = seeded(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3))
    x, y = torch.randn(6, 4).double(), torch.randn(6, 3).double()
    decay = lambda: sum(p.square().sum() for p in net.parameters())  # noqa: E731
    return Case(lambda: mse_loss(net(x), y) + 1e-3 * decay(), [*net.parameters()])


def positions() -> Case:
    net = seeded(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2))
    x, y = torch.randn(5, 6, 3).double(), torch.randn(5, 6, 2).double()
    return Case(lambda: mse_loss(net(x), y), [*net.parameters()])


def tied() -> Case:
    layer = nn.Linear(4, 4).double()
    x = torch.randn(6, 4).double()
    return Case(lambda: (layer(layer(x).tanh()) - x).square().sum(), [*layer.parameters()])


def outside_its_layer() -> Case:
    layer = nn.Linear(3, 3).double()
    x = torch.randn(6, 3).double()
    return Case(lambda: (layer(x) @ layer.weight).square().sum(), [*layer.parameters()])


def concatenated() -> Case:
    net = seeded(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    one, two = torch.randn(4, 2).double(), torch.randn(3, 2).double()

    def loss() -> Tensor:
        found = net(torch.cat([one, two]))
        return found[:4].square().mean() + (found[4:] - 1).square().mean()

    return Case(loss, [*net.parameters()])


def neighbours() -> Case:
    """Return residuals of which each is reached from two rows of the net's output."""
    net = seeded(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    x = torch.randn(8, 2).double()

    def loss() -> Tensor:
        found = net(x)
        return (found[1::2] - 2 * found[::2]).square().mean() + laplacian(net, x).square().mean()

    return Case(loss, [*net.parameters()])


def by_function_transforms() -> Case:
    net = seeded(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    points = torch.rand(5, 2).double()

    def loss() -> Tensor:
        hessian = torch.func.hessian(lambda x: net(x[None])[0, 0])
        return torch.func.vmap(hessian)(points).diagonal(0, 1, 2).sum(1).square().sum()

    return Case(loss, [*net.parameters()])


def images() -> Case:
    net = seeded(
        nn.Conv2d(1, 2, 3, stride=2, padding=1),
        nn.Softplus(),
        nn.Conv2d(2, 3, 2, dilation=2, padding="same"),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(27, 2),
    )
    x, y = torch.randn(4, 1, 6, 6).double(), torch.randn(4, 2).double()
    return Case(lambda: mse_loss(net(x), y), [*net.parameters()])


def derivatives_of_images() -> Case:
    net = seeded(nn.Conv1d(2, 3, 3, padding=1), nn.Tanh(), nn.Conv1d(3, 1, 2, bias=False))
    signal = torch.randn(5, 2, 6).double()

    def loss() -> Tensor:
        x = signal.clone().requires_grad_()
        [slope] = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        return slope.square().mean()

    return Case(loss, [*net.parameters()])


CASES = (
    images,
    derivatives_of_images,
    poisson,
    declared,
    several_outputs,
    positions,
    tied,
    outside_its_layer,
    concatenated,
    neighbours,
    by_function_transforms,
)


def made(case: Case) -> tuple[Tensor, SumOfSquares, list[Uses]]:
    loss = case.loss()
    sums = sum_of_squares(loss)
    assert isinstance(sums, SumOfSquares), sums
    return loss, sums, [uses_in(term.residual, case.parameters) for term in sums.terms]


def row_by_row(sums: SumOfSquares, parameters: Sequence[Tensor]) -> Tensor:
    rows = []
    for term in sums.terms:
        for entry in term.residual.flatten():
            found = torch.autograd.grad(entry, parameters, retain_graph=True, allow_unused=True)
            pairs = zip(found, parameters, strict=True)
            rows.append(torch.cat([(0 * p if g is None else g).flatten() for g, p in pairs]))
    return torch.stack(rows).detach()


def gradient(loss: Tensor, parameters: list[Tensor]) -> Tensor:
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat([(0 * p if g is None else g).flatten() for g, p in pairs]).detach()
