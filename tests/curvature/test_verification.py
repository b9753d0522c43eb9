"""Derivatives that are wrong are refused with the layer's name; nothing else is."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrizations, weight_norm
from torch.utils.checkpoint import checkpoint

from qnewton import QNewton
from qnewton.curvature import Curvature, systems
from tests.curvature.model_table import TABLE, build, draw

Doubles = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
every_kind = pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
every_partition = pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])

TARGETS = torch.arange(6) % 2


def closure_of(net: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    return lambda: cross_entropy(net(x), TARGETS)


def network(*middle: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), *middle, nn.Linear(4, 2)).to(dtype)


def inputs(dtype: torch.dtype = torch.float64) -> Tensor:
    return draw(6, 3).to(dtype)


def reasons(net: Any, closure: Callable[[], Tensor], blocks: str = "full") -> list[str]:
    found = systems(net, closure, blocks=blocks)  # type: ignore[arg-type]
    return [system.curvature.reason for system in found if system.curvature is not None]


class Checkpointed(nn.Module):
    """The first layers are run again in the backward pass; the last may use their weight, too."""

    def __init__(self, reentrant: bool, tied: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(3, 4), nn.Linear(4, 3), nn.Linear(3, 2)
        self.reentrant, self.tied = reentrant, tied

    def forward(self, x: Tensor) -> Tensor:
        def inside(x: Tensor) -> Tensor:
            return torch.tanh(self.second(torch.tanh(self.first(x))))

        # Without a gradient in its input the reentrant kind gives none at all.
        hidden = checkpoint(inside, x.clone().requires_grad_(), use_reentrant=self.reentrant)
        assert isinstance(hidden, Tensor)
        return self.head(hidden + self.first(x)[:, :3] if self.tied else hidden)


@every_kind
@every_partition
@pytest.mark.parametrize("tied", [False, True])
def test_parameters_with_a_gradient_and_no_way_to_a_second_one_are_refused(kind, blocks, tied):
    net = Checkpointed(reentrant=True, tied=tied).double()
    with pytest.raises(ValueError, match=r"use_reentrant=False"):
        systems(net, closure_of(net, inputs()), kind=kind, blocks=blocks)
    usual = Checkpointed(reentrant=False, tied=tied).double()
    assert systems(usual, closure_of(usual, inputs()), kind=kind, blocks=blocks)


def test_a_step_that_is_refused_moves_nothing():
    net = Checkpointed(reentrant=True).double()
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(ValueError, match=r"first\.weight .*use_reentrant=False"):
        QNewton(net).step(closure_of(net, inputs()))
    assert all(torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))


def test_linear_and_unused_parameters_are_no_fault():
    x, linear, unused = (draw(2, seed=s).requires_grad_() for s in (1, 2, 3))
    found = systems([x, linear, unused], lambda: (x**2).sum() + linear.sum(), blocks="full")
    assert found[0].curvature is not None
    assert "check" not in found[0].curvature.reason
    torch.testing.assert_close(
        found[0].operator.dense(), torch.diag(torch.tensor([2.0, 2, 0, 0, 0, 0]).double())
    )


@Doubles
@every_partition
@pytest.mark.parametrize("normalise", [weight_norm, parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_weight_norm_is_refused_with_its_layer(normalise, blocks, dtype):
    net = network(nn.ReLU(), normalise(nn.Linear(4, 4)), nn.Tanh(), dtype=dtype)
    with pytest.raises(ValueError, match=r"layer '2' are wrong: uᵀHv .*weight_norm is wrong: "):
        systems(net, closure_of(net, inputs(dtype)), blocks=blocks)


class PlainWeightNorm(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / weight.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("unit", [1e-250, 1e-160, 1e160, 1e250])
def test_the_unit_of_the_loss_hides_no_wrong_derivative_and_makes_none(unit):
    x = inputs()
    wrong = network(nn.Tanh(), parametrizations.weight_norm(nn.Linear(4, 4))).double()
    with pytest.raises(ValueError, match="weight_norm is wrong"):
        systems(wrong, lambda: unit * closure_of(wrong, x)())
    right = network(nn.Tanh(), nn.Linear(4, 4)).double()
    assert not any("differ" in r for r in reasons(right, lambda: unit * closure_of(right, x)()))


def test_weight_norm_of_plain_operations_is_right():
    net = network(nn.Tanh(), nn.Linear(4, 4), nn.Tanh())
    torch.nn.utils.parametrize.register_parametrization(net[2], "weight", PlainWeightNorm())
    assert all("differences" not in r for r in reasons(net, closure_of(net, inputs())))


class ForgetfulExp(torch.autograd.Function):
    """A right gradient, made of numbers that autograd does not know depend on x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.slope = x.exp().detach()
        return ctx.slope.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad * ctx.slope


