"""Losses the closed form does not cover must come out right by the other route."""

import pytest
import torch
from torch import nn

from qnewton.curvature import Curvature, systems
from tests.cases import classification, mlp
from tests.oracles import func_hessian


def record(system):
    assert system.curvature is not None
    return system.curvature


def assert_blocks(net, closure, expected, blocks, route=None, reason=""):
    """Compare every block with the whole Hessian's, to rounding of float64 sums."""
    start = 0
    scale = float(expected.abs().max())
    for system in systems(net, closure, blocks=blocks):
        inside = slice(start, start + system.n)
        found = system.operator.dense()
        assert float((found - expected[inside, inside]).abs().max()) <= 1e-9 * scale
        assert torch.equal(found, found.mT)
        vector = torch.linspace(-1, 1, system.n, dtype=found.dtype)
        torch.testing.assert_close(system.operator @ vector, found @ vector)
        if route is not None:
            assert record(system).route == route
        assert reason in record(system).reason
        start += system.n
    assert start == expected.shape[0]


every_partition = pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])


@every_partition
@pytest.mark.parametrize("coefficient", [1e-1, 1e-12])
def test_l2_term_in_the_closure(blocks, coefficient):
    net = mlp((4, 3, 2), nn.Tanh)
    x, y = classification(8, 4, 2)

    def loss(forward, values):
        penalty = sum(value.square().sum() for value in values)
        return nn.functional.cross_entropy(forward(x), y) + coefficient * penalty

    expected = func_hessian(net, lambda f: loss(f, f.values.values()))
    closure, reason = lambda: loss(net, net.parameters()), "added on its diagonal"
    assert_blocks(net, closure, expected, blocks, "closed-form", reason)


@every_partition
def test_module_called_twice(blocks):
    net = mlp((3, 3), nn.Tanh)
    x, _ = classification(8, 3, 2)

    def loss(forward):
        return forward(torch.tanh(forward(x))).square().mean()

    expected = func_hessian(net, loss)
    assert_blocks(net, lambda: loss(net), expected, blocks, "generic", "ran 2 times")


@every_partition
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_in_training(blocks, affine):
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3, affine=affine, track_running_stats=False)
    net = nn.Sequential(nn.Linear(4, 3), norm, nn.Tanh(), nn.Linear(3, 2)).double()
    x, y = classification(8, 4, 2)

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), y)

    def written_out(f):
        values = list(f.values.values())
        h = x @ values[0].mT + values[1]
        h = (h - h.mean(0)) / (h.var(0, unbiased=False) + norm.eps).sqrt()
        if affine:
            h = h * values[2] + values[3]
        return nn.functional.cross_entropy(torch.tanh(h) @ values[-2].mT + values[-1], y)

    # torch.func (2.13) itself is wrong through an affine nn.BatchNorm1d: its Hessian is
    # asymmetric, 0.3 off finite differences where max|H| is 4.4. So the oracle writes it out.
    expected = func_hessian(net, written_out)
    assert_blocks(net, lambda: loss(net), expected, blocks)
    routes = {s.name: record(s) for s in systems(net, lambda: loss(net), blocks="layer")}
    # Its scale and shift have no closed form, and samples interact before the normalization only.
    assert routes["0"].route == routes["3"].route == "closed-form"
    assert "samples interact" in routes["0"].reason
    assert "samples interact" not in routes["3"].reason
    if affine:
        assert "1.weight is not the weight or bias of a linear or" in routes["1"].reason


def test_batch_norm_in_evaluation_is_elementwise():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3, affine=False)
    net = nn.Sequential(nn.Linear(4, 3), norm, nn.Tanh(), nn.Linear(3, 2)).double().eval()
    x, y = classification(8, 4, 2)
    [system] = systems(net, lambda: nn.functional.cross_entropy(net(x), y), blocks="full")
    assert record(system).route == "closed-form"


@every_partition
def test_dropout(blocks):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 2)).double()
    x, y = classification(8, 4, 2)

    def loss():
        torch.manual_seed(3)
        return nn.functional.cross_entropy(net(x), y)

    # torch.func refuses dropout under vmap; the same mask, written out, is the same function.
    torch.manual_seed(3)
    mask = nn.functional.dropout(torch.ones(8, 6, dtype=torch.float64), 0.5)
    plain = list(net.parameters())
    sizes = [p.numel() for p in plain]

    def of_flat(flat):
        w, b, v, c = (
            piece.view(p.shape) for piece, p in zip(flat.split(sizes), plain, strict=True)
        )
        return nn.functional.cross_entropy((torch.tanh(x @ w.mT + b) * mask) @ v.mT + c, y)

    expected = torch.func.hessian(of_flat)(torch.cat([p.detach().flatten() for p in plain]))
    assert_blocks(net, loss, expected, blocks, "closed-form")


