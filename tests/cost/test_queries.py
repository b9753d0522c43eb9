import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import queries
from qnewton.cost.queries import (
    JENNINGS_MIN_KAPPA,
    JENNINGS_SUCCESS_SLOPE,
    Q_NEWTON_SUCCESS_SLOPE,
    jennings_2023,
    logical_qubits,
)

QUICK = settings(deadline=None, max_examples=200)
alphas = st.floats(1e-3, 1e6)
kappas = st.floats(JENNINGS_MIN_KAPPA, 1e12)
epsilons = st.floats(1e-30, 0.24)


@pytest.mark.parametrize(
    ("alpha", "kappa", "epsilon", "count", "expected"),
    [
        (1, 1e3, 1e-2, "268080.83", "691001.21"),
        (64, 100, 1e-10, "1347519.53", "3455178.28"),
    ],
)
def test_pinned_values_to_every_digit(alpha, kappa, epsilon, count, expected):
    found = jennings_2023(alpha=alpha, kappa=kappa, epsilon=epsilon)
    assert f"{found.queries:.2f}" == count
    assert f"{found.expected:.2f}" == expected
    assert found.provenance == "transcribed"
    assert "2305.11352" in found.theorem


def _inverse_epsilon_slope(alpha, kappa, epsilon):
    """How much the count gains when ε shrinks by a factor e."""
    near = jennings_2023(alpha=alpha, kappa=kappa, epsilon=epsilon).queries
    far = jennings_2023(alpha=alpha, kappa=kappa, epsilon=epsilon / math.e).queries
    return far - near


def test_trap_e_is_the_base_of_logarithms_not_the_error():
    # With ε in place of e the first term would vanish with ε; instead the whole dependence on ε
    # is logarithmic, with the slope ακ + (351/50)·L² exactly.
    alpha, kappa = 3.0, 50.0
    slope = alpha * kappa + 7.02 * math.log(2 * kappa + 3) ** 2
    for epsilon in (0.2, 1e-6, 1e-40):
        # rel: the difference of two counts near 1e4 loses 2 digits of 16.
        assert _inverse_epsilon_slope(alpha, kappa, epsilon) == pytest.approx(slope, rel=1e-10)


def test_trap_the_result_is_not_multiplied_by_alpha_again():
    # Affine in α: multiplied again it would be quadratic.
    counts = [jennings_2023(alpha=a, kappa=40.0, epsilon=1e-8).queries for a in (1, 2, 3)]
    # rel: one subtraction of numbers of equal size.
    assert counts[2] - counts[1] == pytest.approx(counts[1] - counts[0], rel=1e-12)


def test_success_probability_takes_either_published_slope():
    ours = jennings_2023(alpha=1, kappa=10, epsilon=0.1)
    printed = jennings_2023(alpha=1, kappa=10, epsilon=0.1, success_slope=Q_NEWTON_SUCCESS_SLOPE)
    assert JENNINGS_SUCCESS_SLOPE == 0.204
    assert ours.success_probability == 0.39 - 0.204 * 0.1
    assert printed.success_probability == 0.39 - 0.201 * 0.1
    assert ours.queries == printed.queries
    assert abs(ours.expected / printed.expected - 1) < 3e-3


@QUICK
@given(alphas, kappas, epsilons, st.floats(1.0001, 100.0))
def test_counts_are_finite_positive_and_rise_with_alpha_kappa_and_precision(
    alpha, kappa, epsilon, factor
):
    count = jennings_2023(alpha=alpha, kappa=kappa, epsilon=epsilon)
    assert 0 < count.queries < count.expected < math.inf
    for harder in (
        jennings_2023(alpha=alpha * factor, kappa=kappa, epsilon=epsilon),
        jennings_2023(alpha=alpha, kappa=kappa * factor, epsilon=epsilon),
        jennings_2023(alpha=alpha, kappa=kappa, epsilon=epsilon / factor),
    ):
        assert harder.queries > count.queries
    # The success probability falls as ε grows, so the expected count is checked apart from it.
    precise = jennings_2023(alpha=alpha, kappa=kappa, epsilon=epsilon / factor)
    assert precise.success_probability >= count.success_probability


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("alpha", 0.0, "above 0"),
        ("alpha", -1.0, "above 0"),
        ("alpha", math.nan, "above 0"),
        ("alpha", math.inf, "finite"),
        ("kappa", math.nextafter(JENNINGS_MIN_KAPPA, 0), "√12"),
        ("kappa", math.nan, "√12"),
        ("kappa", math.inf, "finite"),
        ("epsilon", 0.0, "above 0"),
        ("epsilon", -1e-3, "above 0"),
        ("epsilon", math.nextafter(0.24, 1), "at most 0.24"),
        ("epsilon", math.nan, "0.24"),
        ("success_slope", -0.1, "at least 0"),
        ("success_slope", 39.0, "above 0"),
        ("success_slope", math.nan, "0.204"),
    ],
)
def test_outside_the_theorem_is_one_line_naming_field_and_limit(field, value, limit):
    arguments = {"alpha": 1.0, "kappa": 10.0, "epsilon": 0.01, field: value}
    with pytest.raises(ValueError, match=f"^{field} is ") as raised:
        jennings_2023(**arguments)
    assert limit in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_theorems_own_limits_are_inside_it():
    at_limit = jennings_2023(alpha=1, kappa=JENNINGS_MIN_KAPPA, epsilon=0.24)
    assert at_limit.success_probability > 0.34


def test_smallest_error_of_a_float_does_not_overflow():
    assert math.isfinite(jennings_2023(alpha=1, kappa=10, epsilon=5e-324).expected)


def test_a_count_beyond_float64_is_refused_not_infinite():
    assert math.isfinite(jennings_2023(alpha=1, kappa=1e300, epsilon=1e-12).expected)
    for alpha, kappa in ((1e10, 1e300), (1.0, 1.7e308), (1e308, 10.0)):
        with pytest.raises(OverflowError, match="exceeds the largest float64"):
            jennings_2023(alpha=alpha, kappa=kappa, epsilon=1e-12)


@pytest.mark.parametrize(
    ("n", "register"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1482, 11), (12_544, 14)]
)
def test_logical_qubits(n, register):
    assert logical_qubits(n, 3) == 3 + 6 + register
    assert logical_qubits(n, 0) == 6 + register


@pytest.mark.parametrize(("n", "ancillas", "field"), [(0, 1, "n"), (4, -1, "ancillas")])
def test_logical_qubits_out_of_range(n, ancillas, field):
    with pytest.raises(ValueError, match=f"^{field} is "):
        logical_qubits(n, ancillas)


def test_queries_is_reachable_from_the_room():
    import qnewton

    assert qnewton.cost.queries is queries
