"""The bracket of Lanczos on random spectra, with a budget and without."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseOperator, MatrixFreeOperator
from qnewton.records import Estimate
from qnewton.survey import condition_number, survey
from qnewton.survey.condition import cheaper_products, most_products, thrifty_products
from tests.cases import with_spectrum

TOLERANCE = 0.01


def spectrum(kind: str, n: int, decades: float, generator: torch.Generator) -> torch.Tensor:
    """Return n eigenvalues whose sizes span ``decades`` powers of ten."""
    uniform = torch.rand(n, generator=generator, dtype=torch.float64)
    if kind == "clustered":
        centers = 10 ** (-decades * torch.rand(4, generator=generator, dtype=torch.float64))
        picks = torch.randint(4, (n,), generator=generator)
        return centers[picks] * (1 + 1e-6 * uniform)
    sizes = 10 ** (-decades * uniform)
    if kind == "indefinite":
        return sizes * (torch.randint(0, 2, (n,), generator=generator) * 2 - 1)
    if kind == "definite":
        return 10**-decades + uniform
    return sizes


def check(estimate: Estimate, true: float, error: float, budget: int) -> None:
    assert estimate.products <= budget
    assert estimate.low is not None
    assert estimate.low_certificate is not None
    assert 1.0 <= estimate.low <= true * (1 + error)
    assert (estimate.high is None) == (estimate.high_certificate is None)
    if estimate.high is not None:
        assert estimate.high >= true * (1 - error)
    if estimate.value is not None:
        assert estimate.low <= estimate.value <= (estimate.high or float("inf"))


# The fixture is a pure function, so there is nothing to reset between examples.
@settings(
    deadline=None,
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 150),
    kind=st.sampled_from(["definite", "logarithmic", "clustered", "indefinite"]),
    decades=st.floats(0.0, 4.0),
    budget=st.integers(1, 200),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_bracket_holds_whatever_the_budget(seed, n, kind, decades, budget, dtype):
    generator = torch.Generator().manual_seed(seed)
    matrix = with_spectrum(spectrum(kind, n, decades, generator), seed, dtype)
    sizes = torch.linalg.eigvalsh(matrix.double()).abs()
    true = float(sizes.max() / sizes.min())
    # Of the reference: N ulp of the norm against the smallest |λ|.
    error = n * 2.3e-16 * true
    estimate = condition_number(matrix, tolerance=TOLERANCE, seed=seed, max_products=budget)
    check(estimate, true, error, budget)
    if estimate.value is None:
        # Ended by its budget, or by the rounding of float32 products.
        assert estimate.products == min(budget, n) or true > 1e3


def test_a_value_is_given_exactly_when_the_tolerance_is_met():
    matrix = with_spectrum(torch.linspace(0.02, 1, 300), 0)
    whole = condition_number(matrix, max_products=300)
    assert whole.value is not None
    for budget in (1, 3, 5, whole.products // 4, whole.products):
        estimate = condition_number(matrix, max_products=budget)
        assert estimate.products == budget
        assert (estimate.value is not None) == (budget == whole.products)


def test_once_met_it_goes_on_for_an_upper_end_but_at_most_as_long_again():
    # A damped low-rank matrix, like a network's Hessian.
    outliers = 3.5 * 10 ** (-3 * torch.linspace(0, 1, 60))
    matrix = torch.diag(0.1 + torch.cat([outliers, torch.linspace(0, 1e-3, 1_940)]))
    whole = condition_number(matrix, max_products=2_000)
    earliest = next(
        estimate
        for budget in range(8, whole.products + 1)
        if (estimate := condition_number(matrix, max_products=budget)).value is not None
    )
    # Out of products before there is an upper end: the tolerance was met all the same.
    assert earliest.value == pytest.approx(36.0, rel=TOLERANCE)
    assert earliest.high is None
    assert whole.high is not None
    assert earliest.products < whole.products <= 2 * earliest.products


def test_certificates_name_what_they_rest_on():
    definite = with_spectrum(torch.linspace(1, 4, 200), 0)
    found = condition_number(definite, max_products=200)
    assert "positive definite A, with probability 1 - 1e-6" in (found.low_certificate or "")
    assert "Lanczos polynomial bound" in (found.high_certificate or "")
    given_definite = condition_number(definite, positive_definite=True, max_products=200)
    assert "as given" in (given_definite.low_certificate or "")
    small = condition_number(with_spectrum(torch.tensor([1.0, 2.0, 3.0]), 0))
    assert "basis is complete" in (small.high_certificate or "")
    indefinite = condition_number(with_spectrum(torch.tensor([-1.0, 2.0, 3.0]), 0))
    assert "any symmetric matrix" in (indefinite.low_certificate or "")


@pytest.mark.parametrize("n", [1, 2, 40, 64, 65, 600, 5_000, 100_000])
def test_a_run_to_the_tolerance_ends_where_all_eigenvalues_are_cheaper(n):
    k = cheaper_products(n)
    assert 1 <= k <= n
    if n > 64:
        assert (
            2 * n**2 * k + 4 * n * k**2
            <= 4 * n**3 / 3
            < 2.1 * n**2 * (k + 1) + 4.1 * n * (k + 1) ** 2
        )
    assert most_products(n) <= min(n, 4096)
    assert 8 * n * most_products(n) <= 2**30


@pytest.mark.parametrize("n", [1, 32, 100, 512, 700, 1_000, 2_000, 4_096, 12_544, 100_000])
def test_a_thrifty_run_is_cheaper_than_cholesky_at_usual_rates(n):
    products = thrifty_products(n)
    # 24 GB/s from memory, 70 from a cache of 32 MB; 60 Gflop/s; 25 µs a step of Python.
    rate = 70e9 if 4 * n**2 < 32e6 else 24e9
    seconds = products * (4 * n**2 / rate + 25e-6) + 8 * n * products**2 / rate
    assert seconds <= max(n**3 / 3 / 60e9, 2.5e-3)


def test_nobody_giving_a_budget_gets_the_tolerance_from_products_alone():
    calls = []

    def product(vector: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return torch.logspace(-6, 0, 600, dtype=torch.float64) * vector

    operator = MatrixFreeOperator(600, product, dtype=torch.float64)
    estimate = condition_number(operator)
    assert len(calls) == estimate.products <= 600
    assert estimate.value == pytest.approx(1e6, rel=TOLERANCE)


def test_an_operator_too_large_for_the_tolerance_keeps_its_bracket(monkeypatch):
    monkeypatch.setattr("qnewton.survey.condition.MOST_PRODUCTS", 30)
    diagonal = torch.logspace(-6, 0, 600, dtype=torch.float64)
    operator = MatrixFreeOperator(600, diagonal.__mul__, dtype=torch.float64)
    estimate = condition_number(operator)
    assert (estimate.value, estimate.products) == (None, 30)
    assert estimate.low is not None
    assert estimate.describe() == f"at least {estimate.low:.4g} (lanczos)"
    [_, note] = survey(operator).notes
    assert "after the 30 products" in note
    assert "max_products" in note


def test_a_survey_out_of_products_keeps_the_bracket_and_says_so():
    matrix = with_spectrum(torch.logspace(-4, 0, 300), 0)
    facts = survey(matrix, max_products=20)
    assert facts.spectrum.condition is not None
    assert (facts.spectrum.condition.value, facts.spectrum.condition.products) == (None, 20)
    assert facts.spectrum.norm is not None
    [note] = facts.notes
    assert "after the 20 products allowed" in note
    assert "max_products" in note
    assert survey(matrix, max_products=300).notes == ()


def test_small_held_matrices_are_surveyed_exactly_and_others_by_products():
    matrix = torch.diag(torch.linspace(1, 3, 256))
    exact = survey(matrix).spectrum.condition
    assert exact is not None
    assert (exact.method, exact.products) == ("exact", 0)
    larger = survey(torch.diag(torch.linspace(1, 3, 257))).spectrum.condition
    assert larger is not None
    assert larger.method == "lanczos"
    lazy = survey(MatrixFreeOperator(8, DenseOperator(torch.eye(8)).__matmul__)).spectrum.condition
    assert lazy is not None
    assert lazy.method == "lanczos"