class Forgetful(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return ForgetfulExp.apply(x)  # type: ignore[return-value]


@Doubles
def test_a_backward_that_forgets_a_term_is_refused_with_its_layer_and_function(dtype):
    net = network(nn.Tanh(), nn.Linear(4, 4), Forgetful(), nn.Linear(4, 4), nn.Tanh(), dtype=dtype)
    with pytest.raises(ValueError, match=r"layer '2' .*differences of .*holds ForgetfulExp: write"):
        systems(net, closure_of(net, inputs(dtype)))


def test_kinks_hide_nothing_in_float64_and_are_named_in_float32():
    wrong = network(nn.ReLU(), nn.Linear(4, 4), Forgetful())
    with pytest.raises(ValueError, match=r"layer '2' .*ForgetfulExp"):
        systems(wrong, closure_of(wrong, inputs()))
    wrong = wrong.float()
    [reason] = reasons(wrong, closure_of(wrong, inputs(torch.float32)))
    assert "could not confirm it: in float32 ReluBackward0 jumps" in reason


def test_a_gradient_that_a_hook_changes_is_not_the_losses_and_the_record_says_so():
    net = network(nn.Tanh())
    net.get_parameter("0.weight").register_hook(lambda gradient: 0.1 * gradient)
    [reason] = reasons(net, closure_of(net, inputs()))
    assert "the gradient is not that of the loss it returns" in reason


@Doubles
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.Hardtanh, nn.PReLU])
def test_networks_with_kinks_are_never_refused(activation, seed, dtype):
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(10, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 3)
    ).to(dtype)
    x, y = torch.randn(500, 10, dtype=dtype), torch.arange(500) % 3
    assert systems(net, lambda: cross_entropy(net(x), y))


@pytest.mark.parametrize("name", [name for name in TABLE if name != "weight_norm"])
def test_the_models_of_the_table_are_confirmed(name):
    model = build(name)
    for reason in reasons(model.module, model.loss, "layer"):
        assert "check" not in reason.replace("checked at", "")
        assert "differences" not in reason


def test_single_precision_confirms_a_smooth_model():
    net = network(nn.Tanh(), nn.Linear(4, 4), nn.GELU(), dtype=torch.float32)
    for reason in reasons(net, closure_of(net, inputs(torch.float32)), "layer"):
        assert "differences" not in reason


@pytest.mark.parametrize("kind", ["hessian", "ggn"])
def test_a_padding_row_that_the_loss_uses_is_a_constant(kind):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(5, 3, padding_idx=0), nn.Flatten(), nn.Linear(12, 2))
    net = net.double()
    with torch.no_grad():
        net[0].weight[0] = 1.0  # type: ignore[index]
    tokens = torch.tensor([[0, 1, 2, 3], [4, 0, 0, 1], [2, 2, 3, 4], [1, 0, 4, 3]])
    [system] = systems(net, lambda: cross_entropy(net(tokens), TARGETS[:4]), kind, "full")
    dense = system.operator.dense()
    assert not dense[:3].any()
    assert dense[3:].any()
    assert "differences" not in str(system.curvature)
    before = net[0].weight[0].clone()  # type: ignore[index]
    QNewton(net).step(lambda: cross_entropy(net(tokens), TARGETS[:4]))
    assert torch.equal(net[0].weight[0], before)  # type: ignore[index]


def test_dropout_repeats_its_mask():
    net = network(nn.Tanh(), nn.Dropout(0.5))
    before = torch.get_rng_state()
    curvature = Curvature(net, blocks="full")
    evaluation = curvature.evaluate(closure_of(net, inputs()))
    after = torch.get_rng_state()
    [system] = curvature.systems(evaluation)
    assert not torch.equal(before, after)
    assert torch.equal(torch.get_rng_state(), after)
    assert system.curvature is not None
    assert "differences" not in system.curvature.reason


