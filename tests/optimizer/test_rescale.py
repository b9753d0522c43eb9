"""Layers put together by the Fisher matrix between them, against the whole matrix's entries."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton import Damping, Limits, QNewton, Warmup
from qnewton.curvature import systems
from qnewton.operators import DenseOperator, LinearSystem
from qnewton.optimizer.rescale import Share, factor_between_blocks, joint_factors


def setting() -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 5))
    return model.double()


def loss_of(model) -> Callable[[], Tensor]:
    drawn = torch.Generator().manual_seed(1)
    inputs = torch.randn(9, 6, generator=drawn, dtype=torch.float64)
    targets = torch.randint(5, (9,), generator=drawn)
    return lambda: cross_entropy(model(inputs), targets)


def newton(model, **options: Any):
    options = {"blocks": "layer", "damping": 0.1, "lr": 0.5, **options}
    return QNewton(model, curvature="fisher", **options)


def moved(model, optimizer) -> Tensor:
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step(loss_of(model))
    return torch.cat(
        [(p.detach() - b).flatten() for p, b in zip(model.parameters(), before, strict=True)]
    )


def model_of(shares: list[Share]) -> tuple[Tensor, Tensor]:
    effects = torch.stack([share.effects for share in shares])
    penalty = torch.tensor([share.penalty for share in shares], dtype=torch.float64)
    slope = torch.tensor([share.slope for share in shares], dtype=torch.float64)
    return effects @ effects.mT + torch.diag(penalty), slope


@given(
    blocks=st.integers(1, 6),
    samples=st.integers(1, 8),
    sizes=st.lists(st.floats(1e-6, 1e6), min_size=6, max_size=6),
    seed=st.integers(0, 1000),
)
def test_the_factors_are_where_the_models_gradient_vanishes(blocks, samples, sizes, seed):
    drawn = torch.Generator().manual_seed(seed)
    shares = [
        Share(
            size * torch.randn(samples, generator=drawn, dtype=torch.float64),
            slope=size * float(torch.rand(1, generator=drawn)),
            penalty=0.1 * size**2,
        )
        for size in sizes[:blocks]
    ]
    matrix, slope = model_of(shares)
    factors = torch.tensor(joint_factors(shares), dtype=torch.float64)
    left = (matrix @ factors - slope).abs()
    assert bool((left <= 1e-9 * (matrix.abs() @ factors.abs() + slope)).all())
    assert float(slope @ factors) >= 0


def test_equal_blocks_share_a_step_and_unrelated_ones_keep_theirs():
    one = torch.tensor([1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    equal = [Share(one, slope=4.0, penalty=1e-9) for _ in range(4)]
    assert joint_factors(equal) == pytest.approx([0.25] * 4)
    apart = [Share(row, slope=1.0, penalty=0.0) for row in torch.eye(4, dtype=torch.float64)]
    assert joint_factors(apart) == pytest.approx([1.0] * 4)
    still = Share(torch.zeros(4, dtype=torch.float64), slope=0.0, penalty=0.0)
    assert joint_factors([still, *equal]) == pytest.approx([1.0] + [0.25] * 4)


def test_factors_that_are_not_finite_skip_the_step():
    broken = Share(torch.tensor([float("nan")], dtype=torch.float64), slope=1.0, penalty=0.0)
    with pytest.raises(FloatingPointError, match="no factors that are finite"):
        joint_factors([broken])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"damping": Damping(0.02, scale="max-abs")},
        {"policy": "hybrid", "quantum": "attosecond"},
    ],
    ids=["as it comes", "relative", "hybrid"],
)
def test_a_step_minimises_the_whole_fishers_model_over_the_layers_directions(options):
    plain, rescaled, third = setting(), setting(), setting()
    direction = moved(plain, newton(plain, **options)) / 0.5
    (whole,) = systems(third, loss_of(third), "fisher", "full")
    optimizer = newton(rescaled, rescale=True, **options)
    step = moved(rescaled, optimizer) / 0.5
    blocks = optimizer.records[-1].blocks
    basis = torch.block_diag(*(piece[:, None] for piece in direction.split([b.n for b in blocks])))
    damping = torch.cat(
        [torch.full((b.n,), b.treatment.damping, dtype=torch.float64) for b in blocks]
    )
    matrix = basis.mT @ (whole.operator.dense() + torch.diag(damping)) @ basis
    expected = torch.linalg.solve(matrix, basis.mT @ whole.rhs)
    found = torch.tensor([b.rescaled_by for b in blocks], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(step, basis @ expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found, torch.ones_like(found), atol=0.05)


def test_one_block_is_left_as_it_is():
    model = setting()
    optimizer = newton(model, blocks="full", rescale=True)
    optimizer.step(loss_of(model))
    assert optimizer.records[-1].blocks[0].rescaled_by == pytest.approx(1.0, abs=1e-6)


def test_layers_above_max_newton_step_beside_the_rescaled_ones():
    model = setting()
    optimizer = newton(
        model, rescale=True, limits=Limits(max_newton=60), warmup=Warmup(first_order_lr=0.25)
    )
    before = model[2].weight.detach().clone()
    optimizer.step(loss_of(model))
    torch.testing.assert_close(model[2].weight.detach(), before - 0.25 * model[2].weight.grad)
    assert all(block.rescaled_by is not None for block in optimizer.records[-1].blocks)


def test_nothing_is_rescaled_unless_asked_and_copies_keep_asking():
    model = setting()
    optimizer = newton(model)
    optimizer.step(loss_of(model))
    assert {block.rescaled_by for block in optimizer.records[-1].blocks} == {None}
    assert pickle.loads(pickle.dumps(newton(model, rescale=True))).rescale


def test_what_cannot_be_rescaled_is_refused():
    model = setting()
    with pytest.raises(ValueError, match="needs curvature='fisher'"):
        QNewton(model, curvature="ggn", damping=0.1, rescale=True)
    with pytest.raises(ValueError, match="a damping that is a number"):
        newton(model, damping="auto", rescale=True)
    system = LinearSystem(DenseOperator(torch.eye(2)), torch.ones(2), (model[0].bias,), "0")
    with pytest.raises(ValueError, match="averaged over processes or negated"):
        factor_between_blocks(system)
    with pytest.raises(ValueError, match="averaged over processes or negated"):
        newton(model, rescale=True, maximize=True).step(loss_of(model))
