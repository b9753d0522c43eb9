"""Gauss-Newton by every route equals Jᵀ (∂²L/∂f²) J by torch.func, in float64 to rounding."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import Kind, systems
from qnewton.operators import LowRankOperator
from tests.cases import draw, labels, mlp
from tests.curvature.blocks_of_ggn import Loss, Pooled, check, softmax
from tests.oracles import gauss_newton

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


def squares(targets: Tensor) -> Loss:
    return lambda f: (f - targets).square().mean()


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
    """The loss is convex, the path from the layer to the output piecewise linear."""
    net, x, y = mlp((4, 3, 3, 2), activation), draw(20, 4), labels(20, classes=2)

    def blocks(kind: Kind):
        return systems(net, lambda: cross_entropy(net(x), y), kind=kind, blocks="layer")

    for exact, approximate in zip(blocks("hessian"), blocks("ggn"), strict=True):
        torch.testing.assert_close(exact.operator.dense(), approximate.operator.dense())
        assert torch.linalg.eigvalsh(approximate.operator.dense())[0] > -1e-12


def test_the_step_in_sample_space():
    """(G + λI)⁻¹g = Jᵀ(nλI + H J Jᵀ)⁻¹r, and Woodbury with the Gram matrix."""
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
