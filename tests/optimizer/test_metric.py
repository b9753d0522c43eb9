"""Fits take their steps in Moré's metric, so that units of parameters do not count."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qnewton import QNewton
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
