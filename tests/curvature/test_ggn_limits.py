"""Gauss-Newton in lower precision, at the limits of memory, and in its record."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import systems
from tests.cases import OnceRelu, draw, labels, mlp
from tests.curvature.blocks_of_ggn import Pooled, check, softmax
from tests.oracles import gauss_newton

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


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


def test_a_network_that_differentiates_once_has_a_factor_but_no_products():
    first, last = mlp((4, 3)), mlp((3, 3))
    net = nn.Sequential(first, last)
    net.forward = lambda x: last(OnceRelu.apply(first(x)))  # type: ignore[method-assign]
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
