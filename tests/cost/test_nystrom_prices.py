"""Prices of conjugate gradients behind a Nyström sketch, and when they are tried."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import Market, cg_products, nominal_calibration, nystrom_rank, pcg_nystrom_quote
from qnewton.cost.modelled import as_run
from qnewton.records import (
    Attempt,
    Earlier,
    Facts,
    Formed,
    FormingWork,
    Held,
    KrylovHistory,
    LowRank,
    Outcome,
    Products,
    Sparse,
    Spectrum,
)
from qnewton.scheduler.offers import SHARE_OF_A_TRY, price_routes

QUICK = settings(deadline=None, max_examples=100)
NOMINAL = nominal_calibration()
HELD: tuple[Held, ...] = (
    Formed(),
    Sparse(entries=10**6),
    LowRank(columns=300),
    LowRank(columns=300, product_flops=1e7, gram_flops=1e9),
    Products(product_flops=1e9),
    Products(product_flops=1e9, product_operations=40),
)


def facts(n: int, dimension: float | None, held: Held = HELD[0]) -> Facts:
    spectrum = Spectrum(effective_dimension=dimension)
    return Facts(n=n, held=held, spectrum=spectrum, semidefinite=True)


def seconds(what: Facts, dtype: str = "float32", tolerance: float = 1e-6) -> float:
    quote = pcg_nystrom_quote(NOMINAL, what, dtype, tolerance=tolerance)
    assert quote.seconds is not None
    assert math.fsum(t.seconds for t in quote.terms) == pytest.approx(quote.seconds, rel=1e-15)
    return quote.seconds


@QUICK
@given(
    st.integers(1, 10**6),
    st.integers(0, 10**5),
    st.floats(0, 1e3),
    st.floats(0, 1e3),
    st.floats(1, 1e3),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from(HELD),
)
def test_prices_never_fall_with_n_dimension_or_precision(n, more, dim, further, times, dtype, held):
    here = seconds(facts(n, dim, held), dtype)
    assert 0 < here < math.inf
    assert here <= seconds(facts(n + more, dim, held), dtype)
    assert here <= seconds(facts(n, dim + further, held), dtype)
    assert here <= seconds(facts(n, dim, held), dtype, tolerance=1e-6 / times)


def test_the_rank_follows_the_effective_dimension_and_ends_at_n():
    assert nystrom_rank(facts(10_000, 100.0)) == 301
    assert nystrom_rank(facts(10_000, 0.0)) == 1
    assert nystrom_rank(facts(50, 100.0)) == 50
    assert nystrom_rank(facts(10_000, None)) == 64
    quote = pcg_nystrom_quote(NOMINAL, facts(10_000, 100.0))
    assert quote.products == cg_products(28.0, 1e-6)


def test_the_products_of_an_earlier_step_come_before_what_the_dimension_foretells():
    earlier = Earlier(step=3, pcg=KrylovHistory(products=9))
    quote = pcg_nystrom_quote(NOMINAL, replace(facts(1000, 10.0), earlier=earlier))
    assert quote.products == 9
    unknown = pcg_nystrom_quote(NOMINAL, facts(1000, None))
    assert "nobody knows how many products" in str(unknown.refused)


def test_the_sketch_is_charged_once_however_many_products_follow():
    quote = pcg_nystrom_quote(NOMINAL, facts(1000, 10.0))
    spent = Attempt(
        solver="pcg_nystrom",
        outcome=Outcome.SOLVED,
        residual=0.0,
        products=2 * (quote.products or 0),
        measured_seconds=1.0,
    )
    before, after = ({t.name: t.seconds for t in q.terms} for q in (quote, as_run(quote, spent)))
    for name, factor in (("sketch", 1), ("residual", 1), ("products", 2), ("vectors", 2)):
        assert after[name] == pytest.approx(factor * before[name])


def offer_after(cg: KrylovHistory, semidefinite: bool = True, pcg: KrylovHistory | None = None):
    forming = FormingWork(flops=4e13, rows=20_000, rows_flops=4e13, row_operations=40)
    held = Products(product_flops=1e9, product_operations=40, forming=forming)
    earlier = Earlier(step=3, tolerance=1e-6, cg=cg, pcg=pcg or KrylovHistory())
    what = Facts(n=20_000, held=held, semidefinite=semidefinite, earlier=earlier)
    offers = price_routes(what, Market(NOMINAL), True)
    cheapest = min(q.seconds for q in offers if q.seconds is not None and q.solver != "pcg_nystrom")
    return next((q for q in offers if q.solver == "pcg_nystrom"), None), cheapest


def test_a_sketch_is_tried_once_where_plain_conjugate_gradients_take_long():
    offer, cheapest = offer_after(KrylovHistory(products=900))
    assert offer is not None
    assert offer.seconds is not None
    assert offer.seconds <= SHARE_OF_A_TRY * cheapest * (1 + 1e-9)
    assert offer.max_products == offer.products
    for history in (KrylovHistory(products=20), KrylovHistory()):
        untried, _ = offer_after(history)
        assert untried is not None
        assert untried.seconds is None
    failed, _ = offer_after(KrylovHistory(products=900), pcg=KrylovHistory(unfinished=0))
    assert failed is not None
    assert failed.seconds is None
    assert offer_after(KrylovHistory(products=900), semidefinite=False)[0] is None
