"""First-order evaluations after the first: the closure runs as in PyTorch, and is understood."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qnewton.curvature import Curvature


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


@pytest.fixture
def curvature(net: nn.Sequential) -> Curvature:
    """A curvature that has seen a closure, so that the next one is not watched."""
    curvature = Curvature(net)
    curvature.evaluate(lambda: net(torch.ones(2, 3).double()).sum(), curvature=False)
    return curvature


def loss_of(net: nn.Sequential) -> Tensor:
    return net(torch.linspace(-1, 1, 15, dtype=torch.float64).view(5, 3)).square().mean()


def true_gradients(net: nn.Sequential) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss_of(net), list(net.parameters()))


def same(found: Iterable[Tensor | None], expected: Iterable[Tensor]) -> bool:
    return all(
        gradient is not None and torch.equal(gradient, true)
        for gradient, true in zip(found, expected, strict=True)
    )


def clear(net: nn.Sequential, how: str) -> None:
    if how == "to none":
        net.zero_grad()
    if how == "in place":
        net.zero_grad(set_to_none=False)


RETURNS: dict[str, Callable[[Tensor], Any]] = {
    "live": lambda loss: loss,
    "detached": lambda loss: loss.detach(),
    "float": lambda loss: loss.item(),
}


@pytest.mark.parametrize("how", ["to none", "in place"])
@pytest.mark.parametrize("returned", RETURNS.values(), ids=RETURNS.keys())
def test_a_closure_that_calls_backward(
    net: nn.Sequential, curvature: Curvature, how: str, returned: Callable[[Tensor], Any]
) -> None:
    def closure() -> Any:
        clear(net, how)
        loss = loss_of(net)
        loss.backward()
        return returned(loss)

    for _ in range(3):
        evaluation = curvature.evaluate(closure, curvature=False)
        assert evaluation.loss == loss_of(net).item()
        assert same(evaluation.gradients, true_gradients(net))
        assert all(g is not None and not g.requires_grad for g in evaluation.gradients)


@pytest.mark.parametrize("how", ["to none", "in place", "not at all"])
def test_a_closure_that_only_returns_the_loss(
    net: nn.Sequential, curvature: Curvature, how: str
) -> None:
    def closure() -> Tensor:
        clear(net, how)
        return loss_of(net)

    for _ in range(3):
        evaluation = curvature.evaluate(closure, curvature=False)
        assert same(evaluation.gradients, true_gradients(net))


def test_without_clearing_gradients_add_up(net: nn.Sequential, curvature: Curvature) -> None:
    def closure() -> Tensor:
        loss = loss_of(net)
        loss.backward()
        return loss

    net.zero_grad()
    curvature.evaluate(closure, curvature=False)
    evaluation = curvature.evaluate(closure, curvature=False)
    assert same(evaluation.gradients, [2 * once for once in true_gradients(net)])


def test_a_gradient_that_is_truly_zero_stays_zero(net: nn.Sequential, curvature: Curvature) -> None:
    def closure() -> Tensor:
        net.zero_grad(set_to_none=False)
        loss = 0.0 * loss_of(net)
        loss.backward(retain_graph=True)
        return loss

    evaluation = curvature.evaluate(closure, curvature=False)
    assert all(g is not None and not g.any() for g in evaluation.gradients)


def test_a_closure_may_run_under_no_grad(net: nn.Sequential, curvature: Curvature) -> None:
    with torch.no_grad():
        evaluation = curvature.evaluate(lambda: loss_of(net), curvature=False)
    assert same(evaluation.gradients, true_gradients(net))


def test_what_gives_no_gradient_is_refused(net: nn.Sequential, curvature: Curvature) -> None:
    with pytest.raises(ValueError, match="without a graph and never called backward"):
        curvature.evaluate(lambda: loss_of(net).detach(), curvature=False)
    with pytest.raises(ValueError, match="returned NoneType, not a loss"):
        curvature.evaluate(lambda: None, curvature=False)


def test_a_first_closure_that_could_give_no_curvature_is_refused_at_once(
    net: nn.Sequential,
) -> None:
    def closure() -> Tensor:
        loss = loss_of(net)
        torch.autograd.backward(loss)
        return loss

    with pytest.raises(ValueError, match=r"torch\.autograd\.backward cannot be seen"):
        Curvature(net).evaluate(closure, curvature=False)


def test_old_gradients_need_not_be_kept_alive(net: nn.Sequential, curvature: Curvature) -> None:
    # Freed gradients are found again in the same memory, under the same identity; many rounds.
    def closure() -> Tensor:
        net.zero_grad()
        loss = loss_of(net)
        loss.backward()
        return loss

    for _ in range(200):
        curvature.evaluate(closure, curvature=False)
    assert same([p.grad for p in net.parameters()], true_gradients(net))