def test_a_closure_with_noise_of_its_own_is_not_refused_and_the_record_says_so():
    net, noise = network(nn.Tanh()), torch.Generator().manual_seed(0)

    def closure():
        jitter = torch.randn(6, 3, generator=noise, dtype=torch.float64)
        return cross_entropy(net(inputs() + jitter), TARGETS)

    [reason] = reasons(net, closure)
    assert "could not confirm it: the closure does not give the same gradient twice" in reason


def test_another_error_of_the_closure_goes_up_and_everything_is_put_back():
    net, batches = network(nn.Tanh()), iter([inputs()])
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(RuntimeError, match="StopIteration"):
        systems(net, lambda: cross_entropy(net(next(batches)), TARGETS))
    assert all(torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))


def test_a_closure_that_fails_elsewhere_is_not_refused_and_parameters_are_put_back():
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def closure():
        if bool(w.detach().any()):
            raise FloatingPointError("outside")
        return (w**2).sum()

    [reason] = reasons([w], closure)
    assert "FloatingPointError('outside')" in reason
    assert not w.detach().any()


@pytest.mark.parametrize("cut", [Tensor.detach, lambda x: x.data])
def test_what_is_held_constant_is_not_refused_and_the_record_says_so(cut):
    w = draw(3).requires_grad_()
    [reason] = reasons([w], lambda: (w**3 * cut(w).exp()).sum())
    assert "could not confirm it: the closure holds something constant" in reason


def test_spectral_norm_in_training_holds_its_vectors_constant():
    torch.manual_seed(0)
    layer = parametrizations.spectral_norm(nn.Linear(3, 4), n_power_iterations=3)
    net = nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 2)).double()
    [reason] = reasons(net, closure_of(net, inputs()))
    assert "could not confirm it: the closure holds something constant" in reason


def test_bfloat16_is_not_judged_by_differences():
    net = network(nn.Tanh(), dtype=torch.float32)

    def closure():
        with torch.autocast("cpu", torch.bfloat16):
            return cross_entropy(net(inputs(torch.float32)), TARGETS)

    [reason] = reasons(net, closure)
    assert "not checked: the closure works in torch.bfloat16" in reason


def test_everything_is_put_back_and_the_graph_still_serves():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).double()
    closure = closure_of(net, inputs())
    curvature = Curvature(net, blocks="full")
    evaluation = curvature.evaluate(closure)
    tensors = [*net.parameters(), *net.buffers()]
    values = [t.detach().clone() for t in tensors]
    gradients = [p.grad for p in net.parameters()]
    [system] = curvature.systems(evaluation)
    assert all(
        kept is now for kept, now in zip(tensors, [*net.parameters(), *net.buffers()], strict=True)
    )
    assert all(torch.equal(t, old) for t, old in zip(tensors, values, strict=True))
    assert all(p.grad is g for p, g in zip(net.parameters(), gradients, strict=True))
    assert system.operator.dense().isfinite().all()
    assert not any(p._backward_hooks for p in net.parameters())


def test_it_is_asked_once_and_again_when_the_graph_holds_something_new():
    net, runs = network(nn.Tanh()), itertools.count()
    wrong = False

    def closure():
        next(runs)
        f = net(inputs())
        return cross_entropy(ForgetfulExp.apply(f) if wrong else f, TARGETS)  # type: ignore[arg-type]

    curvature = Curvature(net, blocks="full")
    counts = []
    for _ in range(3):
        before = next(runs)
        curvature.systems(curvature.evaluate(closure))
        counts.append(next(runs) - before - 1)
    assert counts == [4, 1, 1]
    wrong = True
    with pytest.raises(ValueError, match="ForgetfulExp"):
        curvature.systems(curvature.evaluate(closure))
    wrong = False
    assert curvature.systems(curvature.evaluate(closure))


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_kinds_of_first_derivatives_run_the_closure_once(kind):
    net, runs = network(nn.Tanh()), itertools.count()

    def closure():
        next(runs)
        return cross_entropy(net(inputs()), TARGETS)

    systems(net, closure, kind=kind)
    assert next(runs) == 1
