import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseOperator, MatrixFreeOperator
from qnewton.survey import condition_number
from tests import oracles
from tests.cases import with_spectrum


def spectra(n: int) -> dict[str, torch.Tensor]:
    u = torch.linspace(0, 1, n, dtype=torch.float64)
    bulk = 0.1 + 0.02 * torch.randn(n, generator=torch.Generator().manual_seed(1)).double()
    bulk[-20:] = torch.linspace(-0.5, 5, 20, dtype=torch.float64)
    return {
        "linear": 1e-2 + u,
        "logarithmic": 10 ** (-2 * u),
        "one small eigenvalue": torch.cat([torch.tensor([1e-3]), 1 + u[1:] / 2]),
        "outliers": torch.cat([10 ** (3 * u[-20:]), 1 + u[20:] / 2]),
        "hessian-like": bulk,
        "indefinite": torch.where(u < 0.3, -1 + 3 * u, u + 0.02),
        "negative": -0.1 - u,
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", spectra(40))
@pytest.mark.parametrize("seed", range(3))
def test_lanczos_meets_its_tolerance_inside_its_bracket(name, dtype, seed):
    eigenvalues = spectra(300)[name]
    matrix = with_spectrum(eigenvalues, seed, dtype)
    estimate = condition_number(matrix, seed=seed, max_products=300)
    true = oracles.condition_number(matrix)
    assert estimate.value == pytest.approx(true, rel=0.01)
    assert estimate.low is not None
    # The reference is itself an eigenvalue solver's: a few ulp times κ.
    assert estimate.low <= true * (1 + 1e-9)
    assert estimate.low_certificate is not None
    if estimate.high is not None:
        assert estimate.high >= true * (1 - 1e-9)
        assert "1 - 1e-6" in (estimate.high_certificate or "")
    assert 0 < estimate.products <= 300


@pytest.mark.slow
def test_lanczos_does_not_stop_before_an_interior_eigenvalue_shows():
    # A Ritz pair beside zero converges 100 products before a nearer one appears.
    u = torch.linspace(0, 1, 1500, dtype=torch.float64)
    eigenvalues = torch.where(u < 0.3, -1 + u / 0.3 * 0.99, 0.01 + (u - 0.3) / 0.7 * 0.99)
    matrix = with_spectrum(eigenvalues, 1, torch.float32)
    assert condition_number(matrix, seed=11, max_products=1500).value == pytest.approx(
        oracles.condition_number(matrix), rel=0.01
    )


def test_lanczos_is_exact_on_small_matrices_and_repeats_itself():
    matrix = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, -4.0]])
    first, second = condition_number(matrix, seed=3), condition_number(matrix, seed=3)
    assert first == second
    assert first.value == pytest.approx(oracles.condition_number(matrix), rel=1e-5)
    assert first.high == pytest.approx(oracles.condition_number(matrix), rel=1e-4)


@pytest.mark.parametrize("method", ["lanczos", "exact", "determinant", "trace"])
@pytest.mark.parametrize("n", [1, 5])
def test_multiples_of_the_identity_have_condition_number_one(method, n):
    # The shift that certifies Cholesky costs the bounds about √(N²·1e-16).
    estimate = condition_number(3.0 * torch.eye(n, dtype=torch.float64), method)
    assert estimate.value == pytest.approx(1.0, abs=1e-6)


def test_lanczos_multiplies_and_nothing_else():
    diagonal = torch.linspace(1, 9, 50)
    calls = []

    def product(vector):
        calls.append(1)
        return diagonal * vector

    operator = MatrixFreeOperator(50, product)
    operator.dense = lambda: pytest.fail("entries were formed")
    estimate = condition_number(operator)
    assert estimate.value == pytest.approx(9.0, rel=0.01)
    assert estimate.products == len(calls)


