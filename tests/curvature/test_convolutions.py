"""The exact Hessian of convolutional and sequence networks against torch.func in float64."""

import pytest
import torch
from torch import nn

from qnewton.curvature import systems
from tests.curvature.images import images, record, stack
from tests.oracles import func_hessian, hessian

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


# Sums of n·T·N products in float64: 1e-10 of the largest entry is rounding and nothing else.
TOLERANCE = 1e-10


def assert_blocks(net, closure, expected, blocks, route: str | None = "closed-form", reason=""):
    scale, start = float(expected.abs().max()), 0
    for system in systems(net, closure, blocks=blocks):
        inside = slice(start, start + system.n)
        vector = torch.linspace(-1, 1, system.n, dtype=torch.float64)
        product = system.operator @ vector  # before the entries exist
        found = system.operator.dense()
        assert found.dtype == torch.float64
        assert float((found - expected[inside, inside]).abs().max()) <= TOLERANCE * scale
        assert torch.equal(found, found.mT)
        off = float((product - expected[inside, inside] @ vector).abs().max())
        assert off <= TOLERANCE * scale * system.n
        assert route in (record(system).route, None), record(system).reason
        assert reason in record(system).reason
        start += system.n
    assert start == expected.shape[0]


class Skip(nn.Module):
    """Convolutions around which the input passes, one of them run beside another."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 16, 3)
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.inner = nn.Conv2d(3, 3, 3, padding="same", dilation=2, bias=False)
        self.beside = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        h = torch.tanh(self.stem(x))
        h = h + torch.tanh(self.inner(h)) * torch.sigmoid(self.beside(h))
        return self.head(h.flatten(1))


class InPlace(nn.Module):
    """Adds to a convolution's input in place, which its own copy must not see."""

    def __init__(self):
        super().__init__()
        self.stem, self.inner = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 3, padding=1)
        self.head = nn.Linear(2 * 16, 3)

    def forward(self, x):
        h = self.stem(x)
        h = torch.relu_(self.inner(h)) + h * h
        return self.head(h.flatten(1))


class Grow(nn.Module):
    """A linear layer before convolutions, as generators have."""

    def __init__(self):
        super().__init__()
        self.first, self.deep = nn.Linear(4, 12), nn.Conv1d(2, 3, 3, padding=1)
        self.last, self.head = nn.Conv1d(3, 2, 2), nn.Linear(10, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x)).view(-1, 2, 6)
        return self.head(torch.tanh(self.last(torch.tanh(self.deep(h)))).flatten(1))


class Tokens(nn.Module):
    """Linear layers on [n, positions, in], mixed by attention, then pooled."""

    def __init__(self):
        super().__init__()
        self.embed, self.query, self.value = nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(3, 3)
        self.head = nn.Linear(3, 3)

    def forward(self, x):
        h = torch.tanh(self.embed(x))
        q = self.query(h)
        h = torch.softmax(q @ q.mT, -1) @ self.value(h)
        return self.head(h.mean(1))


def norm():
    layer = nn.BatchNorm2d(2, affine=False)
    torch.manual_seed(2)
    layer.running_mean, layer.running_var = torch.randn(2), torch.rand(2) + 0.5
    return layer.eval()


def learned_norm(training):
    layer = nn.BatchNorm2d(2, track_running_stats=not training)
    torch.manual_seed(2)
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    return layer.train(training)


NETS = {
    "relu, max pool": (lambda: stack(nn.ReLU, lambda: nn.MaxPool2d(2)), (1, 8, 8)),
    "relu in place": (
        lambda: stack(lambda: nn.ReLU(inplace=True), lambda: nn.AvgPool2d(2)),
        (1, 8, 8),
    ),
    "tanh, avg pool": (lambda: stack(nn.Tanh, lambda: nn.AvgPool2d(2)), (1, 8, 8)),
    "gelu, adaptive pool": (lambda: stack(nn.GELU, lambda: nn.AdaptiveAvgPool2d(3)), (1, 8, 8)),
    "batch norm in evaluation": (lambda: stack(nn.Tanh, norm), (1, 5, 5)),
    "stride and padding": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, stride=2, padding=1),
            nn.Tanh(),
            nn.Conv2d(3, 2, (2, 3), padding=(0, 2), dilation=(1, 2)),
            nn.Softplus(),
            nn.Flatten(),
            nn.Linear(18, 3),
        ),
        (1, 8, 5),
    ),
    "one dimension": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 3, 3, stride=2),
            nn.Tanh(),
            nn.Conv1d(3, 3, 3),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
        ),
        (2, 9),
    ),
    "residual": (Skip, (1, 4, 4)),
    "in place": (InPlace, (1, 4, 4)),
    "generator": (Grow, (4,)),
    "attention": (Tokens, (3, 4)),
}


@pytest.mark.slow
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
@pytest.mark.parametrize("name", NETS)
def test_equals_torch_func(name, blocks):
    build, shape = NETS[name]
    torch.manual_seed(0)
    net = build().double()
    x, y = images(5, *shape)

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), y)

    assert_blocks(net, lambda: loss(net), func_hessian(net, loss), blocks)


@pytest.mark.parametrize("name", ["tanh, avg pool", "residual", "generator"])
@pytest.mark.parametrize("limit", [1, 60, 1 << 21])
def test_any_batch_of_directions_gives_the_same(monkeypatch, name, limit):
    monkeypatch.setattr("qnewton.curvature.directions._BATCH_ENTRIES", limit)
    monkeypatch.setattr("qnewton.curvature.directions._COMBINED_ENTRIES", limit)
    build, shape = NETS[name]
    torch.manual_seed(0)
    net = build().double()
    x, y = images(4, *shape)

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), y)

    assert_blocks(net, lambda: loss(net), func_hessian(net, loss), "full")


