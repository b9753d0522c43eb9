"""Fits take their steps in Moré's metric, so that units of parameters do not count."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qnewton import Damping, Limits, QNewton, Residuals
from qnewton.curvature import ResidualChange
from qnewton.operators import DenseFactor, DenseOperator, LowRankOperator
from qnewton.optimizer.memory import Memory
from qnewton.optimizer.metric import Metric, next_metric

T = torch.linspace(0, 3, 25, dtype=torch.float64)
Y = 2 * torch.exp(-1.3 * T) + 0.5 + 0.02 * torch.sin(20 * T)
START = torch.tensor([1.0, 0.4, 0.1], dtype=torch.float64)


def fitted(units: Tensor, steps: int) -> tuple[QNewton, nn.Parameter, list[float]]:
    """Fit a decay whose parameters are measured in other units."""
    w = nn.Parameter(START / units)
    optimizer = QNewton([w])
    losses = [float(optimizer.step(_loss(w, units))) for _ in range(steps)]
    return optimizer, w, losses


def _loss(w: nn.Parameter, units: Tensor) -> Callable[[], Tensor]:
    def loss() -> Tensor:
        a, b, c = w * units
        return (a * torch.exp(-b * T) + c - Y).square().sum()

    return loss


@given(exponents=st.tuples(*[st.integers(-20, 20)] * 3))
@settings(deadline=None, max_examples=15)
def test_units_do_not_change_a_fit(exponents: tuple[int, ...]) -> None:
    # Powers of two round nothing.
    units = torch.tensor([2.0**e for e in exponents], dtype=torch.float64)
    _, w, losses = fitted(units, 8)
    _, expected, theirs = fitted(torch.ones(3, dtype=torch.float64), 8)
    assert losses == pytest.approx(theirs, rel=1e-6)
    assert torch.allclose(w * units, expected, rtol=1e-6)


def test_a_resumed_fit_is_the_same_to_the_bit() -> None:
    units = torch.tensor([1e3, 1.0, 1e-4], dtype=torch.float64)
    _, whole, _ = fitted(units, 9)
    first, w, _ = fitted(units, 4)
    second = QNewton([w])
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        second.step(_loss(w, units))
    assert torch.equal(whole, w)


def test_the_record_says_so_and_lengths_are_those_of_the_parameters() -> None:
    units = torch.tensor([1e3, 1.0, 1e-4], dtype=torch.float64)
    optimizer, w, _ = fitted(units, 1)
    [record] = optimizer.records
    assert "in the metric of the largest columns so far" in record.blocks[0].curvature.reason
    assert record.step_norm == pytest.approx(float((w.detach() - START / units).norm()))
    assert record.cosine is not None
    assert 0.0 < record.cosine <= 1.0


def test_weights_of_layers_keep_their_own_variables() -> None:
    net = nn.Linear(2, 1).double()
    rows = torch.randn(5, 3, dtype=torch.float64)
    change = ResidualChange(rows, torch.ones(5), torch.ones(5))
    memory = Memory({})
    assert next_metric(memory, list(net.parameters()), change).scale is None
    vector = [nn.Parameter(torch.ones(3, dtype=torch.float64))]
    assert next_metric(memory, vector, None).scale is None
    wide = ResidualChange(torch.ones(1, 300), torch.ones(1), torch.ones(1))
    assert next_metric(memory, [nn.Parameter(torch.ones(300))], wide).scale is None
    assert memory.numbers == {}


def network(
    units: list[Tensor], steps: int, damping: Damping, **options: Any
) -> tuple[list[float], list[Tensor], QNewton]:
    """Train a network whose every weight is measured in a unit of its own."""
    drawn = torch.Generator().manual_seed(1)
    shapes = ((4, 2), (4,), (1, 4), (1,))
    start = [torch.randn(*shape, generator=drawn, dtype=torch.float64) for shape in shapes]
    params = [nn.Parameter(value / unit) for value, unit in zip(start, units, strict=True)]
    x = torch.rand(15, 2, generator=drawn, dtype=torch.float64)

    def loss() -> Tensor:
        a, b, c, d = (p * unit for p, unit in zip(params, units, strict=True))
        return (torch.tanh(x @ a.T + b) @ c.T + d - x.prod(1, keepdim=True)).square().sum()

    optimizer = QNewton(params, damping=damping, **options)
    losses = [float(optimizer.step(loss)) for _ in range(steps)]
    return losses, [p.detach() * unit for p, unit in zip(params, units, strict=True)], optimizer


ONES = [torch.ones(shape, dtype=torch.float64) for shape in ((4, 2), (4,), (1, 4), (1,))]


@given(seed=st.integers(0, 1000), momentum=st.sampled_from([0.0, 0.7]))
@settings(deadline=None, max_examples=6)
def test_units_do_not_change_a_network_that_is_damped_by_its_columns(
    seed: int, momentum: float
) -> None:
    drawn = torch.Generator().manual_seed(seed)
    units = [2.0 ** torch.randint(-12, 12, one.shape, generator=drawn).double() for one in ONES]
    damping = Damping(scale="columns", momentum=momentum)
    losses, found, _ = network(units, 6, damping)
    expected, theirs, _ = network(ONES, 6, damping)
    assert losses == pytest.approx(expected, rel=1e-6)
    for mine, other in zip(found, theirs, strict=True):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-7)


def test_a_step_damped_by_columns_solves_the_system_that_is_written_out() -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    w = nn.Parameter(torch.tensor([[0.4, -0.3, 0.1]], dtype=torch.float64))

    def residuals(at: Tensor) -> Tensor:
        return (at[:, :1] * torch.exp(at[:, 1:2] * x) + at[:, 2:] * x - torch.cos(x)).flatten()

    optimizer, largest = QNewton([w], damping=Damping(scale="columns")), torch.zeros(3).double()
    straight = 0
    for _ in range(8):
        before = w.detach().clone()
        jacobian = torch.func.jacrev(residuals)(before).view(9, 3)
        largest = torch.maximum(largest, jacobian.square().sum(0).sqrt())
        optimizer.step(lambda: Residuals(residuals(w)))
        judged = optimizer.records[-1].damping
        assert judged is not None
        assert torch.allclose(optimizer.state[w]["largest_columns"], largest[None], rtol=1e-12)
        if judged.tries > 1 or judged.length < 1.0:
            continue
        straight += 1
        matrix = jacobian.T @ jacobian + judged.strength * torch.diag(largest.square())
        step = torch.linalg.solve(matrix, -jacobian.T @ residuals(before))
        assert torch.allclose(w.detach() - before, step[None], rtol=1e-3, atol=1e-9)
    assert straight >= 4


@pytest.mark.parametrize("curvature", ["ggn", "fisher"])
@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_columns_of_any_factor_or_matrix_scale_its_damping(curvature: Any, blocks: Any) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    x = torch.rand(6, 2, dtype=torch.float64)
    optimizer = QNewton(net, curvature=curvature, blocks=blocks, damping=Damping(scale="columns"))
    told: list[Tensor] = []
    optimizer.register_solution_hook(
        lambda step, system, record, _: told.append(
            system.operator.dense().diagonal() - record.treatment.damping
        )
    )
    optimizer.step(lambda: (net(x) - x).square().mean())
    # In the metric of the present columns every column has length 1, but those that are held.
    diagonal = torch.cat(told)
    assert bool((diagonal <= 1.0 + 1e-9).all())
    assert float((diagonal > 1.0 - 1e-9).double().mean()) > 0.5
    before = optimizer.records[0].loss
    for _ in range(8):
        optimizer.step(lambda: (net(x) - x).square().mean())
    assert optimizer.records[-1].loss < before / 2


def test_a_resumed_network_is_the_same_to_the_bit() -> None:
    damping = Damping(scale="columns")
    drawn = torch.Generator().manual_seed(2)
    x = torch.rand(20, 1, generator=drawn, dtype=torch.float64)

    def trained(net: nn.Module, optimizer: QNewton, steps: int) -> None:
        for _ in range(steps):
            # Two passes of the network: no layer has a closed form.
            optimizer.step(lambda: (net(x) * net(-x) - x.sin()).square().mean())

    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    net = copy.deepcopy(whole)
    trained(whole, QNewton(whole, damping=damping), 9)
    first, second = QNewton(net, damping=damping), QNewton(net, damping=damping)
    trained(net, first, 4)
    second.load_state_dict(first.state_dict())
    trained(net, second, 5)
    assert all(map(torch.equal, net.parameters(), whole.parameters()))


def test_poissons_equation_is_solved_as_far_with_columns() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    line = (torch.arange(12, dtype=torch.float64) + 0.5) / 12
    inside, zeros = torch.cartesian_prod(line, line), torch.zeros_like(line)
    sides = ((line, zeros), (line, zeros + 1), (zeros, line), (zeros + 1, line))
    edge = torch.cat([torch.stack(pair, -1) for pair in sides])
    wanted = torch.sin(math.pi * inside).prod(-1)

    def loss() -> Tensor:
        x = inside.clone().requires_grad_()
        [slope] = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        bends = [
            torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2)
        ]
        off = bends[0] + bends[1] + 2 * math.pi**2 * wanted
        return 0.5 * off.square().mean() + 0.5 * net(edge).square().mean()

    optimizer = QNewton(net, damping=Damping(scale="columns"))
    for _ in range(60):
        optimizer.step(loss)
    with torch.no_grad():
        off = net(inside).squeeze(-1) - wanted
    assert float(off.norm() / wanted.norm()) < 1e-3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"curvature": "hessian"}, "damping_scale='columns' needs a sum of squares"),
        ({"maximize": True}, "damping_scale='columns' is for squares that are minimised"),
    ],
    ids=str,
)
def test_columns_are_refused_where_there_are_none(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        QNewton([nn.Parameter(torch.ones(3))], damping=Damping(scale="columns"), **options)
    assert "\n" not in str(caught.value)


def test_groups_that_differ_in_their_columns_are_refused() -> None:
    one, two = (nn.Parameter(torch.ones(2)) for _ in range(2))
    groups = [{"params": [one]}, {"params": [two], "damping": Damping(scale="columns")}]
    optimizer = QNewton(groups)
    with pytest.raises(ValueError, match="some parameter groups have damping_scale='columns'"):
        optimizer.step(lambda: (one * two - 3).square().sum())


def test_a_matrix_too_large_to_be_formed_has_no_columns() -> None:
    net = nn.Linear(2, 30)
    optimizer = QNewton(
        net, curvature="ggn", damping=Damping(scale="columns"), limits=Limits(max_dense=10)
    )
    x = torch.rand(64, 2)
    with pytest.raises(ValueError, match="reads the columns of a Jacobian that one process holds"):
        optimizer.step(lambda: net(x).square().mean())


def test_the_metric_only_grows_and_forgets_what_is_not_finite() -> None:
    w = [nn.Parameter(torch.zeros(3, dtype=torch.float64))]
    memory = Memory({})

    def scale(*columns: float) -> list[float]:
        rows = torch.tensor([columns], dtype=torch.float64)
        found = next_metric(memory, w, ResidualChange(rows, rows[:, 0], rows[:, 0])).scale
        assert found is not None
        return found.tolist()

    assert scale(3.0, 0.0, -2.0) == [3.0, 1.0, 2.0]  # an empty column has no length to divide by
    assert scale(4.0, 5.0, 1.0) == [4.0, 5.0, 2.0]
    assert scale(math.inf, math.nan, 9.0) == [4.0, 5.0, 9.0]


def test_a_column_that_is_nearly_zero_is_held() -> None:
    w = [nn.Parameter(torch.tensor([1.0, 10.0], dtype=torch.float64))]
    rows = torch.tensor([[3.0, 1e-5]], dtype=torch.float64)
    found = next_metric(Memory({}), w, ResidualChange(rows, rows[:, 0], rows[:, 0])).scale
    assert found is not None
    # 1/30 of ‖Dθ‖ = 3, over its size of 10.
    assert found.tolist() == pytest.approx([3.0, 0.01])


def test_an_operator_in_the_metric_is_scaled_from_both_sides() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]], dtype=torch.float64)
    scale = torch.tensor([2.0, 0.5], dtype=torch.float64)
    expected = (rows.T @ rows) / scale / scale[:, None]
    for operator in (LowRankOperator(DenseFactor(rows.T)), DenseOperator(rows.T @ rows)):
        found = Metric(scale).operator(operator)
        assert torch.allclose(found.dense(), expected, rtol=1e-14)
        assert torch.equal(found.dense(), found.dense().T)
        assert torch.allclose(found @ scale, expected @ scale, rtol=1e-14)


@pytest.mark.parametrize("blocks", ["full", "layer"])
@pytest.mark.parametrize("form", ["mse_loss", "mean", "residuals"])
def test_columns_of_a_network_whose_hessian_has_closed_form_are_those_of_its_residuals(
    form: str, blocks: Any
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = torch.rand(30, 2, dtype=torch.float64)
    y = (3.0 * x[:, :1]).sin()
    losses: dict[str, Callable[[], Any]] = {
        "mse_loss": lambda: nn.functional.mse_loss(net(x), y),
        "mean": lambda: (net(x) - y).square().mean(),
        "residuals": lambda: Residuals(net(x) - y),
    }
    optimizer = QNewton(net, damping=Damping(scale="columns"), blocks=blocks)
    for _ in range(20):
        optimizer.step(losses[form])
    first, last = optimizer.records[0], optimizer.records[-1]
    assert last.damping is not None
    assert last.damping.curvature == "ggn"
    assert {block.curvature.route for block in last.blocks} == {"residuals"}
    assert last.loss < 1e-2 * first.loss
