from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from qnewton.curvature import Curvature, systems
from qnewton.curvature import entries as products_module
from tests.cases import classification, mlp
from tests.oracles import func_hessian

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

# Both sides are sums of n·N products in float64; 1e-10 of the largest entry leaves room for the
# order of summation and nothing else.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}


def assert_equal_hessian(found, expected):
    scale = float(expected.abs().max())
    assert float((found - expected).abs().max()) <= TOLERANCE[found.dtype] * scale
    assert torch.equal(found, found.mT)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        # Registered out of the order they run in, one without bias, one beside another.
        self.last = nn.Linear(3, 2)
        self.first = nn.Linear(4, 3, bias=False)
        self.beside = nn.Linear(4, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.last(h + torch.nn.functional.gelu(self.beside(x)) * h)


def cross_entropy(x, y, reduction="mean"):
    return lambda forward: nn.functional.cross_entropy(forward(x), y, reduction=reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "activation", [nn.ReLU, lambda: nn.ReLU(inplace=True), nn.Tanh, nn.GELU, nn.Identity]
)
def test_equals_torch_func(activation, bias, reduction):
    net = mlp((5, 4, 3, 3), activation, bias)
    loss = cross_entropy(*classification(11, 5, 3), reduction=reduction)
    expected = func_hessian(net, loss)
    [system] = systems(net, lambda: loss(net), blocks="full")
    assert system.curvature is not None
    assert system.curvature.route == "closed-form"
    assert_equal_hessian(system.operator.dense(), expected)


@pytest.mark.parametrize("blocks", ["layer", "tensor"])
def test_blocks_are_the_diagonal_of_the_whole(blocks):
    net = mlp((5, 4, 3), nn.Tanh)
    loss = cross_entropy(*classification(9, 5, 3))
    expected, start = func_hessian(net, loss), 0
    for system in systems(net, lambda: loss(net), blocks=blocks):
        inside = slice(start, start + system.n)
        assert_equal_hessian(system.operator.dense(), expected[inside, inside])
        assert system.curvature is not None
        assert system.curvature.route == "closed-form"
        start += system.n
    assert start == expected.shape[0]


@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_branches_and_any_order_of_registration(blocks):
    torch.manual_seed(0)
    net = Residual().double()
    loss = cross_entropy(*classification(7, 4, 2))
    expected, start = func_hessian(net, loss), 0
    for system in systems(net, lambda: loss(net), blocks=blocks):
        inside = slice(start, start + system.n)
        assert_equal_hessian(system.operator.dense(), expected[inside, inside])
        assert system.curvature is not None
        assert system.curvature.route == "closed-form"
        start += system.n


@pytest.mark.parametrize("frozen", ["0.weight", "0.bias", "2.weight", "2.bias"])
def test_frozen_parameters_have_no_rows(frozen):
    net = mlp((4, 3, 3, 2), nn.Tanh)
    net.get_parameter(frozen).requires_grad_(False)
    loss = cross_entropy(*classification(7, 4, 2))
    [system] = systems(net, lambda: loss(net), blocks="full")
    assert system.curvature is not None
    assert system.curvature.route == "closed-form"
    assert_equal_hessian(system.operator.dense(), func_hessian(net, loss))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wide_layers_and_small_workspaces(monkeypatch, activation, dtype):
    # Small limits send a small network down every path that a large one takes.
    monkeypatch.setattr(products_module, "_WIDE", 7)
    monkeypatch.setattr(products_module, "_PANEL", 3)
    monkeypatch.setattr("qnewton.curvature.layered.WORKSPACE_ENTRIES", 100)
    monkeypatch.setattr("qnewton.curvature.layers._BATCH_ENTRIES", 300)
    net = mlp((8, 5, 4, 3), activation)
    x, y = classification(20, 8, 3)
    expected = func_hessian(net, cross_entropy(x, y)).to(dtype)
    net.to(dtype)
    loss = cross_entropy(x.to(dtype), y)
    [system] = systems(net, lambda: loss(net), blocks="full")
    assert_equal_hessian(system.operator.dense(), expected)


def test_a_really_wide_layer_agrees_with_double_backward():
    net = mlp((260, 2, 2), nn.ReLU)
    loss = cross_entropy(*classification(40, 260, 2))
    [system] = systems(net, lambda: loss(net), blocks="full")
    assert system.curvature is not None
    assert system.curvature.route == "closed-form"
    [reference] = systems(list(net.parameters()), lambda: loss(net), blocks="full")
    assert reference.curvature is not None
    assert reference.curvature.route == "generic"
    assert_equal_hessian(system.operator.dense(), reference.operator.dense())


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    samples=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
@example(sizes=[5, 24, 20, 3], samples=2, seed=0)  # multiplied otherwise than narrow ones
def test_products_and_entries_agree_with_double_backward(sizes, samples, seed):
    generator = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        modules += [nn.Linear(inputs, outputs, dtype=torch.float64), nn.Softplus()]
    net = nn.Sequential(*modules)
    x = torch.randn(samples, sizes[0], generator=generator, dtype=torch.float64)

    def loss():
        return net(x).square().mean()

    [system] = systems(net, loss, blocks="full")
    [reference] = systems(list(net.parameters()), loss, blocks="full")
    vectors = torch.randn(system.n, 2, generator=generator, dtype=torch.float64)
    expected = reference.operator.dense()
    torch.testing.assert_close(system.operator @ vectors, expected @ vectors)
    torch.testing.assert_close(system.operator @ vectors[:, 0], expected @ vectors[:, 0])
    torch.testing.assert_close(system.operator.dense(), expected)
    torch.testing.assert_close(system.operator @ vectors, expected @ vectors)


def test_float32_stays_float32_and_bitwise_symmetric():
    net = mlp((20, 8, 5), nn.GELU, dtype=torch.float32)
    loss = cross_entropy(*classification(50, 20, 5, dtype=torch.float32))
    [system] = systems(net, lambda: loss(net), blocks="full")
    matrix = system.operator.dense()
    assert matrix.dtype == system.operator.dtype == torch.float32
    assert torch.equal(matrix, matrix.mT)
    assert system.operator.dense() is matrix


def test_a_loss_linear_in_the_output_keeps_only_what_activations_bend():
    x, _ = classification(6, 4, 2)
    net = mlp((4, 3, 2), nn.Tanh)
    [system] = systems(net, lambda: net(x).sum(), blocks="full")
    assert_equal_hessian(system.operator.dense(), func_hessian(net, lambda f: f(x).sum()))


def test_dead_units_give_a_zero_block():
    net = mlp((4, 3, 2), nn.ReLU)
    with torch.no_grad():
        net[0].bias.fill_(-100.0)
    loss = cross_entropy(*classification(6, 4, 2))
    first, last = systems(net, lambda: loss(net), blocks="layer")
    assert not first.operator.dense().any()
    assert first.curvature is not None
    assert first.curvature.route == "closed-form"
    assert last.operator.dense().any()


def test_forming_one_block_forms_no_other():
    net = mlp((6, 5, 4), nn.Tanh)
    loss = cross_entropy(*classification(6, 6, 4))
    first, last = systems(net, lambda: loss(net), blocks="layer")
    assert first.operator.dense().shape == (35, 35)
    assert last.operator._entries is None  # type: ignore[attr-defined]


def test_the_record_says_what_forming_costs():
    net = mlp((6, 5, 4), nn.Tanh)
    loss = cross_entropy(*classification(10, 6, 4))
    curvature = Curvature(net, blocks="layer")
    [first, last] = curvature.systems(curvature.evaluate(lambda: loss(net)))
    assert first.curvature is not None
    assert last.curvature is not None
    # Pairs of units, each a product of [in × n] with [n × in]; and the sum for the bias.
    own = [2 * 10 * 6**2 * 15 + 10 * 5**2, 2 * 10 * 5**2 * 10 + 10 * 4**2]
    assert [first.curvature.forming_flops, last.curvature.forming_flops] == own
    assert (first.curvature.kind, first.curvature.batch) == ("hessian", 10)
    [whole] = systems(net, lambda: loss(net), blocks="full")
    assert whole.curvature is not None
    cross = 2 * 10 * (6 * 5) * (5 * 4)
    assert whole.curvature.forming_flops == sum(own) + cross
