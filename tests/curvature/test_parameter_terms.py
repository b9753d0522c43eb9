"""Terms of parameters alone: in closed form where they are sums over entries, never wrong."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from qnewton.curvature import systems
from tests.cases import classification, mlp
from tests.oracles import func_hessian

SIZES = (4, 3, 2)


def compare(
    net: nn.Module, closure: Callable[[], Tensor], expected: Tensor, route: str, reason: str
) -> None:
    """Compare entries and a product with the oracle, and the route with what it should be."""
    [system] = systems(net, closure, blocks="full")
    assert system.curvature is not None
    vector = torch.linspace(-1, 1, system.n, dtype=torch.float64)
    product = system.operator @ vector  # before the entries exist
    found = system.operator.dense()
    scale = float(expected.abs().max())
    assert (found - expected).abs().max() <= 1e-10 * scale
    assert (product - expected @ vector).abs().max() <= 1e-10 * scale * system.n
    assert torch.equal(found, found.mT)
    assert (system.curvature.route, reason in system.curvature.reason) == (route, True), (
        system.curvature
    )


def mixed_decay(f: Tensor, values: list[Tensor]) -> Tensor:
    terms = [c * v.square().sum() for c, v in zip((0.1, 0.0, 3.0), values, strict=False)]
    return f + sum(terms[1:], start=terms[0])


def every_entry_its_own(f: Tensor, values: list[Tensor]) -> Tensor:
    weights = torch.linspace(1, 2, values[0].numel(), dtype=torch.float64).view_as(values[0])
    return f + (weights * values[0].cosh()).sum()


def towards_another_point(f: Tensor, values: list[Tensor]) -> Tensor:
    return f + sum(0.2 * (v - 1.0).square().sum() for v in values)


def lasso(f: Tensor, values: list[Tensor]) -> Tensor:
    return f + sum(v.abs().sum() for v in values)


def averaged_with_the_rest(f: Tensor, values: list[Tensor]) -> Tensor:
    return torch.stack([f, *(v.square().sum() for v in values)]).mean()


SUMS = (mixed_decay, every_entry_its_own, towards_another_point, averaged_with_the_rest)


@pytest.mark.parametrize("combine", [*SUMS, lasso])
def test_sums_over_entries_keep_the_closed_form(combine):
    net = mlp(SIZES, nn.Tanh)
    x, y = classification(8, 4, 2)
    expected = func_hessian(net, lambda f: combine(cross_entropy(f(x), y), [*f.values.values()]))
    reason = "" if combine is lasso else "added on its diagonal"
    closure = lambda: combine(cross_entropy(net(x), y), [*net.parameters()])  # noqa: E731
    compare(net, closure, expected, "closed-form", reason)


def fourth_power(f: Tensor, values: list[Tensor]) -> Tensor:
    return f + values[0].square().sum().square()


def product_of_layers(f: Tensor, values: list[Tensor]) -> Tensor:
    return f + (values[2] @ values[0]).sum()


def scaled_by_the_data(f: Tensor, values: list[Tensor]) -> Tensor:
    return f * (1 + values[0].square().sum())


def inside_a_square(f: Tensor, values: list[Tensor]) -> Tensor:
    return (f + values[0].square().sum()).square()


def used_by_the_data_too(f: Tensor, values: list[Tensor]) -> Tensor:
    squares = values[0].square()
    return f * squares[0, 0] + squares.sum()


def one_term_inside_another(f: Tensor, values: list[Tensor]) -> Tensor:
    squares = values[0].square()
    return (f + squares).sum() + squares.sum().exp()


ENTANGLED = (
    fourth_power,
    product_of_layers,
    scaled_by_the_data,
    inside_a_square,
    used_by_the_data_too,
    one_term_inside_another,
)


@pytest.mark.parametrize("combine", ENTANGLED)
def test_anything_else_takes_double_backward(combine):
    net = mlp(SIZES, nn.Tanh)
    x, y = classification(8, 4, 2)
    expected = func_hessian(net, lambda f: combine(cross_entropy(f(x), y), [*f.values.values()]))
    closure = lambda: combine(cross_entropy(net(x), y), [*net.parameters()])  # noqa: E731
    compare(net, closure, expected, "mixed", "0.weight enters the loss in")


def test_a_small_entangled_term_is_not_lost_in_the_rounding():
    """Beside the data's curvature it is far below the probe's limit; seen alone it is not."""
    net = mlp(SIZES, nn.Tanh, dtype=torch.float32)
    x, y = classification(8, 4, 2, dtype=torch.float32)

    def closure():
        return cross_entropy(net(x), y) + 1e-9 * net[0].weight.square().sum().square()

    [system] = systems(net, closure, blocks="full")
    assert system.curvature is not None
    assert system.curvature.route == "mixed"


def test_decay_of_a_layer_that_ran_twice_is_no_excuse():
    net = mlp((3, 3), nn.Tanh)
    x, _ = classification(8, 3, 2)

    def loss(f, values):
        return f(f(x).tanh()).square().mean() + sum(v.square().sum() for v in values)

    expected = func_hessian(net, lambda f: loss(f, f.values.values()))
    compare(net, lambda: loss(net, net.parameters()), expected, "generic", "ran 2 times")


def test_decay_around_a_normalization():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(3, track_running_stats=False)
    net = nn.Sequential(nn.Linear(4, 3), norm, nn.Tanh(), nn.Linear(3, 2)).double()
    x, y = classification(8, 4, 2)

    def penalty():
        return 0.5 * torch.stack([p.square().sum() for p in net.parameters()]).sum()

    [plain] = systems(net, lambda: cross_entropy(net(x), y), blocks="full")
    expected = plain.operator.dense() + torch.eye(plain.n, dtype=torch.float64)
    compare(net, lambda: cross_entropy(net(x), y) + penalty(), expected, "mixed", "6 rows")


def test_a_term_that_comes_and_goes():
    net = mlp(SIZES, nn.Tanh)
    x, y = classification(8, 4, 2)
    for combine, route in ((mixed_decay, "closed-form"), (fourth_power, "mixed")) * 2:
        expected = func_hessian(
            net, lambda f, c=combine: c(cross_entropy(f(x), y), [*f.values.values()])
        )
        closure = lambda c=combine: c(cross_entropy(net(x), y), [*net.parameters()])  # noqa: E731
        compare(net, closure, expected, route, "")


def test_a_backward_of_its_own():
    net = mlp(SIZES, nn.Tanh)
    x, y = classification(8, 4, 2)
    fit = lambda: cross_entropy(net(x), y)  # noqa: E731
    [plain] = systems(net, fit, blocks="full")
    expected = plain.operator.dense() + 2 * torch.eye(plain.n, dtype=torch.float64)

    def closure():
        net.zero_grad()
        loss = fit()
        loss.backward()
        decay = torch.stack([p.square().sum() for p in net.parameters()]).sum()
        decay.backward()
        return loss + decay

    compare(net, closure, expected, "closed-form", "added on its diagonal")


def test_convolutions_with_decay():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 2)).double()
    x = torch.randn(5, 1, 3, 3, dtype=torch.float64)
    fit = lambda: mse_loss(net(x), torch.zeros(5, 2, dtype=torch.float64))  # noqa: E731
    [plain] = systems(net, fit, blocks="full")
    expected = plain.operator.dense() + torch.eye(plain.n, dtype=torch.float64) * 0.02
    closure = lambda: fit() + 0.01 * sum(p.square().sum() for p in net.parameters())  # noqa: E731
    compare(net, closure, expected, "closed-form", "added on its diagonal")
