"""Jacobians from the uses of weights, beside one backward pass for every row."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton.curvature.jacobian import Workspace, gradient_agreement, jacobian, probed, proof
from qnewton.curvature.routes import Refused
from qnewton.curvature.uses import uses_in, without_places
from tests.curvature.squares import CASES, Case, gradient, made, positions, row_by_row, seeded


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


@pytest.mark.parametrize(
    ("off", "count", "agrees"), [(5e-6, 10**6, True), (5e-6, 10, False), (1e-2, 10**6, False)]
)
def test_the_rounding_of_many_residuals_is_no_interaction(
    off: float, count: int, agrees: bool
) -> None:
    # A gradient of which 99% cancels, in float32.
    gradient = torch.tensor([1e-2, 0.0])
    pulled, terms = gradient + torch.tensor([0.0, off]), torch.tensor([1.0, 0.0])
    found = gradient_agreement(pulled, gradient, 1e-4, count, lambda: terms)
    assert isinstance(found, str) is agrees
