"""Prices of solvers that work on a factor: terms, refusals, and what they never fall with."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import (
    SOLVERS,
    Market,
    augmented_qr_quote,
    lsmr_products,
    lsmr_quote,
    nominal_calibration,
)
from qnewton.cost.least_squares import augmented_qr_flops, householder_flops
from qnewton.records import (
    Earlier,
    Facts,
    FormingWork,
    KrylovHistory,
    LowRank,
    Refusal,
    Spectrum,
)
from qnewton.scheduler.offers import price_routes
from tests.recorded import estimate

QUICK = settings(deadline=None, max_examples=100)
NOMINAL = nominal_calibration()
DTYPES = st.sampled_from(["float32", "float64"])
QUOTES = (augmented_qr_quote, lsmr_quote)


def facts(n: int, columns: int, kappa: float = 100.0, target: bool = True) -> Facts:
    held = LowRank(columns=columns, forming=FormingWork(flops=2.0 * n**2 * columns), target=target)
    return Facts(n=n, held=held, spectrum=Spectrum(condition=estimate(kappa)))


def seconds(quote, what, dtype="float32", **options):
    found = quote(NOMINAL, what, dtype, **options)
    assert found.refused is None
    assert found.seconds is not None
    # rel: correctly rounded sum of a few terms.
    assert math.fsum(t.seconds for t in found.terms) == pytest.approx(found.seconds, rel=1e-15)
    return found.seconds


@QUICK
@given(
    st.integers(1, 10**5),
    st.integers(1, 10**5),
    st.integers(0, 10**4),
    st.integers(0, 10**4),
    st.floats(1, 1e12),
    st.floats(1, 1e3),
    DTYPES,
)
def test_prices_never_fall_with_either_size_kappa_or_precision(n, k, more, wider, kappa, times, dt):
    for quote in QUOTES:
        here = seconds(quote, facts(n, k, kappa), dt)
        assert 0 < here < math.inf
        assert here <= seconds(quote, facts(n + more, k, kappa), dt)
        assert here <= seconds(quote, facts(n, k + wider, kappa), dt)
        assert here <= seconds(quote, facts(n, k, kappa * times), dt)
    here = seconds(lsmr_quote, facts(n, k, kappa), dt)
    assert here <= seconds(lsmr_quote, facts(n, k, kappa), dt, tolerance=1e-6 / times)


def test_reflections_are_counted_as_golub_and_van_loan_do():
    assert householder_flops(1000, 10) == 2 * 1000 * 100 - 2 * 1000 / 3
    # Square: all of U's rows above √λ·I; far more rows than columns: Q first, then k × k.
    assert augmented_qr_flops(10, 1000) == householder_flops(1010, 10)
    wide = 2 * householder_flops(1000, 10) + householder_flops(20, 10)
    assert augmented_qr_flops(1000, 10) == wide


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (LowRank(target=True), "rank of the factor is unknown"),
        (None, "not held as a low-rank factor"),
    ],
)
def test_what_nobody_knows_is_refused_with_the_reason(held, words):
    what = Facts(n=10) if held is None else Facts(n=10, held=held)
    for quote in QUOTES:
        assert words in str(quote(NOMINAL, what).refused)
    unknown = lsmr_quote(NOMINAL, facts(10, 20, target=False))
    assert "begins from the target" in str(unknown.refused)


def test_lsmr_takes_as_many_products_as_another_solver_of_the_same_space_did():
    took = KrylovHistory(products=17)
    for earlier in (Earlier(step=3, cg=took), Earlier(step=3, minres=took)):
        quote = lsmr_quote(NOMINAL, replace(facts(10, 20), earlier=earlier))
        assert quote.products == 17
    assert lsmr_quote(NOMINAL, facts(10, 20, 400.0)).products == lsmr_products(400.0, 1e-6)


def test_a_machine_timed_before_reflections_were_prices_them_as_gram_matrices():
    old = replace(NOMINAL, fits=tuple(f for f in NOMINAL.fits if f.kernel != "householder"))
    quote = augmented_qr_quote(old, facts(50, 400))
    assert quote.seconds is not None
    assert any("Gram matrix" in said for said in quote.assumptions)


def refusals(kappa: float, dtype: str, tolerance: float) -> dict[str, Refusal | None]:
    known = Earlier(step=4, condition_seen=kappa)
    what = replace(facts(60, 500), spectrum=Spectrum(), earlier=known)
    market = Market(NOMINAL, tolerance=tolerance, dtype=dtype)
    return {q.solver: q.refusal for q in price_routes(what, market, True) if q.seconds or q.refusal}


@pytest.mark.parametrize(
    ("kappa", "dtype", "tolerance", "refused"),
    [
        (1e9, "float64", 1e-6, False),  # leaves 2e-7
        (1e10, "float64", 1e-6, True),  # leaves 2e-6
        (1e10, "float64", 1e-2, False),
        (1e3, "float32", 1e-6, False),  # leaves 1e-4, and no float32 residual tells more than 3e-4
        (1e4, "float32", 1e-6, True),
    ],
)
def test_who_squares_the_condition_number_is_refused_where_too_few_digits_are_left(
    kappa, dtype, tolerance, refused
):
    found = refusals(kappa, dtype, tolerance)
    assert found["augmented_qr"] is None
    for solver in ("cholesky", "lu", "ldl", "woodbury"):
        assert (found[solver] is Refusal.ROUNDING) == refused


def test_traits_say_who_keeps_the_root():
    assert {s.name for s in SOLVERS if s.keeps_root} == {"augmented_qr", "lsmr"}
