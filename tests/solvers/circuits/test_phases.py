"""Phase angles against the polynomial they stand for, multiplied out qubit by qubit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.records import Outcome
from qnewton.solvers.quantum import (
    SystemRefused,
    cks_polynomial,
    inverse_degree,
    inverse_polynomial,
)
from qnewton.solvers.quantum.circuits.phases import (
    completed,
    inverse_phases,
    kernel_phases,
    projector_phases,
)
from qnewton.solvers.quantum.dalzell import KernelFilter

X = np.linspace(-1.0, 1.0, 301)


def response(phases, x):
    """Return Re[e^{i·offset} ⟨0|e^{iφ_0 Z} R(x) … e^{iφ_d Z}|0⟩], a product of 2 × 2 matrices."""
    sine = np.sqrt(1.0 - x**2)
    upper = np.exp(1j * phases.angles[0]) * np.ones_like(x, dtype=complex)
    lower = np.zeros_like(upper)
    for angle in phases.angles[1:]:
        upper, lower = upper * x + lower * sine, upper * sine - lower * x
        upper, lower = upper * np.exp(1j * angle), lower * np.exp(-1j * angle)
    return (np.exp(1j * phases.offset) * upper).real


@settings(deadline=None, max_examples=80)
@given(kappa=st.floats(1.0, 60.0), log_epsilon=st.floats(-12.0, -0.05))
def test_the_optimal_inverse(kappa, log_epsilon):
    polynomial = inverse_polynomial(kappa, 10**log_epsilon)
    found = response(inverse_phases(polynomial), X)
    assert np.abs(found - polynomial.at(X) / polynomial.sup_norm).max() <= 1e-11


@pytest.mark.parametrize("kappa", [1.5, 5.0, 20.0])
def test_the_inverse_of_childs_kothari_and_somma(kappa):
    polynomial = cks_polynomial(kappa, 1e-3)
    found = response(inverse_phases(polynomial), X)
    # Its maximum is measured on a grid.
    assert np.abs(found - polynomial.at(X) / polynomial.sup_norm).max() <= 1e-8


@settings(deadline=None, max_examples=60)
@given(kappa=st.floats(1.001, 60.0), share=st.floats(0.0, 1.0))
def test_the_kernel_s_filter_and_projector(kappa, share):
    # At the largest degree the filter is 1e-16 off where the promise holds.
    kernel = KernelFilter(kappa, max(1, round(share * 18.0 * kappa)))
    values = kernel.of_squares(X**2)
    assert np.abs(response(kernel_phases(kernel), X) - values).max() <= 1e-9
    assert np.abs(response(projector_phases(kernel), X) - (values + 1.0) / 2.0).max() <= 1e-9


def test_a_degree_of_ten_thousand():
    assert inverse_degree(300.0, 1e-12) == 10_001
    polynomial = inverse_polynomial(300.0, 1e-12)
    found = response(inverse_phases(polynomial), X)
    assert np.abs(found - polynomial.at(X) / polynomial.sup_norm).max() <= 1e-11


def test_a_short_inverse_of_childs_kothari_and_somma_is_largest_at_one():
    polynomial = cks_polynomial(1.2215, 0.737)
    assert polynomial.degree == 1
    assert polynomial.sup_norm == float(polynomial.evaluate(1.0))
    phases = inverse_phases(polynomial)
    assert np.abs(response(phases, X) - X).max() <= 1e-14


def test_a_polynomial_above_one_has_no_angles():
    with pytest.raises(SystemRefused, match="no phase angles were found") as refused:
        completed(3, lambda t: (np.cos(t), np.ones_like(t)))
    assert refused.value.outcome is Outcome.NOT_CONVERGED