@every_partition
def test_contrastive_loss(blocks):
    net = mlp((4, 3, 2), nn.Tanh)
    x, _ = classification(6, 4, 2)

    def loss(forward):
        z = forward(x)
        return nn.functional.cross_entropy(z @ z.mT, torch.arange(6).roll(1))

    expected = func_hessian(net, loss)
    assert_blocks(net, lambda: loss(net), expected, blocks)
    for system in systems(net, lambda: loss(net), blocks=blocks):
        assert record(system).route == "closed-form"
        # A bias moves all samples alike, so its own block is right however samples interact.
        assert ("samples interact" in record(system).reason) != system.name.endswith("bias")


@every_partition
def test_physics_residual(blocks):
    net = mlp((1, 4, 1), nn.Tanh)
    x, _ = classification(5, 1, 2)

    def taped():
        points = x.clone().requires_grad_()
        u = net(points)
        [slope] = torch.autograd.grad(u.sum(), points, create_graph=True)
        return (slope + u).square().mean()

    def written_out(f):
        w, _, v, _ = f.values.values()
        hidden = torch.tanh(x @ w.mT + f.values["0.bias"])
        slope = ((1 - hidden**2) * w.mT) @ v.mT
        return (slope + f(x)).square().mean()

    assert_blocks(net, taped, func_hessian(net, written_out), blocks)


@every_partition
def test_physics_residual_through_torch_func(blocks):
    net = mlp((1, 4, 1), nn.Tanh)
    x, _ = classification(5, 1, 2)

    def taped():
        slope = torch.func.vmap(torch.func.grad(lambda point: net(point).sum()))(x)
        return (slope + net(x)).square().mean()

    def written_out(f):
        w, _, v, _ = f.values.values()
        hidden = torch.tanh(x @ w.mT + f.values["0.bias"])
        return (((1 - hidden**2) * w.mT) @ v.mT + f(x)).square().mean()

    assert_blocks(net, taped, func_hessian(net, written_out), blocks, "generic")


class Pooled(nn.Module):
    def __init__(self, flatten):
        super().__init__()
        self.flatten, self.token, self.head = flatten, nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        tokens = x.flatten(0, 1) if self.flatten else x
        hidden = torch.tanh(self.token(tokens)).view(*x.shape[:2], 3)
        return self.head(hidden.mean(1))


@every_partition
@pytest.mark.parametrize("flatten", [True, False])
def test_pooled_sequences(blocks, flatten):
    torch.manual_seed(0)
    net = Pooled(flatten).double()
    x, y = classification(12, 4, 2)
    x, y = x.view(4, 3, 4), y[:4]

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), y)

    assert_blocks(net, lambda: loss(net), func_hessian(net, loss), blocks, "closed-form")


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(3, 3), nn.Linear(3, 3)
        self.decode.weight = self.encode.weight

    def forward(self, x):
        return self.decode(torch.tanh(self.encode(x)))


@every_partition
def test_tied_weights(blocks):
    torch.manual_seed(0)
    net = Tied().double()
    x, _ = classification(8, 3, 2)
    sizes = [9, 3, 3]

    def of_flat(flat):
        w, b, c = flat.split(sizes)
        w = w.view(3, 3)
        return (torch.tanh(x @ w.mT + b) @ w.mT + c).square().mean()

    flat = torch.cat([p.detach().flatten() for p in net.parameters()])
    expected = torch.func.hessian(of_flat)(flat)
    closure = lambda: net(x).square().mean()  # noqa: E731
    assert_blocks(net, closure, expected, blocks)
    for system in systems(net, closure, blocks=blocks):
        # The tied weight has no closed form; the two biases have.
        tied = any(parameter is net.encode.weight for parameter in system.parameters)
        alone = len(system.parameters) == 1
        assert record(system).route == (
            "closed-form" if not tied else "generic" if alone else "mixed"
        )
        assert ("encode.weight is shared by 2 layers" in record(system).reason) == tied