@pytest.mark.parametrize("share", [0.0, 1e9])
@pytest.mark.parametrize("name", NETS)
def test_weights_and_output_entries_give_the_same(monkeypatch, name, share):
    """Whichever is differentiated: never output entries, or wherever samples allow them."""
    monkeypatch.setattr("qnewton.curvature.directions._UNITS_BELOW", share)
    build, shape = NETS[name]
    torch.manual_seed(0)
    net = build().double()
    x, y = images(4, *shape)

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), y)

    assert_blocks(net, lambda: loss(net), func_hessian(net, loss), "full")


@pytest.mark.parametrize("frozen", ["0.weight", "0.bias", "3.weight", "3.bias", "6.weight"])
def test_frozen_parameters_have_no_rows(frozen):
    torch.manual_seed(0)
    net = stack(nn.Tanh, lambda: nn.AvgPool2d(2)).double()
    net.get_parameter(frozen).requires_grad_(False)
    x, y = images(4, 1, 8, 8)

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), y)

    assert_blocks(net, lambda: loss(net), func_hessian(net, loss), "full")


@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_batch_norm_in_training_between_convolutions(blocks):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(2, affine=False, track_running_stats=False)
    net = stack(nn.Tanh, lambda: norm).double()
    x, y = images(6, 1, 5, 5)

    def closure():
        return nn.functional.cross_entropy(net(x), y)

    expected = hessian(closure, list(net.parameters()))
    assert_blocks(net, closure, expected, blocks)


class TwoTowers(nn.Module):
    """Images and texts in one contrastive loss: rows of one tower see all of the other."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Conv1d(1, 2, 3), nn.Linear(4, 8)

    def forward(self, x):
        image = torch.tanh(self.image(x[:, None, :6])).flatten(1)
        return image @ torch.tanh(self.text(x[:, 6:])).mT


@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_samples_that_interact_across_towers_only(monkeypatch, blocks):
    monkeypatch.setattr("qnewton.curvature.directions._UNITS_BELOW", 1e9)
    torch.manual_seed(0)
    net = TwoTowers().double()
    x, _ = images(5, 10)

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), torch.arange(5))

    assert_blocks(net, lambda: loss(net), func_hessian(net, loss), blocks)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv1d(2, 2, 3, groups=2), "the layer that owns 0.weight has groups=2"),
        (nn.Conv1d(2, 2, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'"),
        (nn.ConvTranspose1d(2, 2, 3), "0.weight is not the weight or bias of a linear or conv"),
    ],
)
def test_rows_of_other_convolutions_come_by_double_backward(layer, reason):
    torch.manual_seed(0)
    net = nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.LazyLinear(3)).double()
    x, y = images(4, 2, 5)
    net(x)

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), y)

    expected = func_hessian(net, loss)
    assert_blocks(net, lambda: loss(net), expected, "full", "mixed", reason)
    routes = [record(s).route for s in systems(net, lambda: loss(net), blocks="layer")]
    assert routes == ["generic", "closed-form"]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_learned_batch_norm_between_convolutions(monkeypatch, blocks, training):
    monkeypatch.setattr("qnewton.curvature.generic.CHUNK", 3)
    torch.manual_seed(0)
    net = stack(nn.Tanh, lambda: learned_norm(training)).double()
    x, y = images(6, 1, 5, 5)

    def closure():
        return nn.functional.cross_entropy(net(x), y)

    expected = hessian(closure, list(net.parameters()))
    route = {"full": "mixed"}.get(blocks)
    assert_blocks(net, closure, expected, blocks, route)
    routes = {s.name: record(s) for s in systems(net, closure, blocks=blocks)}
    if blocks == "full":
        assert "2.weight is not the weight or bias of a linear or" in routes["full"].reason
        assert "4 rows by double backward" in routes["full"].reason
    if blocks == "layer":
        assert [r.route for r in routes.values()] == [
            "closed-form",
            "generic",
            "closed-form",
            "closed-form",
        ]


def test_a_convolution_called_twice_or_tied_takes_the_generic_route():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1)).double()
    x, _ = images(4, 1, 5)

    def loss(forward):
        return forward(torch.tanh(forward(x))).square().mean()

    expected = func_hessian(net, loss)
    assert_blocks(net, lambda: loss(net), expected, "full", "generic", "ran 2 times")


def test_an_l2_term_keeps_the_closed_form():
    torch.manual_seed(0)
    net = stack(nn.Tanh, lambda: nn.AvgPool2d(2)).double()
    x, y = images(4, 1, 8, 8)

    def loss(forward, values):
        return nn.functional.cross_entropy(forward(x), y) + sum(v.square().sum() for v in values)

    expected = func_hessian(net, lambda f: loss(f, f.values.values()))
    closure = lambda: loss(net, list(net.parameters()))  # noqa: E731
    assert_blocks(net, closure, expected, "layer", reason="added on its diagonal")


def test_dropout_keeps_its_mask():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(1, 3, 3), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(12, 3)
    ).double()
    x, y = images(4, 1, 6)

    def closure():
        torch.manual_seed(3)
        return nn.functional.cross_entropy(net(x), y)

    torch.manual_seed(3)
    mask = nn.functional.dropout(torch.ones(4, 3, 4, dtype=torch.float64), 0.5)

    def written_out(f):
        conv, bias, weight, offset = f.values.values()
        h = torch.tanh(nn.functional.conv1d(x, conv, bias)) * mask
        return nn.functional.cross_entropy(h.flatten(1) @ weight.mT + offset, y)

    assert_blocks(net, closure, func_hessian(net, written_out), "full")
