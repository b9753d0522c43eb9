"""Clipping changes the right-hand side, not the loss by which a step is judged."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton import QNewton
from qnewton.curvature import Curvature

DTYPES = [torch.float32, torch.float64]

START = {"damping": 1e-6, "damping_floor": 1e-12, "radius": 1e6, "usual_gradient": 1.0}
"""A state that lets a Newton step be as long as it likes."""


def by_norm(limit: float) -> Callable[[Any], Any]:
    return lambda parameters: nn.utils.clip_grad_norm_(parameters, limit)


def by_value(limit: float) -> Callable[[Any], Any]:
    return lambda parameters: nn.utils.clip_grad_value_(parameters, limit)


class Quadratic:
    """A linear regression whose loss is exactly its quadratic model."""

    def __init__(self, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 3), nn.Linear(2, 1)).to(dtype)
        self.x = torch.randn(30, 4, dtype=dtype)
        self.z = torch.randn(30, 2, dtype=dtype)
        self.y = 5 + self.x.sum(1, keepdim=True)

    def loss(self) -> Tensor:
        # Both layers enter linearly, and their blocks are coupled.
        found = self.net[0](self.x).sum(1, keepdim=True) + self.net[1](self.z)
        return mse_loss(found, self.y)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["closure", "attach"])
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
@pytest.mark.parametrize("clip", [by_norm(1e-3), by_norm(0.5), by_value(1.0), by_norm(1e9)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_on_a_quadratic_the_ratio_is_one_under_any_clipping(
    dtype: torch.dtype, clip: Callable[[Any], Any], blocks: Any, how: str
) -> None:
    problem = Quadratic(dtype)
    optimizer = QNewton(problem.net, blocks=blocks)
    loss_of = optimizer.repeatable(problem.loss) if how == "attach" else problem.loss

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        clip(problem.net.parameters())
        return loss

    for _ in range(3):
        if how == "attach":
            closure()
            optimizer.step()
        else:
            optimizer.step(closure)
        record = optimizer.records[-1]
        judged = record.damping
        assert judged is not None
        assert record.skipped is None
        assert judged.length == 1.0
        # In float32 a change of 1e-3 of the loss is known to 1e-3 of itself.
        assert judged.ratio == pytest.approx(1.0, abs=1e-8 if dtype == torch.float64 else 2e-2)
        assert judged.clipped or judged.next_strength < judged.strength


@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_a_step_is_shorter_by_as_much_as_its_gradient_was_clipped(blocks: Any) -> None:
    norms = []
    for limit in (1e9, 0.5):
        problem = Quadratic(torch.float64)
        optimizer = QNewton(problem.net, blocks=blocks)
        optimizer.counters.update(START)

        def closure(problem: Quadratic = problem, limit: float = limit) -> Tensor:
            problem.net.zero_grad()
            loss = problem.loss()
            loss.backward()
            nn.utils.clip_grad_norm_(problem.net.parameters(), limit)
            return loss

        optimizer.step(closure)
        norms.append((optimizer.records[-1].step_norm, optimizer.records[-1].gradient_norm))
    (step, gradient), (clipped_step, clipped_gradient) = norms
    assert clipped_gradient == pytest.approx(0.5, rel=1e-3)
    assert clipped_step / step == pytest.approx(clipped_gradient / gradient, rel=1e-5)


def test_a_step_uphill_in_the_loss_is_never_taken_on_its_word() -> None:
    # Clipping entry by entry may turn a direction uphill: x = -H⁻¹·clip(g), gᵀx > 0.
    w = nn.Parameter(torch.tensor([0.0, 0.0], dtype=torch.float64))
    curvature = torch.tensor([[1.0, 0.995], [0.995, 1.0]], dtype=torch.float64)
    slope = torch.tensor([10.0, 1.0], dtype=torch.float64)
    optimizer = QNewton([w])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = slope @ w + w @ curvature @ w / 2
        loss.backward()
        assert w.grad is not None
        w.grad = torch.stack([w.grad[0].clamp(-0.1, 0.1), w.grad[1]])
        return loss

    optimizer.counters.update(START)
    for _ in range(12):
        before = float(closure().detach())
        optimizer.step(closure)
        assert float(closure().detach()) <= before
    judged = optimizer.records[0].damping
    assert judged is not None
    # The clipped gradient itself descends: that step is tried instead, on the true loss.
    assert (judged.origin, judged.failure) == ("gradient", "the direction climbs")
    assert judged.tries >= 1
    assert optimizer.records[0].skipped is None


def test_maximised_losses_are_judged_alike() -> None:
    problem = Quadratic(torch.float64)
    optimizer = QNewton(problem.net, maximize=True, blocks="full")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -problem.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(problem.net.parameters(), 0.1)
        return loss

    optimizer.step(closure)
    judged = optimizer.records[-1].damping
    assert judged is not None
    assert judged.ratio == pytest.approx(1.0, abs=1e-8)


def test_an_evaluation_knows_both_gradients() -> None:
    problem = Quadratic(torch.float64)
    curvature = Curvature(problem.net, blocks="full")

    def closure() -> Tensor:
        problem.net.zero_grad()
        loss = problem.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(problem.net.parameters(), 0.1)
        return loss

    evaluation = curvature.evaluate(closure)
    parameters = list(problem.net.parameters())
    raw = torch.cat([g.flatten() for g in torch.autograd.grad(problem.loss(), parameters)])
    assert torch.allclose(evaluation.loss_gradient(parameters), raw, rtol=1e-12)
    assert float(evaluation.gradient(parameters).norm()) == pytest.approx(0.1, rel=1e-3)
    [system] = curvature.systems(evaluation)
    assert torch.equal(system.rhs, -evaluation.gradient(parameters))
