"""Newton by layers with an empirical Fisher: what is solved, and what steps by its gradient."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qnewton import Limits, QNewton, Warmup


def setting(seed=0) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 40), nn.LayerNorm(40)
    ).double()
    inputs, targets = torch.randn(9, 5, 6).double(), torch.randint(40, (9, 5))
    return model, lambda: cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def newton(model, **options):
    return QNewton(model, curvature="fisher", blocks="layer", damping=0.1, lr=0.5, **options)


def test_larger_blocks_take_the_gradient_and_are_listed():
    model, closure = setting()
    optimizer = newton(model, limits=Limits(max_newton=100), warmup=Warmup(first_order_lr=0.25))
    assert [(b.name, b.newton) for b in optimizer.plan] == [
        ("0", True),
        ("1", True),
        ("4", True),
        ("3", False),
    ]
    total, large = sum(p.numel() for p in model.parameters()), 8 * 40 + 40
    assert optimizer.newton_share == pytest.approx((total - large) / total)
    before = model[3].weight.detach().clone()
    optimizer.step(closure)
    gradient = model[3].weight.grad
    torch.testing.assert_close(model[3].weight.detach(), before - 0.25 * gradient)
    record = optimizer.records[-1]
    assert record.first_order_blocks == ("3",)
    assert record.newton_share == optimizer.newton_share
    assert [block.name for block in record.blocks] == ["0", "1", "4"]


def test_blocks_are_solved_as_if_their_entries_had_been_formed():
    (one, closure), (other, other_closure) = setting(), setting()
    before = [p.detach().clone() for p in one.parameters()]
    newton(one).step(closure)
    loss = other_closure()
    loss.backward()
    from qnewton.curvature import systems

    moved = {}
    for system in systems(other, other_closure, "fisher", "layer"):
        matrix = system.operator.dense()
        matrix.diagonal().add_(0.1)
        x = torch.linalg.solve(matrix, system.rhs)
        for p, piece in zip(
            system.parameters, x.split([p.numel() for p in system.parameters]), strict=True
        ):
            moved[id(p)] = piece.view_as(p)
    for old, new, p in zip(before, one.parameters(), other.parameters(), strict=True):
        # The solve is asked for a residual of 1e-6.
        torch.testing.assert_close(new.detach() - old, 0.5 * moved[id(p)], rtol=1e-5, atol=1e-8)


def test_a_surveyed_block_keeps_its_factor_and_is_quoted_on_both_machines():
    model, closure = setting()
    optimizer = newton(model, quantum="attosecond")
    optimizer.step(closure)
    for block in optimizer.records[-1].blocks:
        assert block.facts.held.KIND == "low-rank"
        assert block.facts.spectrum.condition is not None
        assert block.facts.spectrum.bound("determinant") is not None
        for solver in ("woodbury", "lu_inverse", "qsvt"):
            quote = block.decision.quote(solver)
            assert quote is not None
            assert quote.seconds is not None
    assert optimizer.records[-1].modelled is not None


def test_a_limit_and_a_damping_that_sets_itself_exclude_each_other():
    model, _ = setting()
    with pytest.raises(ValueError, match="max_newton is 100 with damping='auto'"):
        QNewton(model, curvature="fisher", blocks="layer", limits=Limits(max_newton=100))
    with pytest.raises(ValueError, match="max_newton is 0"):
        newton(model, limits=Limits(max_newton=0))


def test_maximizing_climbs_in_larger_blocks_too():
    model, closure = setting()
    optimizer = newton(
        model, limits=Limits(max_newton=100), warmup=Warmup(first_order_lr=0.25), maximize=True
    )
    before = model[3].weight.detach().clone()
    optimizer.step(closure)
    moved = model[3].weight.detach() - before
    assert float((moved * model[3].weight.grad).sum()) > 0
