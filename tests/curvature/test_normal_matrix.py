"""JᵀDJ from some rows of J at a time, beside the whole J."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils._python_dispatch import TorchDispatchMode

from qnewton.curvature import normal_matrix as module
from qnewton.curvature.jacobian import Workspace
from qnewton.curvature.normal_matrix import NormalMatrix, normal_matrix
from qnewton.curvature.residuals import SumOfSquares, sum_of_squares
from qnewton.curvature.routes import Refused
from qnewton.curvature.uses import uses_in, without_places
from tests.curvature.squares import CASES, Case, laplacian, made, row_by_row, seeded


@pytest.mark.parametrize("chunk", [1, 200, 10_000])
@pytest.mark.parametrize("make", CASES)
def test_sums_over_chunks_are_those_of_the_whole_jacobian(
    make: Callable[[], Case], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_ENTRIES", chunk)
    case = make()
    _, sums, uses = made(case)
    rows = row_by_row(sums, case.parameters)
    slope = torch.cat([term.slope.flatten() for term in sums.terms])
    curvature = torch.cat([term.curvature.flatten() for term in sums.terms])
    vectors = torch.stack([slope, torch.linspace(-1, 2, len(slope)).double()], dim=1)
    found = normal_matrix(sums, case.parameters, uses, vectors, Workspace())
    assert isinstance(found, NormalMatrix)
    near = torch.testing.assert_close
    near(found.matrix, rows.mT @ (curvature[:, None] * rows), rtol=1e-11, atol=1e-12)
    near(found.products, rows.mT @ vectors, rtol=1e-11, atol=1e-12)
    near(found.sizes, rows.abs().mT @ slope.abs())
    assert torch.equal(found.matrix, found.matrix.mT)


class _Sizes(TorchDispatchMode):
    """Keeps how many numbers each tensor holds that is made inside."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, Tensor):
                self.numbers.add(one.untyped_storage().nbytes() // one.element_size())
        return made


@pytest.mark.parametrize("outputs", [1, 3])
def test_no_tensor_is_larger_than_a_chunk_or_the_signals(
    outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_ENTRIES", 1 << 14)
    monkeypatch.setattr(module, "_SIGNAL_NUMBERS", 1)
    count, width = 1500, 16
    net = seeded(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
    net.append(nn.Linear(width, outputs).double())
    points, parameters = torch.rand(count, 2).double(), [*net.parameters()]
    sums = sum_of_squares(
        (laplacian(net, points) + 1).square().mean()
        + mse_loss(net(points), points[:, :1].expand(-1, outputs))
    )
    assert isinstance(sums, SumOfSquares)
    uses = [uses_in(term.residual, parameters) for term in sums.terms]
    slope = torch.cat([term.slope.flatten() for term in sums.terms])[:, None]
    with _Sizes() as sizes:
        found = normal_matrix(sums, parameters, uses, slope, Workspace())
    assert isinstance(found, NormalMatrix)
    assert found.passes == 1 + outputs
    n = len(found.matrix)
    largest = max(sizes.numbers - {n**2})
    assert largest <= max(1 << 14, count * width)
    assert len(slope) * n > 40 * largest


def test_a_small_term_is_differentiated_beside_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    net = seeded(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    points, parameters = torch.rand(50, 2).double(), [*net.parameters()]
    sums = sum_of_squares(net(points).square().mean() + net(points[:3]).cumsum(0).square().sum())
    assert isinstance(sums, SumOfSquares)
    uses = [uses_in(term.residual, parameters) for term in sums.terms]
    small = len(sums.terms[0].residual) == 3
    uses = [without_places(of) if (i == 0) is small else of for i, of in enumerate(uses)]
    slope = torch.cat([term.slope.flatten() for term in sums.terms])[:, None]
    rows = row_by_row(sums, parameters)
    curvature = torch.cat([term.curvature.flatten() for term in sums.terms])
    monkeypatch.setattr(module, "_CHUNK_ENTRIES", 10 * 13)
    found = normal_matrix(sums, parameters, uses, slope, Workspace())
    assert isinstance(found, NormalMatrix)
    torch.testing.assert_close(found.matrix, rows.mT @ (curvature[:, None] * rows))
    # The large one is not.
    refused = normal_matrix(sums, parameters, [*map(without_places, uses)], slope, Workspace())
    assert isinstance(refused, Refused)
    assert "too large to be formed" in refused.reason
