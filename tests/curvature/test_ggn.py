"""Gauss-Newton by every route equals Jᵀ (∂²L/∂f²) J by torch.func, in float64 to rounding."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import Kind, systems
from qnewton.operators import LowRankOperator
from tests.cases import draw, labels, mlp
from tests.oracles import gauss_newton

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

Loss = Callable[[Tensor], Tensor]


def check(
    model: nn.Module,
    loss: Loss,
    *inputs: Tensor,
    routes: set[str],
    blocks: str = "full",
    reason: str = "",
) -> None:
    """Compare every block, its entries and its products, with the oracle."""
    expected, start, found_routes = gauss_newton(model, loss, *inputs), 0, set()
    scale = float(expected.abs().max())
    for system in systems(model, lambda: loss(model(*inputs)), kind="ggn", blocks=blocks):  # type: ignore[arg-type]
        inside = slice(start, start + system.n)
        matrix = system.operator.dense()
        assert float((matrix - expected[inside, inside]).abs().max()) <= 1e-10 * scale
        assert torch.equal(matrix, matrix.mT)
        vectors = torch.linspace(-1, 1, 2 * system.n, dtype=matrix.dtype).view(-1, 2)
        assert_close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10 * scale)
        assert_close(system.operator @ vectors, matrix @ vectors)
        assert_close(system.operator @ vectors[:, 0], matrix @ vectors[:, 0])
        record = system.curvature
        assert record is not None
        assert record.kind == "ggn"
        assert reason in record.reason
        found_routes.add(record.route)
        start += system.n
    assert start == expected.shape[0]
    assert found_routes == routes


def squares(targets: Tensor) -> Loss:
    return lambda f: (f - targets).square().mean()


def softmax(targets: Tensor, reduction: str = "mean") -> Loss:
    return lambda f: cross_entropy(f, targets, reduction=reduction)


@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
@pytest.mark.parametrize("activation", [nn.ReLU, lambda: nn.ReLU(inplace=True), nn.Tanh])
@pytest.mark.parametrize("samples", [2, 30])
def test_networks_of_linear_layers(activation, blocks, samples):
    net = mlp((5, 4, 3, 3), activation)
    x, y = draw(samples, 5), labels(samples)
    if samples == 30:
        routes = {"closed-form"}
    else:  # 2 samples of rank 2 against as few as 3 parameters
        routes = {"sample-space"} if blocks != "tensor" else {"sample-space", "closed-form"}
    check(net, softmax(y), x, blocks=blocks, routes=routes)
    check(net, softmax(y, "sum"), x, blocks=blocks, routes=routes)


@pytest.mark.parametrize("samples", [2, 20])
def test_squared_error_without_biases_and_with_a_branch(samples):
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(3, 2), nn.Linear(4, 3, bias=False)
            self.beside = nn.Linear(4, 3)

        def forward(self, x):
            h = torch.tanh(self.first(x))
            return self.last(h + torch.sigmoid(self.beside(x)) * h)

    torch.manual_seed(0)
    routes = {"sample-space"} if samples == 2 else {"closed-form"}
    check(Branch().double(), squares(draw(samples, 2)), draw(samples, 4), routes=routes)


@pytest.mark.parametrize("samples", [2, 80])
@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_convolutions(samples, blocks):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, stride=2, dilation=1),
        nn.Tanh(),
        nn.Unflatten(2, (3, 1)),
        nn.Flatten(2),
        nn.Conv1d(3, 2, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(18, 3),
    ).double()
    many = {"jacobian"} if blocks == "full" else {"jacobian", "closed-form"}
    routes = {"sample-space"} if samples == 2 else many
    check(net, softmax(labels(samples)), draw(samples, 2, 6, 5), routes=routes, blocks=blocks)


def test_layers_that_are_no_products_take_a_pass_a_column_or_a_product():
    torch.manual_seed(0)

    def net():
        return nn.Sequential(
            nn.Embedding(6, 4), nn.LayerNorm(4), nn.Flatten(), nn.Linear(8, 3)
        ).double()

    few, many = labels(3, 2, classes=6), labels(40, 2, classes=6)
    check(net(), softmax(labels(3)), few, routes={"sample-space"})
    reason = "0.weight is not used by linear or convolution layers alone"
    check(net(), softmax(labels(40)), many, routes={"generic"}, reason=reason)


def test_batch_norm_in_evaluation():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 3))
    net = net.double().eval()
    check(net, softmax(labels(20)), draw(20, 4), routes={"generic"}, reason="1.weight is not")
    routes = {"closed-form", "generic"}
    check(net, softmax(labels(20)), draw(20, 4), routes=routes, blocks="layer")


class Normalise(nn.Module):
    def forward(self, h):
        return (h - h.mean(0)) / h.std(0)


@pytest.mark.parametrize("samples", [3, 20])
def test_samples_that_interact_in_the_network(samples):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), Normalise(), nn.Tanh(), nn.Linear(3, 3)).double()
    loss, x = softmax(labels(samples)), draw(samples, 4)
    check(net, loss, x, routes={"generic"}, reason="is off by")
    # The layer after the normalisation sees every sample for itself.
    after = "closed-form" if samples == 20 else "sample-space"
    check(net, loss, x, routes={"generic", after}, blocks="layer")


def test_samples_that_interact_in_the_loss():
    net, x = mlp((4, 3, 2), nn.Tanh), draw(6, 4)
    target = torch.arange(6).roll(1)
    reason = "samples or positions interact in the loss"
    loss = lambda f: cross_entropy(f @ f.mT, target)  # noqa: E731
    check(net, loss, x, routes={"generic"}, reason=reason)


@pytest.mark.parametrize("samples", [2, 20])
def test_losses_that_are_not_convex_in_the_output(samples):
    def loss(f):
        return (f.square() - 1).square().mean()

    net, reason = mlp((4, 3, 2), nn.Tanh), "negative eigenvalues, so it has no factor"
    check(net, loss, draw(samples, 4), routes={"closed-form"}, reason=reason)
    [system] = systems(net, lambda: loss(net(draw(samples, 4))), kind="ggn", blocks="full")
    assert torch.linalg.eigvalsh(system.operator.dense())[0] < -1e-3
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4, 2)).double()
    check(conv, loss, draw(samples, 1, 4), routes={"generic"}, reason=reason)


@pytest.mark.parametrize("samples", [2, 8])
def test_tokens_that_a_network_treats_one_by_one_are_samples_of_their_own(samples):
    net, targets = mlp((4, 5, 3), nn.Tanh), labels(samples, 3)
    routes = {"sample-space"} if samples == 2 else {"closed-form"}
    check(net, lambda f: cross_entropy(f.mT, targets), draw(samples, 3, 4), routes=routes)


class Mixing(nn.Module):
    """Tokens attend to each other, by products written out (they differentiate twice)."""

    def __init__(self):
        super().__init__()
        self.key, self.value, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        weights = (x @ self.key(x).mT).softmax(-1)
        return self.head(torch.tanh(weights @ self.value(x)))


@pytest.mark.parametrize("samples", [2, 20])
@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_tokens_that_attend_to_each_other(samples, blocks):
    torch.manual_seed(0)
    net, targets = Mixing().double(), labels(samples, 2)
    if samples == 2:
        routes = {"sample-space"}
    else:
        # The head treats tokens one by one; keys and values reach other tokens' outputs.
        routes = {"jacobian"} if blocks == "full" else {"jacobian", "closed-form"}
    check(
        net,
        lambda f: cross_entropy(f.mT, targets),
        draw(samples, 2, 4),
        routes=routes,
        blocks=blocks,
    )


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.head = nn.Linear(4, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.token(x)).mean(1))


@pytest.mark.parametrize("samples", [2, 20])
def test_pooled_sequences(samples):
    torch.manual_seed(0)
    routes = {"sample-space"} if samples == 2 else {"jacobian"}
    check(Pooled().double(), softmax(labels(samples)), draw(samples, 5, 4), routes=routes)


def test_the_classes_of_images_are_their_second_dimension():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 2), nn.Tanh(), nn.Conv2d(4, 3, 1)).double()
    check(net, softmax(labels(1, 2, 2)), draw(1, 1, 3, 3), routes={"sample-space"})
    check(net, softmax(labels(5, 2, 2)), draw(5, 1, 3, 3), routes={"jacobian"})


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(3, 3), nn.Linear(3, 3)
        self.decode.weight = self.encode.weight

    def forward(self, x):
        return self.decode(torch.tanh(self.encode(x)))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(torch.tanh(self.layer(x)))


@pytest.mark.parametrize("network", [Tied, Twice])
@pytest.mark.parametrize("samples", [2, 20])
def test_weights_used_twice_add_up(network, samples):
    torch.manual_seed(0)
    routes = {"sample-space"} if samples == 2 else {"jacobian"}
    check(network().double(), softmax(labels(samples)), draw(samples, 3), routes=routes)


def test_a_weight_used_outside_its_layer():
    class Outside(nn.Linear):
        pass

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), Outside(3, 3)

        def forward(self, x):
            return self.b(torch.tanh(self.a(x))) @ self.a.weight

    torch.manual_seed(0)
    check(Net().double(), softmax(labels(20)), draw(20, 3), routes={"generic"}, reason="a.weight")
    check(Net().double(), softmax(labels(2)), draw(2, 3), routes={"sample-space"})


@pytest.mark.parametrize("shape", [(6,), (), (6, 1)])
def test_one_number_a_sample_or_one_in_all(shape):
    net = mlp((4, 3, 1), nn.Tanh)

    class Shaped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x).mean() if shape == () else self.net(x).view(shape)

    check(Shaped(), lambda f: f.exp().sum(), draw(6, 4), routes={"sample-space"})


def test_a_loss_linear_in_the_output_has_no_gauss_newton_matrix():
    check(mlp((4, 3, 2), nn.Tanh), lambda f: f.sum(), draw(6, 4), routes={"sample-space"})


def test_layers_that_did_not_run_and_frozen_ones():
    used = mlp((3, 2, 2))
    net = nn.ModuleDict({"used": used, "idle": nn.Linear(2, 2).double()})
    net.forward = lambda x: used(x)  # type: ignore[method-assign]
    used[0].weight.requires_grad_(False)
    found = systems(net, lambda: net(draw(5, 3)).square().mean(), kind="ggn")
    assert [system.name for system in found] == ["used.0", "used.2", "idle"]
    assert found[0].operator.dense().any()
    assert not found[2].operator.dense().any()


def test_what_the_loss_does_with_parameters_itself_is_left_out_and_said():
    net, x, y = mlp((4, 3, 3), nn.Tanh), draw(20, 4), labels(20)

    def decayed():
        return cross_entropy(net(x), y) + 0.1 * net[0].weight.square().sum()

    [system] = systems(net, decayed, kind="ggn", blocks="full")
    assert system.curvature is not None
    assert system.curvature.route == "closed-form"
    assert "left out: how the loss itself depends on 0.weight" in system.curvature.reason
    expected = gauss_newton(net, softmax(y), x)
    assert (system.operator.dense() - expected).abs().max() <= 1e-12


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.Identity])
def test_equals_the_hessian_of_a_layer_behind_a_piecewise_linear_path(activation):
    """FORMULAS 3: the loss convex, the path from the layer to the output piecewise linear."""
    net, x, y = mlp((4, 3, 3, 2), activation), draw(20, 4), labels(20, classes=2)

    def blocks(kind: Kind):
        return systems(net, lambda: cross_entropy(net(x), y), kind=kind, blocks="layer")

    for exact, approximate in zip(blocks("hessian"), blocks("ggn"), strict=True):
        torch.testing.assert_close(exact.operator.dense(), approximate.operator.dense())
        assert torch.linalg.eigvalsh(approximate.operator.dense())[0] > -1e-12


def test_the_step_in_sample_space():
    """FORMULAS 3: (G + λI)⁻¹g = Jᵀ(nλI + H J Jᵀ)⁻¹r, and Woodbury with the Gram matrix."""
    n, damping = 3, 0.1
    net, x, y = mlp((6, 8, 3), nn.Tanh), draw(n, 6), labels(n)
    [system] = systems(net, lambda: cross_entropy(net(x), y), kind="ggn", blocks="full")
    operator = system.operator
    assert isinstance(operator, LowRankOperator)
    assert operator.rank == n * (3 - 1)  # softmax leaves one direction of its three flat
    g = -system.rhs
    dense = operator.dense() + damping * torch.eye(system.n, dtype=torch.float64)
    expected = torch.linalg.solve(dense, g)
    small = operator.factor.gram() + damping * torch.eye(operator.rank, dtype=torch.float64)
    inner = torch.linalg.solve(small, operator.factor.project(g))
    torch.testing.assert_close((g - operator.factor @ inner) / damping, expected)

    values = dict(net.named_parameters())
    found = torch.func.jacrev(lambda v: torch.func.functional_call(net, v, (x,)))(values)
    jacobian = torch.cat([part.reshape(n * 3, -1) for part in found.values()], 1).detach()
    p = net(x).detach().softmax(1)
    hessian = torch.block_diag(*(torch.diag(row) - torch.outer(row, row) for row in p))
    residual = (p - nn.functional.one_hot(y, 3)).flatten()
    inner = n * damping * torch.eye(n * 3, dtype=torch.float64) + hessian @ jacobian @ jacobian.mT
    torch.testing.assert_close(jacobian.mT @ torch.linalg.solve(inner, residual), expected)


@pytest.mark.parametrize("samples", [3, 60])
def test_float32_stays_float32_and_close_to_float64(samples):
    net, x, y = mlp((6, 5, 4), nn.Tanh), draw(samples, 6), labels(samples, classes=4)
    expected = gauss_newton(net, softmax(y), x)
    net.float()
    [system] = systems(net, lambda: cross_entropy(net(x.float()), y), kind="ggn", blocks="full")
    matrix = system.operator.dense()
    assert matrix.dtype == system.operator.dtype == torch.float32
    # A few thousand sums in float32.
    assert (matrix - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_bfloat16_autocast_comes_out_right():
    net, x, y = mlp((4, 6, 3), nn.Tanh, dtype=torch.float32), draw(64, 4).float(), labels(64)

    def closure():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return cross_entropy(net(x).float(), y)

    [system] = systems(net, closure, kind="ggn", blocks="full")
    [exact] = systems(net, lambda: cross_entropy(net(x), y), kind="ggn", blocks="full")
    matrix, expected = system.operator.dense(), exact.operator.dense()
    assert matrix.dtype == torch.float32
    # bfloat16 keeps 8 bits; the curvature is a sum of products of a few such numbers.
    assert (matrix - expected).norm() <= 0.05 * expected.norm()


class FlatSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # type: ignore[override]
        return gradients[0] * (ctx.saved_tensors[0] > 0)


def test_a_network_that_differentiates_once_has_a_factor_but_no_products():
    first, last = mlp((4, 3)), mlp((3, 3))
    net = nn.Sequential(first, last)
    net.forward = lambda x: last(FlatSlope.apply(first(x)))  # type: ignore[method-assign]
    reference = mlp((4, 3, 3))
    reference.load_state_dict(
        dict(zip(reference.state_dict(), net.state_dict().values(), strict=True))
    )
    x, y = draw(2, 4), labels(2)
    [system] = systems(net, lambda: cross_entropy(net(x), y), kind="ggn", blocks="full")
    torch.testing.assert_close(system.operator.dense(), gauss_newton(reference, softmax(y), x))
    x, y = draw(30, 4), labels(30)
    with pytest.raises(ValueError, match="cannot be differentiated twice"):
        systems(net, lambda: cross_entropy(net(x), y), kind="ggn", blocks="full")


def test_limits_of_memory_lead_to_products(monkeypatch):
    net, x, y = mlp((4, 3, 2), nn.Tanh), draw(6, 4), labels(6, classes=2)
    monkeypatch.setattr("qnewton.curvature.columns._MAX_ENTRIES", 10)
    check(net, softmax(y), x, routes={"generic"}, reason="limit 10")
    monkeypatch.setattr("qnewton.curvature.output_loss._MAX_SECOND", 10)
    check(net, softmax(y), x, routes={"generic"}, reason="of all samples needs 24 entries")


def test_the_record_prices_every_route():
    net = mlp((6, 5, 4), nn.Tanh)

    def record(samples: int):
        loss = softmax(labels(samples, classes=4))
        x = draw(samples, 6)
        [system] = systems(net, lambda: loss(net(x)), kind="ggn", blocks="full")
        assert system.curvature is not None
        return system.curvature

    few, many = record(3), record(40)
    assert (few.batch, many.batch) == (3, 40)
    # As the Hessian's closed form: own blocks by pairs of units, and the block between layers.
    # Low-rank ones form their entries by it, too.
    own = [2 * 6**2 * 15 + 5**2, 2 * 5**2 * 10 + 4**2]
    assert few.forming_flops == 3 * (sum(own) + 2 * 30 * 20)
    assert many.forming_flops == 40 * (sum(own) + 2 * 30 * 20)
    pooled, x = Pooled().double(), draw(2, 5, 4)
    [system] = systems(pooled, lambda: softmax(labels(2))(pooled(x)), kind="ggn", blocks="full")
    assert system.curvature is not None
    assert system.curvature.forming_flops == 27**2 * 4
