"""Two computations of a derivative are compared whatever the unit of the loss."""

import math

import pytest
import torch

from qnewton.curvature.routes import difference


@pytest.mark.parametrize(
    ("dtype", "unit"),
    [(torch.float32, u) for u in (1e-30, 1e-20, 1.0, 1e20, 1e30)]
    + [(torch.float64, u) for u in (1e-300, 1e-160, 1.0, 1e160, 1e300)],
)
def test_a_difference_has_no_unit(dtype, unit):
    expected = unit * torch.tensor([3.0, 4.0], dtype=dtype)
    found = unit * torch.tensor([3.0, 5.0], dtype=dtype)
    assert difference(found, expected) == pytest.approx(0.2, rel=1e-6)
    assert difference(expected, expected) == 0.0


def test_a_difference_from_nothing_is_infinite():
    nothing = torch.zeros(3)
    assert difference(nothing, nothing) == 0.0
    assert difference(torch.ones(3), nothing) == math.inf
