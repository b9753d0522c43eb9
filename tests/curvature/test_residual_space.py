"""The Gauss-Newton matrix of a sum of squares, formed and by products."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from qnewton import QNewton
from qnewton.curvature import Curvature, normal_matrix, residual_space
from qnewton.operators import LinearSystem
from qnewton.records import CurvatureRecord, StepRecord


def slopes(dtype: torch.dtype) -> tuple[nn.Module, Callable[[], Tensor]]:
    """Return a network, and a loss of its slopes, its values and its weights."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).to(dtype)
    points = torch.rand(30, 2, dtype=dtype)

    def loss() -> Tensor:
        x = points.clone().requires_grad_()
        found = net(x)
        [slope] = torch.autograd.grad(found.sum(), x, create_graph=True)
        decay = sum(p.square().sum() for p in net.parameters())
        fitted = huber_loss(found[:, 0], x.detach().sum(1).sin(), delta=0.3)
        return (slope - 1).square().mean() + 3 * fitted + 1e-3 * decay

    return net, loss


@pytest.fixture
def nothing_is_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual_space, "_MAX_ENTRIES", 100)


@pytest.fixture
def rows_are_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual_space, "_MAX_ENTRIES", 500)
    monkeypatch.setattr(normal_matrix, "_CHUNK_ENTRIES", 200)


def systems(dtype: torch.dtype, blocks: str) -> list[tuple[LinearSystem, CurvatureRecord, Tensor]]:
    net, loss = slopes(dtype)
    curvature = Curvature(net, "auto", blocks)  # type: ignore[arg-type]
    evaluation = curvature.evaluate(loss)
    found = []
    for system in curvature.systems(evaluation):
        assert system.curvature is not None
        found.append((system, system.curvature, curvature.quadratic(evaluation).dense()))
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_products_are_those_with_the_formed_matrix(
    dtype: torch.dtype, blocks: str, request: pytest.FixtureRequest
) -> None:
    formed = systems(dtype, blocks)
    request.getfixturevalue("nothing_is_formed")
    for (one, first, whole), (other, record, products) in zip(
        formed, systems(dtype, blocks), strict=True
    ):
        assert (first.route, record.route) == ("residuals", "generic")
        assert record.kind == "ggn"
        assert "too large to be formed" in record.reason
        torch.testing.assert_close(other.operator.dense(), one.operator.dense())
        torch.testing.assert_close(products, whole)
        vector = torch.randn(one.n, dtype=dtype)
        torch.testing.assert_close(other.operator @ vector, one.operator @ vector)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("blocks", ["full", "layer", "tensor"])
def test_sums_over_rows_are_the_formed_matrix(
    dtype: torch.dtype, blocks: str, request: pytest.FixtureRequest
) -> None:
    formed = systems(dtype, blocks)
    request.getfixturevalue("rows_are_thrown_away")
    for (one, first, whole), (other, record, sums) in zip(
        formed, systems(dtype, blocks), strict=True
    ):
        assert (record.route, record.kind, record.batch) == ("residuals", "ggn", first.batch)
        # The slopes and the values take several pieces each; weight decay takes none.
        assert "squares, Jacobian made and added in 12 pieces; Jᵀr agrees" in record.reason
        # One pass for the values, and one for each slope of a point.
        assert (record.preparing_calls, record.forming_flops) == (3, first.forming_flops)
        assert other.operator.holds_entries
        assert other.target is None
        torch.testing.assert_close(other.operator.dense(), one.operator.dense())
        torch.testing.assert_close(sums, whole)


@pytest.mark.usefixtures("rows_are_thrown_away")
def test_samples_that_interact_take_products(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    inputs = torch.rand(40, 2).double()
    curvature = Curvature(net, "auto", "full")

    def loss() -> Tensor:
        found = net(inputs)
        return (found - found.mean()).square().mean() + net(inputs[:9]).square().mean()

    tries: list[int] = []
    made = residual_space.normal_matrix

    def counted(*given: Any) -> Any:
        tries.append(1)
        return made(*given)

    monkeypatch.setattr(residual_space, "normal_matrix", counted)
    for _ in range(2):
        [system] = curvature.systems(curvature.evaluate(loss))
        assert system.curvature is not None
        assert (system.curvature.kind, system.curvature.route) == ("ggn", "generic")
    # What was found once is remembered.
    assert len(tries) == 1


def minimised() -> tuple[float, StepRecord]:
    net, loss = slopes(torch.float64)
    optimizer = QNewton(net)
    for _ in range(30):
        optimizer.step(loss)
    return float(loss().detach()), optimizer.records[-1]


def test_steps_by_products_reach_the_same_loss(request: pytest.FixtureRequest) -> None:
    formed, _ = minimised()
    request.getfixturevalue("nothing_is_formed")
    assert minimised()[0] == pytest.approx(formed, rel=1e-4)


def test_steps_by_sums_over_rows_reach_the_same_loss(request: pytest.FixtureRequest) -> None:
    formed, _ = minimised()
    request.getfixturevalue("rows_are_thrown_away")
    found, record = minimised()
    assert found == pytest.approx(formed, rel=1e-4)
    [block] = record.blocks
    assert block.facts.held.KIND == "formed"


@pytest.mark.usefixtures("nothing_is_formed")
def test_terms_that_are_not_the_loss_are_refused() -> None:
    w = nn.Parameter(torch.ones(20, dtype=torch.float64))
    curvature = Curvature([w], "auto", "full")

    def loss() -> Tensor:
        value = w.sin().square().sum()
        value.data.mul_(2.0)
        return value

    [system] = curvature.systems(curvature.evaluate(loss))
    assert system.curvature is not None
    assert system.curvature.no_squares is not None
    assert "the squares are off the loss" in system.curvature.no_squares
