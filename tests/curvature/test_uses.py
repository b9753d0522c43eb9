"""Uses of parameters that graphs show, beside one backward pass for every row."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, softplus
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.checkpoint import checkpoint

from qnewton.curvature import normal_matrix as normal_matrix_module
from qnewton.curvature.jacobian import Workspace, jacobian
from qnewton.curvature.normal_matrix import NormalMatrix, normal_matrix
from qnewton.curvature.residuals import SumOfSquares, sum_of_squares
from qnewton.curvature.use_kinds import Gone, Rows, Sides
from qnewton.curvature.uses import uses_in

Built = tuple[list[nn.Parameter], Callable[[], Tensor]]
"""Parameters, and what returns residuals by sample, [B, …]."""


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def samples(*shape: int) -> Tensor:
    return torch.randn(5, *shape)


def of_module(module: nn.Module, *inputs: Tensor) -> Built:
    for one in module.parameters():
        nn.init.normal_(one)
    return [*module.parameters()], lambda: module(*inputs)


def lookup() -> Built:
    tokens = torch.randint(7, (5, 4))
    net = nn.Sequential(nn.Embedding(7, 3, padding_idx=2), nn.Flatten(), nn.Linear(12, 2))
    return of_module(net, tokens)


def single_lookup() -> Built:
    return of_module(nn.Embedding(3, 2), torch.tensor([0, 2, 2, 1, 0]))


def tied_lookup() -> Built:
    table, tokens = parameter(6, 3), torch.randint(6, (5, 2))
    return [table], lambda: linear(embedding(tokens, table).tanh(), table)


def layer_normed() -> Built:
    return of_module(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)), samples(3))


def layer_normed_positions() -> Built:
    return of_module(nn.Sequential(nn.LayerNorm([2, 4]), nn.Tanh()), samples(3, 2, 4))


def group_normed() -> Built:
    layers = nn.Conv2d(1, 4, 2), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(16, 2)
    return of_module(nn.Sequential(*layers), samples(1, 3, 3))


def root_mean_square_normed() -> Built:
    return of_module(nn.Sequential(nn.RMSNorm(4), nn.Linear(4, 2)), samples(3, 4))


def frozen_batch_norm() -> Built:
    norm = nn.BatchNorm2d(2)
    net = nn.Sequential(nn.Conv2d(1, 2, 2), norm, nn.Tanh(), nn.Flatten(), nn.Linear(12, 1))
    net(samples(1, 3, 4))
    return of_module(net.eval(), samples(1, 3, 4))


def attention() -> Built:
    # Positions come before samples inside.
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), samples(3, 4)
    return [*layer.parameters()], lambda: layer(x, x, x)[0].sum(1)


def sequences() -> Built:
    layer, x = nn.GRU(2, 3, batch_first=True), samples(4, 2)
    return [*layer.parameters()], lambda: layer(x)[0][:, -1]


def positions_first() -> Built:
    layers, x = nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2, bias=False)), torch.randn(4, 5, 3)
    gain = parameter(2)
    return [*layers.parameters(), gain], lambda: (gain * layers(x)).tanh().sum(0)


def scaled() -> Built:
    gain, shift, nu, x = parameter(1, 3), parameter(3), parameter(), samples(2, 3)
    return [gain, shift, nu], lambda: nu * (gain * (x - shift)).tanh() + shift


def gained_channels() -> Built:
    gain, shift, x = parameter(2), parameter(2, 1, 1), samples(2, 3, 3)
    return [gain, shift], lambda: (gain.view(-1, 1, 1) * x - shift).tanh().sum((2, 3))


def by_hand() -> Built:
    one, two, bias, x = parameter(3, 4), parameter(2, 4), parameter(4), samples(3)
    return [one, two, bias], lambda: (x @ one + bias).tanh() @ two.T


def samples_as_columns() -> Built:
    one, two, x = parameter(4, 3), parameter(4, 2), samples(3)
    return [one, two], lambda: (two.mT @ (one @ x.T).tanh()).T


def linear_regression() -> Built:
    weights, x = parameter(3), samples(3)
    return [weights], lambda: x @ weights


def recurrent() -> Built:
    cell = nn.GRUCell(2, 3)
    x = samples(4, 2)

    def run() -> Tensor:
        state = torch.zeros(5, 3)
        for at in range(4):
            state = cell(x[:, at], state)
        return state

    return [*cell.parameters()], run


def vector_field() -> Built:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    # Column-major inputs: PyTorch then multiplies by the weight from the other side.
    points = torch.randn(3, 5).T

    def slopes() -> Tensor:
        x = points.clone().requires_grad_()
        [slope] = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        [second] = torch.autograd.grad(slope[:, 0].sum(), x, create_graph=True)
        return slope + second

    return [*net.parameters()], slopes


def curvature_of_images() -> Built:
    net = nn.Sequential(nn.Conv2d(1, 2, 2, padding=1), nn.Tanh(), nn.Conv2d(2, 1, 2, stride=2))
    images = samples(1, 3, 3)

    def second() -> Tensor:
        x = images.clone().requires_grad_()
        [slope] = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
        [found] = torch.autograd.grad(slope[..., 0, 0].sum(), x, create_graph=True)
        return found

    return [*net.parameters()], second


def checkpointed() -> Built:
    net, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), samples(3)
    return [*net.parameters()], lambda: checkpoint(net, x, use_reentrant=False)


def reparametrised() -> Built:
    size, rate, x = parameter(3), parameter(), samples(3)
    return [size, rate], lambda: x * size.exp() - (2 * softplus(rate)).pow(3) + size


def masked() -> Built:
    weights, x, mask = parameter(4, 3), samples(3), torch.rand(4, 3) < 0.5
    return [weights], lambda: linear(x, weights * mask).tanh()


def by_function_transforms() -> Built:
    net, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), samples(3)
    slope = torch.func.vmap(torch.func.jacrev(lambda one: net(one)[0]))
    return [*net.parameters()], lambda: slope(x)


WHOLE = (
    lookup,
    single_lookup,
    tied_lookup,
    layer_normed,
    layer_normed_positions,
    group_normed,
    root_mean_square_normed,
    frozen_batch_norm,
    attention,
    sequences,
    positions_first,
    scaled,
    gained_channels,
    by_hand,
    samples_as_columns,
    linear_regression,
    recurrent,
    vector_field,
    curvature_of_images,
    checkpointed,
    reparametrised,
    masked,
    by_function_transforms,
)


def grouped() -> Built:
    return of_module(nn.Sequential(nn.Conv1d(2, 2, 2, groups=2), nn.Tanh()), samples(2, 4))


def transposed() -> Built:
    return of_module(nn.Sequential(nn.ConvTranspose1d(2, 1, 2), nn.Tanh()), samples(2, 3))


def weight_normed() -> Built:
    return of_module(weight_norm(nn.Linear(3, 2)), samples(3))


def mixture() -> Built:
    shares, x = parameter(3), samples(3)
    return [shares], lambda: x * shares.softmax(0)


def batch_normed() -> Built:
    return of_module(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), samples(3))


def built(make: Callable[[], Built], dtype: torch.dtype) -> tuple[list[nn.Parameter], SumOfSquares]:
    before = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        parameters, residuals = make()
        sums = sum_of_squares(residuals().square().sum())
    finally:
        torch.set_default_dtype(before)
    assert isinstance(sums, SumOfSquares), sums
    return parameters, sums


def row_by_row(residual: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    rows = []
    for entry in residual.flatten():
        found = torch.autograd.grad(entry, parameters, retain_graph=True, allow_unused=True)
        pairs = zip(found, parameters, strict=True)
        rows.append(torch.cat([(0 * p if g is None else g).flatten() for g, p in pairs]))
    return torch.stack(rows).detach()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", WHOLE)
def test_one_pass_gives_the_rows_of_every_parameter(
    make: Callable[[], Built], dtype: torch.dtype
) -> None:
    parameters, sums = built(make, dtype)
    [term] = sums.terms
    uses = uses_in(term.residual, parameters)
    assert all(None not in of for of in uses.values())
    found = jacobian(sums, parameters, [uses])
    assert found.passes == term.residual[0].numel()
    precision = torch.finfo(dtype).eps
    expected = row_by_row(term.residual, parameters)
    torch.testing.assert_close(
        found.matrix, expected, rtol=1e3 * precision, atol=1e2 * precision * float(expected.norm())
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", WHOLE)
def test_rows_of_some_samples_add_up_to_the_normal_matrix(
    make: Callable[[], Built], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters, sums = built(make, dtype)
    [term] = sums.terms
    n = sum(p.numel() for p in parameters)
    # Rows of two residuals at once, and signals of one entry.
    monkeypatch.setattr(normal_matrix_module, "_CHUNK_ENTRIES", 2 * n)
    monkeypatch.setattr(normal_matrix_module, "_SIGNAL_NUMBERS", 1)
    slope = term.slope.reshape(-1, 1)
    found = normal_matrix(
        sums, parameters, [uses_in(term.residual, parameters)], slope, Workspace()
    )
    assert isinstance(found, NormalMatrix)
    assert found.chunks >= len(slope) / 2
    assert found.passes == term.residual[0].numel()
    rows = row_by_row(term.residual, parameters)
    near = partial(torch.testing.assert_close, rtol=1e3 * torch.finfo(dtype).eps)
    size = 1e2 * torch.finfo(dtype).eps * float(rows.norm())
    near(found.matrix, 2 * rows.mT @ rows, atol=size * float(rows.norm()))
    near(found.products, rows.mT @ slope, atol=size * float(slope.norm()))
    assert torch.equal(found.matrix, found.matrix.mT)


@pytest.mark.parametrize("make", [grouped, transposed, weight_normed, mixture, batch_normed])
def test_what_is_used_in_another_way_is_differentiated(make: Callable[[], Built]) -> None:
    parameters, sums = built(make, torch.float64)
    [term] = sums.terms
    uses = uses_in(term.residual, parameters)
    assert any(None in of for of in uses.values())
    unknown = {key: [None] * len(of) for key, of in uses.items()}
    found = jacobian(sums, parameters, [unknown if make is batch_normed else uses])
    torch.testing.assert_close(found.matrix, row_by_row(term.residual, parameters))


def test_points_on_a_grid_are_samples_of_their_own() -> None:
    net, points = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), torch.rand(20, 2)
    sums = sum_of_squares((net(points).view(4, 5) - 1).square().mean())
    assert isinstance(sums, SumOfSquares)
    parameters, [term] = [*net.parameters()], sums.terms
    assert term.residual.shape == (4, 5)
    found = jacobian(sums, parameters, [uses_in(term.residual, parameters)])
    assert found.passes == 1
    torch.testing.assert_close(found.matrix, row_by_row(term.residual, parameters))


def test_a_residual_that_is_a_parameter_itself_is_no_known_use() -> None:
    weights = parameter(3, 2)
    assert uses_in(weights.flatten(), [weights])[id(weights)] == [None]
    assert uses_in(2 * weights.mT, [weights])[id(weights)] == [None]


def test_a_long_chain_of_maps_is_followed() -> None:
    start, x = parameter(), samples()
    image: Tensor = start
    for _ in range(3000):
        image = image * 0.999
    [use] = uses_in(x * image, [start])[id(start)]
    assert use is not None
    rows = use.sides(torch.ones(1, 5), slice(None)).rows()
    torch.testing.assert_close(rows.flatten(), x * 0.999**3000)


def test_a_parameter_that_is_not_reached_has_no_use() -> None:
    one, other = parameter(3), parameter(3)
    assert uses_in((2 * one).exp(), [one, other])[id(other)] == []


def test_what_was_changed_in_place_is_not_read() -> None:
    weights, x = parameter(3, 2), samples(3)
    result = x @ weights
    [use] = uses_in(result, [weights])[id(weights)]
    assert use is not None
    x.add_(1.0)
    with pytest.raises(Gone):
        use.sides(torch.ones(1, 5, 2), slice(None))


def test_what_was_freed_is_not_read() -> None:
    weights = parameter(3, 2)
    result = samples(3) @ weights
    [use] = uses_in(result, [weights])[id(weights)]
    assert use is not None
    result.sum().backward()
    with pytest.raises(Gone):
        use.sides(torch.ones(1, 5, 2), slice(None))


def test_rows_of_what_is_gone_are_differentiated_one_by_one() -> None:
    weights, shift, x = parameter(3, 2), parameter(2), samples(3)
    residual = x @ weights + shift
    sums = sum_of_squares(residual.square().sum())
    assert isinstance(sums, SumOfSquares)
    uses = uses_in(residual, [weights, shift])
    expected = row_by_row(residual, [weights, shift])
    [use] = uses[id(weights)]
    assert use is not None

    def gone(signal: Tensor, at: Rows) -> Sides:
        raise Gone

    found = jacobian(sums, [weights, shift], [{**uses, id(weights): [replace(use, sides=gone)]}])
    assert found.passes > 1
    torch.testing.assert_close(found.matrix, expected)
