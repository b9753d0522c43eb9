"""The gain of a solution: 1 at least, κ at most, and the same in every unit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.records import Facts, Spectrum
from qnewton.survey import solution_gain
from tests.cases import draw, geometric, with_spectrum


@settings(deadline=None, max_examples=50)
@given(
    n=st.integers(1, 12),
    kappa=st.floats(1.0, 1e4),
    matrix_unit=st.integers(-150, 150),
    rhs_unit=st.integers(-150, 150),
    seed=st.integers(0, 99),
)
def test_a_gain_lies_between_one_and_kappa_whatever_the_units(
    n, kappa, matrix_unit, rhs_unit, seed
):
    matrix, rhs = with_spectrum(geometric(n, kappa), seed), draw(n, seed=seed)
    solution = torch.linalg.solve(matrix, rhs)
    plain = solution_gain(Facts(n=n, spectrum=Spectrum(norm=1.0)), rhs, solution)
    assert plain is not None
    assert 1.0 <= plain <= kappa * (1 + 1e-9)
    facts = Facts(n=n, spectrum=Spectrum(norm=10.0**matrix_unit))
    scaled = solution * 10.0**rhs_unit / 10.0**matrix_unit
    assert solution_gain(facts, rhs * 10.0**rhs_unit, scaled) == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("norm", [None, 0.0])
def test_without_a_norm_nothing_is_known(norm):
    assert solution_gain(Facts(n=2, spectrum=Spectrum(norm=norm)), draw(2), draw(2)) is None


def test_a_right_hand_side_of_zero_has_no_gain():
    facts = Facts(n=2, spectrum=Spectrum(norm=1.0))
    assert solution_gain(facts, torch.zeros(2), torch.zeros(2)) is None
