"""The empirical Fisher equals a loop over single samples, in float64 to rounding."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import Curvature, systems
from qnewton.operators import KhatriRaoFactor, LowRankOperator
from tests.cases import OnceRelu, draw, labels, mlp
from tests.oracles import sample_gradients

# Sums of at most some hundred products of numbers near one, in float64.
assert_exact = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-12)

SampleLoss = Callable[[Tensor, int], Tensor]


def check(
    model: nn.Module,
    loss: SampleLoss,
    inputs: Tensor,
    routes: set[str],
    blocks: str = "full",
    reason: str = "",
) -> None:
    """Compare every block's factor, Gram matrix, products and entries with the loop."""

    def mean():
        outputs = model(inputs)
        return torch.stack([loss(outputs[i : i + 1], i) for i in range(len(inputs))]).mean()

    columns, start, found_routes = sample_gradients(model, loss, inputs), 0, set()
    for system in systems(model, mean, kind="fisher", blocks=blocks):  # type: ignore[arg-type]
        expected = columns[start : start + system.n]
        operator, record = system.operator, system.curvature
        assert isinstance(operator, LowRankOperator)
        x = torch.linspace(-1, 1, 2 * system.n, dtype=columns.dtype).view(-1, 2)
        y = torch.linspace(-1, 1, 2 * len(inputs), dtype=columns.dtype).view(-1, 2)
        factor = operator.factor
        assert_exact(factor.dense(), expected)
        assert_exact(factor.columns(1, 2), expected[:, 1:2])
        assert_exact(factor @ y, expected @ y)
        assert_exact(factor.project(x), expected.mT @ x)
        assert_exact(factor.gram(), expected.mT @ expected)
        assert_exact(factor.row_squares(), expected.square().sum(1))
        assert_exact(operator.dense(), expected @ expected.mT)
        assert_exact(-system.rhs, expected.sum(1) / math.sqrt(len(inputs)))
        assert record is not None
        assert (record.kind, record.batch) == ("fisher", len(inputs))
        assert record.forming_flops is not None
        assert reason in record.reason
        found_routes.add(record.route)
        start += system.n
    assert start == columns.shape[0]
    assert found_routes == routes


def softmax(targets: Tensor) -> SampleLoss:
    return lambda f, i: cross_entropy(f, targets[i : i + 1])


@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
@pytest.mark.parametrize("activation", [nn.ReLU, lambda: nn.ReLU(inplace=True), nn.Tanh])
@pytest.mark.parametrize("samples", [2, 30])
def test_networks_of_linear_layers(activation, blocks, samples):
    net = mlp((5, 4, 3, 3), activation)
    check(net, softmax(labels(samples)), draw(samples, 5), {"sample-space"}, blocks)


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.head = nn.Linear(4, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.token(x)).mean(1))


@pytest.mark.parametrize("blocks", ["full", "tensor"])
def test_positions_of_a_sequence_add_up(blocks):
    torch.manual_seed(0)
    net = Pooled().double()
    check(net, softmax(labels(6)), draw(6, 5, 4), {"sample-space"}, blocks)


@pytest.mark.parametrize("shape", [(6, 3, 4), (6, 2, 2, 4)])
def test_a_sample_of_tokens_is_the_sequence(shape):
    net, targets = mlp((4, 5, 3), nn.Tanh), labels(*shape[:-1])

    def loss(f, i):
        return cross_entropy(f.movedim(-1, 1), targets[i : i + 1])

    check(net, loss, draw(*shape), {"sample-space"})


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("blocks", ["full", "tensor"])
def test_convolutions(bias, blocks):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, (3, 2), padding=(1, 0), stride=(2, 1), dilation=(1, 2), bias=bias),
        nn.Tanh(),
        nn.Flatten(2),
        nn.Conv1d(3, 2, 3, padding=2, stride=2, dilation=2, bias=bias),
        nn.Flatten(),
        nn.LazyLinear(3),
    ).double()
    x = draw(7, 2, 6, 5)
    net(x)
    check(net, softmax(labels(7)), x, {"sample-space"}, blocks)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv1d(2, 4, 3, groups=2),
        nn.Conv1d(2, 4, 3, padding=1, padding_mode="circular"),
        nn.ConvTranspose1d(2, 4, 3),
    ],
    ids=["groups", "circular", "transposed"],
)
def test_other_convolutions_take_a_pass_a_sample(convolution):
    net = nn.Sequential(convolution, nn.Tanh(), nn.Flatten(), nn.LazyLinear(3)).double()
    x = draw(7, 2, 6)
    net(x)
    reason = "0.weight is not used by linear or convolution layers alone"
    check(net, softmax(labels(7)), x, {"generic"}, reason=reason)