def test_lanczos_out_of_products_gives_a_lower_bound_and_no_value():
    matrix = with_spectrum(torch.logspace(-4, 0, 200), 0)
    estimate = condition_number(matrix, max_products=20)
    assert (estimate.products, estimate.value) == (20, None)
    assert estimate.low is not None
    assert 1.0 < estimate.low < oracles.condition_number(matrix)


@pytest.mark.parametrize("method", ["lanczos", "exact"])
@pytest.mark.parametrize("diagonal", [[1.0, 2.0, 0.0], [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0]])
def test_singular_matrices_have_no_value(method, diagonal):
    estimate = condition_number(torch.diag(torch.tensor(diagonal)), method)
    assert estimate.value is None
    assert estimate.high is None
    assert estimate.low is not None
    assert estimate.low >= (1e5 if any(diagonal) else 1.0)


def test_tighter_tolerance_costs_more_products():
    matrix = with_spectrum(torch.linspace(0.01, 1, 300), 0)
    loose, tight = condition_number(matrix, tolerance=0.1), condition_number(matrix, tolerance=1e-4)
    assert loose.products < tight.products
    assert tight.value == pytest.approx(oracles.condition_number(matrix), rel=1e-4)


def test_known_definiteness_sharpens_the_lower_end():
    matrix = with_spectrum(torch.logspace(-2, 0, 200), 0)
    plain = condition_number(matrix, max_products=15)
    known = condition_number(matrix, max_products=15, positive_definite=True)
    assert plain.low is not None
    assert known.low is not None
    assert plain.low <= known.low <= oracles.condition_number(matrix)
    assert "Rayleigh" in (known.low_certificate or "")


def test_exact_closes_its_bracket():
    matrix = with_spectrum(torch.tensor([-8.0, 1.0, 2.0, 4.0]), 0)
    estimate = condition_number(matrix, "exact")
    assert estimate.value == pytest.approx(8.0, rel=1e-12)
    assert estimate.low == estimate.high == estimate.value


TRAP = torch.diag(torch.tensor([5.0, 5.0, 5.0, 5.0, -1.0, -1.0], dtype=torch.float64))


def test_trace_refuses_the_indefinite_matrix_it_would_be_wrong_on():
    # Its formula gives "2.21" for κ = 5.
    log_y = 4 * math.log(5.0) - 6 * math.log(18 / 6)
    x = math.sqrt(-math.expm1(log_y))
    assert (1 + x) / (1 - x) == pytest.approx(2.21, abs=0.005)
    with pytest.raises(ValueError, match=r"positive definite.*pivot 5 of 6"):
        condition_number(TRAP, "trace")
    with pytest.raises(ValueError, match="known not to be positive definite"):
        condition_number(TRAP, "trace", positive_definite=False)
    bound = condition_number(TRAP, "determinant")
    assert bound.high is not None
    assert bound.high >= 5.0


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.integers(2, 12), st.floats(0.0, 4.0), st.booleans())
def test_bounds_are_never_violated(seed, n, decades, definite):
    generator = torch.Generator().manual_seed(seed)
    sizes = 10 ** (decades * torch.rand(n, generator=generator, dtype=torch.float64))
    signs = torch.randint(0, 2, (n,), generator=generator) * 2 - 1
    matrix = with_spectrum(sizes if definite else sizes * signs, seed)
    true = oracles.condition_number(matrix)
    bound = condition_number(matrix, "determinant")
    assert bound.high is not None
    # Rounding of the reference: ulp times κ ≤ 1e4 times n.
    assert bound.high >= true * (1 - 1e-9)
    if definite:
        by_trace = condition_number(matrix, "trace")
        assert by_trace.high is not None
        assert by_trace.high >= true * (1 - 1e-9)
        assert "Merikoski" in (by_trace.high_certificate or "")