@every_partition
def test_parameter_used_outside_its_module(blocks):
    net = mlp((3, 3, 3), nn.Tanh)
    x, _ = classification(8, 3, 2)

    def loss(forward, weight):
        return (forward(x) @ weight).square().mean()

    expected = func_hessian(net, lambda f: loss(f, f.values["0.weight"]))
    closure = lambda: loss(net, net[0].weight)  # noqa: E731
    assert_blocks(net, closure, expected, blocks)
    for system in systems(net, closure, blocks=blocks):
        twice = any(parameter is net[0].weight for parameter in system.parameters)
        alone = len(system.parameters) == 1
        assert record(system).route == (
            "closed-form" if not twice else "generic" if alone else "mixed"
        )
        assert ("0.weight enters the loss in 2 places" in record(system).reason) == twice


def test_a_layer_that_did_not_run_has_zero_rows():
    net = nn.ModuleList([mlp((3, 2)), nn.Linear(2, 2).double()])
    x, _ = classification(5, 3, 2)
    closure = lambda: net[0](x).square().mean()  # noqa: E731
    used, unused = systems(net, closure, blocks="layer")
    assert used.operator.dense().any()
    assert not unused.operator.dense().any()
    assert not unused.rhs.any()
    assert not (unused.operator @ torch.ones(6, dtype=torch.float64)).any()


def test_the_probe_looks_at_every_step():
    """A term that switches on without changing the graph must not go unnoticed."""
    net = mlp((4, 3, 2), nn.Tanh)
    x, y = classification(6, 4, 2)
    weight = torch.zeros((), dtype=torch.float64)

    def closure():
        z = net(x)
        return nn.functional.cross_entropy(z, y) + weight * (z @ z.mT).square().mean()

    curvature = Curvature(net, blocks="full")
    interact = []
    for value in (0.0, 1.0, 0.0):
        weight.fill_(value)
        [system] = curvature.systems(curvature.evaluate(closure))
        interact.append("samples interact" in record(system).reason)
    assert interact == [False, True, False]


def test_very_wide_layers_go_matrix_free(monkeypatch):
    monkeypatch.setattr("qnewton.curvature.hessian._MAX_ENTRIES", 10)
    net = mlp((4, 3, 2), nn.Tanh)
    x, y = classification(6, 4, 2)
    [system] = systems(net, lambda: nn.functional.cross_entropy(net(x), y), blocks="full")
    assert record(system).route == "generic"
    assert "limit 10" in record(system).reason


def test_hooks_of_the_user_are_seen():
    net = mlp((4, 3, 2), nn.Tanh)
    net[0].register_forward_hook(lambda module, args, output: output * output.sum(0))
    x, y = classification(6, 4, 2)

    def loss(forward):
        return nn.functional.cross_entropy(forward(x), y)

    expected = func_hessian(net, loss)
    assert_blocks(net, lambda: loss(net), expected, "full", "closed-form", "samples interact")


def test_subclasses_of_linear_are_not_trusted():
    class Doubled(nn.Linear):
        def forward(self, input):
            return 2 * super().forward(input)

    net = Doubled(3, 2).double()
    x, y = classification(6, 3, 2)
    [system] = systems(net, lambda: nn.functional.cross_entropy(net(x), y), blocks="full")
    assert record(system).route == "generic"


def test_bfloat16_autocast_takes_the_generic_route():
    net = mlp((4, 3, 2), nn.Tanh, dtype=torch.float32)
    x, y = classification(16, 4, 2, dtype=torch.float32)

    def closure():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return nn.functional.cross_entropy(net(x).float(), y)

    [system] = systems(net, closure, blocks="full")
    matrix = system.operator.dense()
    assert matrix.dtype == torch.float32
    assert record(system).route == "generic"
    assert "is off by" in record(system).reason
    [exact] = systems(net, lambda: nn.functional.cross_entropy(net(x), y), blocks="full")
    # bfloat16 keeps 8 bits; the curvature is a sum of products of a few such numbers.
    assert (matrix - exact.operator.dense()).norm() <= 0.05 * exact.operator.dense().norm()


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(
        ValueError, match="kind='gauss' is unknown; choose auto, hessian, ggn, fisher"
    ):
        Curvature(nn.Linear(2, 2), kind="gauss")  # type: ignore[arg-type]
