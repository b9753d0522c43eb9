"""Gauss-Newton and Fisher see the output of the one call a closure makes, or say what to do."""

from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import Curvature, systems
from tests.cases import mlp

X = torch.linspace(-1, 1, 24, dtype=torch.float64).view(6, 4)
Y = torch.arange(6) % 2

both = pytest.mark.parametrize("kind", ["ggn", "fisher"])


@dataclass
class Answer:
    logits: Tensor | None
    loss: Tensor | None = None


class Wrapped(nn.Module):
    """Returns what ``pack`` makes of the logits."""

    def __init__(self, net, pack):
        super().__init__()
        self.net, self.pack = net, pack

    def forward(self, x):
        return self.pack(self.net(x))


PACKS = {
    "mapping": (lambda f: OrderedDict(logits=f), lambda out: cross_entropy(out["logits"], Y)),
    "dataclass": (Answer, lambda out: cross_entropy(out.logits, Y)),
    # As transformers does when it is given labels.
    "loss inside": (lambda f: Answer(f, cross_entropy(f, Y)), lambda out: out.loss),
}


@both
@pytest.mark.parametrize("name", PACKS)
def test_an_output_object_with_logits(kind, name):
    net = mlp((4, 3, 2), nn.Tanh)
    pack, loss = PACKS[name]
    model = Wrapped(net, pack)
    [found] = systems(model, lambda: loss(model(X)), kind=kind, blocks="full")
    [plain] = systems(net, lambda: cross_entropy(net(X), Y), kind=kind, blocks="full")
    torch.testing.assert_close(found.operator.dense(), plain.operator.dense())
    assert found.curvature is not None
    assert plain.curvature is not None
    assert found.curvature.route == plain.curvature.route


@both
def test_the_closure_may_overwrite_an_output_tensor(kind):
    net = mlp((4, 3, 2), nn.Tanh)

    def closure():
        f = net(X)
        f *= 2.0
        return cross_entropy(f, Y)

    [found] = systems(net, closure, kind=kind, blocks="full")
    [plain] = systems(net, lambda: cross_entropy(2 * net(X), Y), kind=kind, blocks="full")
    torch.testing.assert_close(found.operator.dense(), plain.operator.dense())


@both
def test_calls_without_gradients_do_not_count(kind):
    net = mlp((4, 3, 2), nn.Tanh)

    def closure():
        with torch.no_grad():
            net(X).argmax(1)
        return cross_entropy(net(X), Y)

    [found] = systems(net, closure, kind=kind, blocks="full")
    [plain] = systems(net, lambda: cross_entropy(net(X), Y), kind=kind, blocks="full")
    torch.testing.assert_close(found.operator.dense(), plain.operator.dense())


@both
def test_a_closure_that_calls_backward_and_a_model_in_a_model(kind):
    net = mlp((4, 3, 2), nn.Tanh)
    whole = nn.Sequential(net)

    def closure():
        net.zero_grad()
        loss = cross_entropy(whole(X), Y)
        loss.backward()
        return loss.detach()

    [found] = systems(net, closure, kind=kind, blocks="full")
    [plain] = systems(net, lambda: cross_entropy(net(X), Y), kind=kind, blocks="full")
    torch.testing.assert_close(found.operator.dense(), plain.operator.dense())


def overwritten(out):
    out.logits *= 2.0
    return cross_entropy(out.logits, Y)


@both
@pytest.mark.parametrize(
    ("pack", "loss", "says"),
    [
        (
            lambda f: (f, f),
            lambda out: cross_entropy(out[0], Y),
            "the model returned tuple; return",
        ),
        (lambda f: Answer(None), None, "the model returned Answer; return one tensor"),
        (Answer, overwritten, "overwrote the model's logits in place; work on a copy"),
        (lambda f: f + 0, None, "the loss does not use the output the model returned"),
    ],
    ids=["tuple", "no logits", "in place", "unused"],
)
def test_an_output_that_cannot_be_used_is_refused(kind, pack, loss, says):
    model = Wrapped(mlp((4, 3, 2), nn.Tanh), pack)

    def closure():
        out = model(X)
        return model.net[0].weight.square().sum() if loss is None else loss(out)

    with pytest.raises(ValueError, match=says) as caught:
        systems(model, closure, kind=kind)
    assert "kind='hessian'" in str(caught.value)
    assert "\n" not in str(caught.value)


@both
def test_two_calls_or_none_are_refused(kind):
    net = mlp((4, 3, 2), nn.Tanh)
    with pytest.raises(ValueError, match="called the model 2 times, limit 1; concatenate"):
        systems(net, lambda: (net(X) - net(X + 1)).exp().mean(), kind=kind)
    with pytest.raises(ValueError, match="never called the model with gradients"):
        systems(net, lambda: net[2](net[1](net[0](X))).exp().mean(), kind=kind)


@both
def test_parameters_alone_are_not_enough(kind):
    with pytest.raises(ValueError, match=f"kind='{kind}' needs the module"):
        Curvature(nn.Linear(2, 2).parameters(), kind=kind, blocks="full")


@both
def test_hooks_are_gone_and_graphs_released(kind):
    net = mlp((4, 3, 2), nn.Tanh)
    curvature = Curvature(net, kind)
    evaluation = curvature.evaluate(lambda: cross_entropy(net(X), Y))
    assert len(evaluation.outputs) == 1
    assert not any(module._forward_hooks for module in net.modules())
    evaluation.release()
    assert evaluation.outputs == ()
    first_order = curvature.evaluate(lambda: cross_entropy(net(X), Y), curvature=False)
    assert first_order.outputs == ()


@both
def test_a_loss_in_lower_precision_than_the_model(kind):
    """As transformers computes its losses: logits are cast to float32 whatever the model is."""
    net = mlp((20, 8, 2), nn.Tanh)
    x = torch.linspace(-1, 1, 60, dtype=torch.float64).view(3, 20).sin()
    [found] = systems(net, lambda: cross_entropy(net(x).float(), Y[:3]), kind=kind, blocks="full")
    [plain] = systems(net, lambda: cross_entropy(net(x), Y[:3]), kind=kind, blocks="full")
    assert found.curvature is not None
    assert found.curvature.route == "sample-space"
    matrix, expected = found.operator.dense(), plain.operator.dense()
    assert matrix.dtype == torch.float64
    assert (matrix - expected).abs().max() <= 1e-5 * expected.abs().max()