@pytest.mark.parametrize("eigenvalues", [[1.0, 7.0], [0.3, 0.3001], [1e-6, 1.0]])
def test_both_bounds_are_exact_for_two_unknowns(eigenvalues):
    matrix = with_spectrum(torch.tensor(eigenvalues, dtype=torch.float64), 0)
    true = oracles.condition_number(matrix)
    # y is known to an ulp or the certifying shift, about 1e-15; at κ ≈ 1 its root counts.
    tolerance = max(1e-7, 1e-9 * true)
    assert condition_number(matrix, "trace").value == pytest.approx(true, rel=tolerance)
    assert condition_number(matrix, "determinant").value == pytest.approx(true, rel=tolerance)
    indefinite = with_spectrum(torch.tensor([-eigenvalues[0], eigenvalues[1]]).double(), 0)
    found = condition_number(indefinite, "determinant").value
    assert found == pytest.approx(true, rel=tolerance)


def test_an_overflowing_bound_keeps_its_logarithm():
    eigenvalues = torch.logspace(-3, 0, 600, dtype=torch.float64)
    matrix = torch.diag(eigenvalues)
    estimate = condition_number(matrix, "determinant")
    assert (estimate.value, estimate.high) == (None, None)
    # κ → 2/√y where y vanishes.
    log_y = 600 * math.log(600 / float(eigenvalues.square().sum()))
    log_y += 2 * float(eigenvalues.log().sum())
    assert estimate.log_value == pytest.approx(math.log(2) - log_y / 2, rel=1e-9)
    assert estimate.log_value is not None
    assert estimate.log_value > 709
    by_trace = condition_number(matrix, "trace")
    assert by_trace.value is None
    log_y = 600 * math.log(600 / float(eigenvalues.sum())) + float(eigenvalues.log().sum())
    assert by_trace.log_value == pytest.approx(math.log(4) - log_y, rel=1e-6)


def test_large_bounds_agree_with_their_logarithm():
    estimate = condition_number(torch.diag(torch.logspace(-1, 0, 60).double()), "determinant")
    assert estimate.value is not None
    assert estimate.log_value == pytest.approx(math.log(estimate.value))


@pytest.mark.parametrize("diagonal", [[1.0, 0.0], [0.0, 0.0]])
def test_the_determinant_bound_of_a_singular_matrix_is_unknown_and_says_so(diagonal):
    estimate = condition_number(torch.diag(torch.tensor(diagonal)), "determinant")
    assert (estimate.value, estimate.high, estimate.log_value) == (None, None, None)
    assert "infinite" in (estimate.high_certificate or "")
    with pytest.raises(ValueError, match="positive definite"):
        condition_number(torch.diag(torch.tensor(diagonal)), "trace")


def test_float32_cholesky_certifies_nothing(monkeypatch):
    monkeypatch.setattr("qnewton.survey.determinant._FLOAT64_ROWS", 0)
    matrix = torch.diag(torch.linspace(1, 4, 9))
    estimate = condition_number(matrix, "trace")
    assert estimate.value is not None
    assert estimate.value >= 4.0
    assert (estimate.high, estimate.high_certificate) == (None, None)
    believed = condition_number(matrix, "trace", positive_definite=True)
    assert believed.high == believed.value == estimate.value


def test_input_is_left_alone():
    matrix = TRAP.clone()
    for method in ("determinant", "exact", "lanczos"):
        condition_number(matrix, method)
    assert torch.equal(matrix, TRAP)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"tolerance": 0.0}, r"outside \(0, 1\)"),
        ({"tolerance": 1.0}, r"outside \(0, 1\)"),
        ({"tolerance": math.nan}, r"outside \(0, 1\)"),
        ({"max_products": 0}, "at least 1"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        condition_number(torch.eye(3), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["lanczos", "exact", "determinant", "trace"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_matrices_that_are_not_finite_are_refused(method, bad):
    broken = DenseOperator(torch.full((3, 3), bad))
    with pytest.raises(ValueError, match="not finite"):
        condition_number(broken, method)
