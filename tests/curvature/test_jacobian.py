"""Jacobians from the uses of weights, beside one backward pass for every row."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton.curvature.jacobian import Workspace, jacobian, probed, proof
from qnewton.curvature.residuals import Residuals, SumOfSquares, sum_of_squares
from qnewton.curvature.routes import Refused
from qnewton.curvature.uses import Uses, uses_in, without_places


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


def row_by_row(sums: SumOfSquares, parameters: list[Tensor]) -> Tensor:
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


@pytest.mark.parametrize("make", CASES)
def test_rows_are_those_of_single_backward_passes(make: Callable[[], Case]) -> None:
    case = make()
    loss, sums, uses = made(case)
    found = jacobian(sums, case.parameters, uses)
    assert found.by_uses
    expected = row_by_row(sums, case.parameters)
    torch.testing.assert_close(found.matrix, expected, rtol=1e-11, atol=1e-13)
    agreed = proof(found, sums, loss, gradient(loss, case.parameters), 1e-9)
    assert "agrees" in str(agreed)
    assert probed(found, sums, case.parameters) < 1e-12


def test_samples_that_interact_are_seen() -> None:
    net = seeded(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    x, y = torch.randn(8, 3).double(), torch.randn(8, 2).double()
    case = Case(lambda: mse_loss(net(x), y), [*net.parameters()])
    loss, sums, uses = made(case)
    found = jacobian(sums, case.parameters, uses)
    refused = proof(found, sums, loss, gradient(loss, case.parameters), 1e-9)
    assert isinstance(refused, Refused)
    assert "samples interact" in refused.reason
    # Without the uses every row is right, whatever interacts.
    apart = jacobian(sums, case.parameters, [*map(without_places, uses)])
    torch.testing.assert_close(apart.matrix, row_by_row(sums, case.parameters))


def test_rows_of_more_residuals_than_weights_tell_apart_are_placed() -> None:
    net = seeded(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).float()
    points = torch.randn(5000, 2)
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(0))

    def loss() -> Tensor:
        u = net(points)[order]
        return u[:4200].square().mean() + (u[4200:] - 1).square().mean()

    case = Case(loss, [*net.parameters()])
    _, sums, uses = made(case)
    found = jacobian(sums, case.parameters, uses)
    assert found.by_uses
    expected = torch.func.vmap(torch.func.jacrev(_output(net)), (None, 0))(
        dict(net.named_parameters()), points
    )
    rows = torch.cat([one.flatten(1) for one in expected.values()], dim=1)[order].detach()
    parts = {4200: rows[:4200], 800: rows[4200:]}
    each = [parts[term.residual.numel()] for term in sums.terms]
    torch.testing.assert_close(found.matrix, torch.cat(each), rtol=1e-5, atol=1e-6)


def _output(net: nn.Module) -> Callable[[dict[str, Tensor], Tensor], Tensor]:
    return lambda weights, x: torch.func.functional_call(net, weights, (x,)).squeeze()


def test_one_sample_of_many_entries_is_differentiated_by_columns() -> None:
    shift, gain = (nn.Parameter(torch.full((size,), 0.5).double()) for size in (2, 1))
    grid = torch.rand(40, 2).double()

    def loss() -> Tensor:
        return (gain * (grid * shift).sin().sum(1).view(1, 40)).square().sum()

    case = Case(loss, [shift, gain])
    _, sums, uses = made(case)
    found = jacobian(sums, case.parameters, uses)
    assert found.passes == 2 * 3
    torch.testing.assert_close(found.matrix, row_by_row(sums, case.parameters))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_autocast_rounds_is_no_known_use(dtype: torch.dtype) -> None:
    layer, x = nn.Linear(3, 2), torch.randn(4, 3)
    with torch.autocast("cpu", dtype=dtype):
        found = layer(x)
    assert uses_in(found, [layer.weight]) == {id(layer.weight): [None]}


def test_rows_that_several_residuals_are_reached_from_are_not_placed() -> None:
    layer = nn.Linear(2, 1).double()
    x = torch.randn(6, 2).double()
    case = Case(lambda: layer(x)[:5].cumsum(0).square().mean(), [*layer.parameters()])
    _, sums, uses = made(case)
    found = jacobian(sums, case.parameters, uses)
    assert not found.by_uses
    torch.testing.assert_close(found.matrix, row_by_row(sums, case.parameters))


def test_memory_is_used_again_only_when_nobody_reads_it() -> None:
    case, workspace = positions(), Workspace()
    _, sums, uses = made(case)
    first = jacobian(sums, case.parameters, uses, workspace)
    at, kept = first.matrix.data_ptr(), first.matrix.clone()
    second = jacobian(sums, case.parameters, uses, workspace)
    assert second.matrix.data_ptr() != at
    assert torch.equal(first.matrix, kept)
    at = second.matrix.data_ptr()
    del second
    third = jacobian(sums, case.parameters, uses, workspace)
    assert third.matrix.data_ptr() == at
