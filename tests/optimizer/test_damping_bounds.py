"""λ follows the present curvature and gradient, wherever the run began."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton import Limits, QNewton
from qnewton.operators import DenseOperator
from qnewton.optimizer.damping_state import present_ceiling, present_floor

NIST = Path(os.environ.get("QNEWTON_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
NIST = NIST / "nist"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("start", [12.0, 5.0, -2.0])
def test_a_curvature_that_falls_by_orders_of_magnitude(dtype: torch.dtype, start: float) -> None:
    w = nn.Parameter(torch.tensor([start], dtype=dtype))
    optimizer = QNewton([w])
    for _ in range(60):
        optimizer.step(lambda: ((w.exp() - 1) ** 2).sum())
    # From w = 12 the curvature falls from 1e11 to 2.
    assert abs(w.item()) < 1e-6
    last = optimizer.records[-1].damping
    assert last is not None
    assert last.strength < 0.1
    for record in optimizer.records:
        judged = record.damping
        assert judged is not None
        # What the record says of λ is what became of it.
        assert ("falls" in judged.reason) == (judged.next_strength < judged.strength)
        assert ("grow" in judged.reason) == (judged.next_strength > judged.strength)


def _hahn1() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x, y, both starts as rows, and the certified parameters."""
    lines = (NIST / "Hahn1.dat").read_text(encoding="ascii").splitlines()
    given = [line.split("=")[1].split() for line in lines if line.strip().startswith("b")]
    table = torch.tensor(
        [[float(number) for number in row[:3]] for row in given if len(row) >= 4],
        dtype=torch.float64,
    )
    begin = max(i for i, line in enumerate(lines) if line.startswith("Data:"))
    data = torch.tensor(
        [[float(number) for number in line.split()] for line in lines[begin + 1 :] if line.strip()],
        dtype=torch.float64,
    )
    return data[:, 1], data[:, 0], table[:, :2].mT, table[:, 2]


@pytest.mark.slow
@pytest.mark.skipif(not (NIST / "Hahn1.dat").exists(), reason="NIST's reference data is not here")
@pytest.mark.parametrize("start", [0, 1])
def test_hahn1_reaches_its_certified_parameters(start: int) -> None:
    x, y, starts, certified = _hahn1()
    b = nn.Parameter(starts[start].clone())

    def closure() -> Tensor:
        above = b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3
        return ((y - above / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)) ** 2).sum()

    optimizer = QNewton([b])
    for _ in range(400):
        optimizer.step(closure)
    assert float((b.detach() / certified - 1).abs().max()) < 1e-8


def test_parameters_of_very_different_scale_are_all_fitted() -> None:
    x = torch.linspace(1.0, 800.0, 50, dtype=torch.float64)
    basis = torch.stack([x**0, x, x**2, x**3], 1)
    y = 3.0 + 1e-2 * x - 4e-5 * x**2 + 2e-8 * x**3 + 0.01 * torch.sin(x)
    b = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = QNewton([b])
    for _ in range(60):
        optimizer.step(lambda: (basis @ b - y).square().sum())
    exact = np.linalg.lstsq(basis.numpy(), y.numpy(), rcond=None)[0]
    assert b.detach().numpy() == pytest.approx(exact, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("at", [0, 4])
def test_one_batch_out_of_proportion_does_not_freeze_the_damping(
    dtype: torch.dtype, at: int
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).to(dtype)
    inputs, targets = torch.randn(16, 4, dtype=dtype), torch.randn(16, 2, dtype=dtype)
    optimizer = QNewton(net, limits=Limits(budget=math.inf))
    for step in range(40):
        scale = 1e20 if step == at else 1.0
        optimizer.step(lambda scale=scale: scale * mse_loss(net(inputs), targets))
    records = list(optimizer.records)
    last = records[-1].damping
    assert last is not None
    assert last.strength < 10.0
    assert records[-1].loss < 0.7 * records[at + 1].loss
    # The next batch already shows whether λ is too large.
    after = records[at + 1].damping
    assert after is not None
    assert after.ceiling is not None
    assert after.strength <= after.ceiling < 1e15


def test_the_floor_is_of_the_curvature_along_the_step() -> None:
    step = torch.tensor([0.0, 3.0], dtype=torch.float64)
    assert present_floor(step, bend=9 * 5.0) == pytest.approx(5 * 2.0**-52)
    # A step that is zero, or far too long to square.
    assert present_floor(torch.zeros(2), bend=0.0) > 0.0
    assert present_floor(torch.tensor([1e200], dtype=torch.float64), bend=0.0) > 0.0


def test_the_ceiling_is_measured_only_where_the_loss_does_not_explain_the_damping() -> None:
    gradient = torch.tensor([1.0, 0.0], dtype=torch.float64)
    curvature = DenseOperator(torch.diag(torch.tensor([3.0, 4.0], dtype=torch.float64)))
    explained = present_ceiling(1.0, gradient, curvature, 1e-6, seed=0)
    assert explained == pytest.approx(5e5)
    # Ten times the Frobenius norm, 5.
    measured = present_ceiling(1e9, 1e-6 * gradient, curvature, 1e-6, seed=0)
    assert measured == pytest.approx(50.0)
