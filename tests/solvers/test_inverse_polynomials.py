"""The optimal inverse polynomial: degree, error, sup-norm and coefficients, each measured."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.queries.polynomials import closed_form
from qnewton.solvers.quantum import InversePolynomial, inverse_degree, inverse_polynomial


def literal(x: np.ndarray, kappa: float, degree: int) -> np.ndarray:
    """P straight from its definition: right as long as T_n(z₀) is small enough for float64."""
    a, n = 1 / kappa, (degree + 1) // 2
    kernel = np.zeros(n + 1)
    kernel[n], kernel[n - 1] = 1.0, (1 - a) / (1 + a)

    def ratio(x):
        z = (2 * x**2 - 1 - a**2) / (1 - a**2)
        return np.polynomial.chebyshev.chebval(z, kernel)

    return (1 - ratio(x) / ratio(np.zeros(1))) / x


def measured_error(polynomial: InversePolynomial) -> float:
    x = np.geomspace(1 / polynomial.kappa, 1.0, 4001)
    return float(np.abs(polynomial.evaluate(x) - 1 / x).max())


def test_the_degrees_pinned_in_the_formula_sheet():
    assert inverse_degree(1e3, 1e-2) == 11_513
    assert inverse_polynomial(1e3, 1e-2).degree == 11_513


@settings(deadline=None, max_examples=60)
@given(kappa=st.floats(1.01, 60.0), epsilon=st.floats(1e-9, 0.9))
def test_coefficients_evaluate_to_the_definition(kappa, epsilon):
    polynomial = inverse_polynomial(kappa, epsilon)
    x = np.linspace(-1, 1, 402)
    # The literal form cancels near 0, where 1 - L/L₀ ~ x²: |x| ≥ 1/401 costs at most 4e2·κ eps.
    np.testing.assert_allclose(
        polynomial.evaluate(x),
        literal(x, kappa, polynomial.degree),
        atol=1e-10 * polynomial.sup_norm,
        rtol=0,
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(log_kappa=st.floats(1e-6, 3.0), log_epsilon=st.floats(-10.0, -0.05))
def test_the_error_stays_within_its_bound_and_the_bound_within_epsilon(log_kappa, log_epsilon):
    polynomial = inverse_polynomial(10**log_kappa, 10**log_epsilon)
    assert polynomial.error_bound <= polynomial.epsilon * (1 + 1e-12)
    # 1e-13 of max|P| is the rounding of a sum of 10⁴ terms.
    assert measured_error(polynomial) <= polynomial.error_bound + 1e-13 * polynomial.sup_norm


@pytest.mark.parametrize(("kappa", "epsilon"), [(5.0, 1e-3), (80.0, 1e-6), (1e3, 1e-2)])
def test_the_bound_is_attained_and_no_lower_degree_would_do(kappa, epsilon):
    polynomial = inverse_polynomial(kappa, epsilon)
    assert measured_error(polynomial) == pytest.approx(polynomial.error_bound, rel=1e-6)
    shrink = (kappa - 1) / (kappa + 1)
    assert polynomial.error_bound / shrink > epsilon


@settings(deadline=None, max_examples=40)
@given(kappa=st.floats(1.0, 300.0), epsilon=st.floats(1e-9, 0.9))
def test_the_sup_norm_is_the_maximum_over_the_whole_interval(kappa, epsilon):
    polynomial = inverse_polynomial(kappa, epsilon)
    x = np.concatenate([np.linspace(0, 1, 5001), np.linspace(0, min(1.0, 2 / kappa), 5001)])
    highest = np.abs(polynomial.evaluate(x)).max()
    assert highest <= polynomial.sup_norm * (1 + 1e-10)
    assert highest >= polynomial.sup_norm * (1 - 1e-3)


def test_the_sup_norm_agrees_with_its_asymptote():
    for kappa, epsilon in ((1e3, 1e-2), (1e3, 1e-10), (1e4, 1e-6)):
        asymptote = 0.45 * kappa * math.sqrt(math.log(kappa / epsilon))
        assert inverse_polynomial(kappa, epsilon).sup_norm == pytest.approx(asymptote, rel=0.07)


@pytest.mark.slow
@pytest.mark.parametrize(("kappa", "epsilon"), [(2e3, 1e-6), (1e4, 1e-3), (4e4, 1e-6)])
def test_stable_to_degree_976_000(kappa, epsilon):
    polynomial = inverse_polynomial(kappa, epsilon)
    assert polynomial.degree > 40_000
    x = np.concatenate([np.linspace(0, 2 / kappa, 101), np.linspace(0, 1, 101)])
    reference = closed_form(x, kappa, (polynomial.degree + 1) // 2)
    # Measured 7e-15 of max|P| at degree 111,665.
    np.testing.assert_allclose(
        polynomial.evaluate(x), reference, rtol=0, atol=1e-13 * polynomial.sup_norm
    )


@pytest.mark.parametrize(("kappa", "epsilon"), [(300.0, 0.1), (1e3, 1e-2), (5e3, 1e-6)])
def test_evaluation_is_accurate_next_to_one(kappa, epsilon):
    # Plain Clenshaw was off by 8e-11 at x = 1 at degree 2,405.
    polynomial = inverse_polynomial(kappa, epsilon)
    x = np.append(1 - np.geomspace(1e-16, 1e-2, 200), 1.0)
    reference = closed_form(x, kappa, (polynomial.degree + 1) // 2)
    np.testing.assert_allclose(polynomial.evaluate(x), reference, rtol=0, atol=2e-11)


def test_evaluation_is_odd_and_keeps_the_shape():
    polynomial = inverse_polynomial(20.0, 1e-3)
    x = np.linspace(-1, 1, 12).reshape(3, 4)
    assert polynomial.evaluate(x).shape == (3, 4)
    np.testing.assert_allclose(polynomial.evaluate(-x), -polynomial.evaluate(x), rtol=1e-14)
    assert polynomial.evaluate(0.0) == 0.0


def test_kappa_one_is_the_identity_polynomial():
    polynomial = inverse_polynomial(1.0, 1e-12)
    assert polynomial.degree == 1
    assert polynomial.sup_norm == 1.0
    assert polynomial.error_bound == 0.0
    assert polynomial.coefficients.tolist() == [1.0]


@given(st.floats(1.0, 1e6), st.floats(1e-12, 0.9))
def test_degree_rises_with_kappa_and_with_precision(kappa, epsilon):
    degree = inverse_degree(kappa, epsilon)
    assert degree % 2 == 1
    assert inverse_degree(kappa * 1.5, epsilon) >= degree
    assert inverse_degree(kappa, epsilon / 2) >= degree


@pytest.mark.parametrize(
    ("kappa", "epsilon", "message"),
    [
        (0.5, 1e-3, "kappa is 0.5"),
        (math.nan, 1e-3, "kappa is nan"),
        (math.inf, 1e-3, "kappa is inf"),
        (10.0, 0.0, "epsilon is 0.0"),
        (10.0, 1.0, "epsilon is 1.0"),
        (10.0, math.nan, "epsilon is nan"),
        (1e9, 1e-3, "above the limit of 1,000,000"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(kappa, epsilon, message):
    with pytest.raises(ValueError, match=message):
        inverse_polynomial(kappa, epsilon)


def test_coefficients_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        inverse_polynomial(10.0, 1e-2).coefficients[0] = 0.0