def test_other_parameters_take_a_pass_a_sample():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Embedding(6, 4), nn.LayerNorm(4), nn.Flatten(), nn.Linear(8, 3), nn.BatchNorm1d(3)
    )
    net = net.double().eval()
    tokens = labels(40, 2, classes=6)  # more samples than one batch of passes
    check(net, softmax(labels(40)), tokens, {"generic"}, reason="0.weight is not used")
    check(net, softmax(labels(40)), tokens, {"generic", "sample-space"}, "layer")


def test_samples_that_interact_in_the_network_take_a_pass_each():
    """Batch normalisation: the gradient of sample i's loss, through everybody's statistics."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3, track_running_stats=False)
    net = nn.Sequential(nn.Linear(4, 3), norm, nn.Tanh(), nn.Linear(3, 3)).double()
    x, y = draw(6, 4), labels(6)
    found = systems(net, lambda: cross_entropy(net(x), y), kind="fisher", blocks="layer")
    routes = [s.curvature.route for s in found if s.curvature is not None]
    assert routes == ["generic", "generic", "sample-space"]
    start, parameters = 0, list(net.parameters())
    losses = cross_entropy(net(x), y, reduction="none")
    rows = [torch.autograd.grad(value, parameters, retain_graph=True) for value in losses]
    columns = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows], 1)
    for system in found:
        part = columns[start : start + system.n] / math.sqrt(6)
        torch.testing.assert_close(system.operator.dense(), part @ part.mT)
        start += system.n


def test_samples_that_interact_in_the_loss_have_no_gradients_of_their_own():
    net, x = mlp((4, 3, 2), nn.Tanh), draw(6, 4)

    def pairs():
        left, right = net(x).chunk(2)
        return ((left - right) ** 2).sum(1).mean()

    with pytest.raises(ValueError, match=r"interact in the loss.*use kind='ggn'"):
        systems(net, pairs, kind="fisher")


@pytest.mark.parametrize("tied", [True, False])
def test_weights_used_twice_add_up(tied):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(3, 3), nn.Linear(3, 3)
            self.decode.weight = self.encode.weight

        def forward(self, x):
            last = self.decode if tied else self.encode
            return last(torch.tanh(self.encode(x)))

    torch.manual_seed(0)
    check(Net().double(), softmax(labels(6)), draw(6, 3), {"sample-space"})


def test_one_number_a_sample():
    net = mlp((4, 3, 1), nn.Tanh)
    model = nn.Sequential(net, nn.Flatten(0))
    check(model, lambda f, i: (f - i).square().sum(), draw(6, 4), {"sample-space"})


def test_a_sum_of_losses_scales_like_its_curvature():
    net, x, y = mlp((4, 3, 3), nn.Tanh), draw(6, 4), labels(6)

    def fisher(reduction):
        curvature = Curvature(net, "fisher", "full", reduction)
        evaluation = curvature.evaluate(lambda: cross_entropy(net(x), y, reduction=reduction))
        [system] = curvature.systems(evaluation)
        return system

    mean, total = fisher("mean"), fisher("sum")
    torch.testing.assert_close(total.operator.dense(), 6 * mean.operator.dense())
    torch.testing.assert_close(total.rhs, 6 * mean.rhs)
    with pytest.raises(ValueError, match="reduction='max' is unknown"):
        Curvature(net, "fisher", reduction="max")  # type: ignore[arg-type]


def test_the_right_hand_side_is_the_gradient_the_closure_left():
    net, x, y = mlp((4, 3, 3), nn.Tanh), draw(6, 4), labels(6)

    def clipped():
        net.zero_grad()
        value = cross_entropy(net(x), y)
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
        return value

    [system] = systems(net, clipped, kind="fisher", blocks="full")
    assert float(system.rhs.norm()) == pytest.approx(1e-3, rel=1e-2)
    expected = sample_gradients(net, softmax(y), x)
    torch.testing.assert_close(system.operator.dense(), expected @ expected.mT)


def test_a_penalty_is_left_out_and_said():
    net, x, y = mlp((4, 3, 3), nn.Tanh), draw(6, 4), labels(6)

    def decayed():
        return cross_entropy(net(x), y) + 0.1 * net[2].weight.square().sum()

    [system] = systems(net, decayed, kind="fisher", blocks="full")
    assert system.curvature is not None
    assert "left out: how the loss itself depends on 2.weight" in system.curvature.reason
    expected = sample_gradients(net, softmax(y), x)
    torch.testing.assert_close(system.operator.dense(), expected @ expected.mT)


def test_float32_stays_float32_and_close_to_float64():
    net, x, y = mlp((6, 5, 3), nn.Tanh), draw(20, 6), labels(20)
    expected = sample_gradients(net, softmax(y), x)
    net.float()
    [system] = systems(net, lambda: cross_entropy(net(x.float()), y), kind="fisher", blocks="full")
    matrix = system.operator.dense()
    assert matrix.dtype == system.operator.dtype == torch.float32
    # Twenty products of float32 numbers each.
    difference = (matrix - expected @ expected.mT).abs().max()
    assert difference <= 1e-5 * (expected @ expected.mT).abs().max()


class Once(nn.Module):
    def forward(self, x):
        return OnceRelu.apply(x)


def test_a_network_that_differentiates_once_is_enough():
    net = mlp((4, 3, 3), Once)
    check(net, softmax(labels(6)), draw(6, 4), {"sample-space"})
    with pytest.raises(ValueError, match="cannot be differentiated twice"):
        systems(net, lambda: cross_entropy(net(draw(6, 4)), labels(6)))


def test_parameters_that_did_not_run_have_zero_rows():
    net = nn.ModuleDict({"used": mlp((3, 2)), "idle": nn.Linear(2, 2).double()})
    net.forward = lambda x: net["used"](x)  # type: ignore[method-assign]
    x = draw(5, 3)
    used, idle = systems(net, lambda: net(x).square().mean(), kind="fisher")
    assert used.operator.dense().any()
    assert not idle.operator.dense().any()
    assert not (idle.operator @ torch.ones(6, dtype=torch.float64)).any()
    assert idle.curvature is not None
    assert idle.curvature.route == "sample-space"


def test_columns_beyond_the_memory_limit_are_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr("qnewton.curvature.columns._MAX_ENTRIES", 100)
    net = nn.Sequential(nn.Embedding(6, 4), nn.Flatten(), nn.Linear(8, 3)).double()
    x, y = labels(10, 2, classes=6), labels(10)
    with pytest.raises(ValueError, match=r"0.weight need 2.4e\+02 entries, limit 1e\+02; use a"):
        systems(net, lambda: cross_entropy(net(x), y), kind="fisher")


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.tuples(*[st.integers(1, 4)] * 5),
    seed=st.integers(0, 1000),
)
def test_khatri_rao_products_are_those_of_their_entries(sizes, seed):
    samples, width, positions, outputs, inputs = sizes
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(samples, positions, inputs, generator=generator, dtype=torch.float64)
    d = torch.randn(samples, width, positions, outputs, generator=generator, dtype=torch.float64)
    factor = KhatriRaoFactor(a, d)
    entries = torch.einsum("ictj,itp->jpic", d, a).reshape(outputs * inputs, samples * width)
    assert factor.shape == entries.shape
    assert_exact(factor.dense(), entries)
    assert_exact(factor.gram(), entries.mT @ entries)
    assert_exact(factor.row_squares(), entries.square().sum(1))
    x, y = entries[:, 0] + 1, entries[0] - 1
    assert_exact(factor.project(x), entries.mT @ x)
    assert_exact(factor @ y, entries @ y)


def test_pieces_of_the_workspace_add_up(monkeypatch):
    a, d = draw(3, 2, 5), draw(3, 2, 2, 7, seed=4)
    factor = KhatriRaoFactor(a, d)
    gram, squares = factor.gram(), factor.row_squares()
    monkeypatch.setattr("qnewton.operators.khatri_rao._WORKSPACE_ENTRIES", 60)
    torch.testing.assert_close(factor.gram(), gram)
    torch.testing.assert_close(factor.row_squares(), squares)


def test_a_vector_a_sample_takes_no_memory_of_columns():
    """n·(in + out) numbers a layer, not N·n: 512·(300 + 40) against 512·12,000."""
    net, x = mlp((300, 40, 3), nn.Tanh), draw(512, 300)
    y = labels(512)
    [first, _] = systems(net, lambda: cross_entropy(net(x), y), kind="fisher", blocks="layer")
    operator = first.operator
    assert isinstance(operator, LowRankOperator)
    held = {
        id(t): t.numel()
        for part in operator.factor._factors  # type: ignore[attr-defined]
        for t in vars(part).values()
        if isinstance(t, Tensor)
    }
    assert sum(held.values()) <= 512 * (300 + 2 * 40)
