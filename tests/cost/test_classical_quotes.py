import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import (
    cg_products,
    cg_quote,
    cholesky_quote,
    ldl_quote,
    load_classical,
    lu_inverse_quote,
    lu_quote,
    minres_products,
    minres_quote,
    nominal_calibration,
    sparse_cg_quote,
    sparse_lu_quote,
    woodbury_quote,
)
from qnewton.cost.kernels import price
from qnewton.cost.krylov import MINRES_BASIS_ENTRIES
from qnewton.cost.parts import FORMING
from qnewton.records import (
    Calibration,
    Drift,
    Earlier,
    Estimate,
    Facts,
    Formed,
    FormingWork,
    KernelFit,
    KrylovHistory,
    LowRank,
    Products,
    Sparse,
    Spectrum,
)
from qnewton.solvers.classical import krylov
from tests.recorded import estimate

QUICK = settings(deadline=None, max_examples=100)
NOMINAL = nominal_calibration()
PAPER = load_classical("paper-h100")
QUOTES = (lu_inverse_quote, lu_quote, cholesky_quote, ldl_quote, cg_quote, minres_quote)


def facts(n=1482, kappa: float | None = 10.0, definiteness=None):
    condition = None if kappa is None else estimate(kappa)
    return Facts(n=n, spectrum=Spectrum(condition=condition, definiteness=definiteness))


def seconds(quote, what, **options):
    found = quote(NOMINAL, what, **options).seconds
    assert found is not None
    return found


@QUICK
@given(st.integers(1, 10**6), st.floats(1, 1e12), st.sampled_from(["float32", "float64"]))
def test_terms_add_up_and_prices_are_positive(n, kappa, dtype):
    for quote in QUOTES:
        priced = quote(NOMINAL, facts(n, kappa), dtype)
        assert priced.refused is None
        assert priced.seconds is not None
        assert 0 < priced.seconds < math.inf
        # rel: correctly rounded sum of a few terms.
        assert math.fsum(t.seconds for t in priced.terms) == pytest.approx(
            priced.seconds, rel=1e-15
        )
        assert priced.machine == "classical"
        assert priced.hardware == "nominal"
        assert not priced.hypothetical


@QUICK
@given(st.integers(1, 10**5), st.integers(1, 10**4), st.floats(1, 1e9), st.floats(1, 1e3))
def test_prices_never_fall_with_n_and_cg_never_with_kappa_or_precision(n, more, kappa, factor):
    for quote in QUOTES:
        small, large = (seconds(quote, facts(size, kappa)) for size in (n, n + more))
        assert small <= large
    here = seconds(cg_quote, facts(n, kappa))
    worse = seconds(cg_quote, facts(n, kappa * factor))
    finer = seconds(cg_quote, facts(n, kappa), tolerance=1e-6 / factor)
    assert here <= min(worse, finer)


@QUICK
@given(st.integers(1, 10**6), st.floats(1e-14, 1e-6))
def test_lu_inverse_is_c_times_n_cubed_and_nothing_else(n, rate):
    fitted = KernelFit(kernel="lu_inverse", work="N^3", dtype="float32", seconds_per_unit=rate)
    machine = Calibration(name="m", machine="m", date="d", source="s", fits=(fitted,))
    assert lu_inverse_quote(machine, facts(n)).seconds == rate * float(n) ** 3


def test_the_papers_machine_reproduces_its_table_iii():
    # Classical-only less SGD: 1.06 s - 0.14 s, each printed to 0.005.
    assert lu_inverse_quote(PAPER, facts(12_544)).seconds == pytest.approx(0.92, abs=0.01)


def test_a_calibration_without_the_rate_refuses_and_says_why():
    for quote in (lu_quote, cholesky_quote, cg_quote):
        refused = quote(PAPER, facts())
        assert refused.seconds is None
        assert refused.terms == ()
        assert "calibration 'paper-h100' has no" in str(refused.refused)
        assert "qnewton calibrate" in str(refused.refused)
    assert "for float64" in str(lu_inverse_quote(PAPER, facts(), "float64").refused)


def test_rates_nobody_timed_are_marked_in_every_quote():
    for quote in QUOTES:
        assert NOMINAL.source in quote(NOMINAL, facts()).assumptions
    assert PAPER.source in lu_inverse_quote(PAPER, facts()).assumptions
    timed = replace(NOMINAL, fits=tuple(replace(f, samples=((1.0, 1.0),)) for f in NOMINAL.fits))
    for quote in QUOTES:
        assert NOMINAL.source not in quote(timed, facts()).assumptions


def test_cholesky_refuses_a_matrix_that_is_singular_to_rounding():
    known = {"value": None, "high": None, "method": "exact", "products": 0}
    for low, refused in ((1e15, True), (1e3, False)):
        condition = Estimate(low=low, **known)
        quote = cholesky_quote(NOMINAL, Facts(n=50, spectrum=Spectrum(condition=condition)))
        assert (quote.refused is not None) == refused
        assert not refused or "A is singular to rounding" in str(quote.refused)


def test_cholesky_and_cg_refuse_an_indefinite_matrix():
    for quote in (cholesky_quote, cg_quote):
        refused = quote(NOMINAL, facts(definiteness="indefinite"))
        assert refused.seconds is None
        assert "A is indefinite" in str(refused.refused)
    for quote in (lu_quote, lu_inverse_quote):
        assert quote(NOMINAL, facts(definiteness="indefinite")).refused is None


def test_definiteness_is_an_assumption_until_certified():
    for quote in (cholesky_quote, cg_quote):
        assumed = quote(NOMINAL, facts()).assumptions
        certified = quote(NOMINAL, facts(definiteness="positive")).assumptions
        assert any("positive definite" in line for line in assumed)
        assert not any("positive definite" in line for line in certified)
    assert "positive definite, checked by the factorisation itself" in (
        cholesky_quote(NOMINAL, facts()).assumptions
    )


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (None, "the condition number is unknown"),
        (estimate(None, log_value=993.0), "e^993"),
        (estimate(math.inf), "too large"),
        (estimate(math.nan), "too large"),
    ],
)
def test_cg_refuses_a_condition_number_it_cannot_use(condition, words):
    refused = cg_quote(NOMINAL, Facts(n=10, spectrum=Spectrum(condition=condition)))
    assert refused.seconds is None
    assert words in str(refused.refused)


def test_cg_records_what_it_priced():
    quote = cg_quote(NOMINAL, facts(kappa=100.0), tolerance=1e-4)
    assert quote.condition_number == 100.0
    assert quote.tolerance == 1e-4
    assert [term.name for term in quote.terms] == ["products", "vectors", "residual"]
    assert any(f"{cg_products(100.0, 1e-4)} products" in line for line in quote.assumptions)


def test_cg_products_follow_the_bound():
    # ½√κ ln(2√κ/ε), rounded up, never less than one product.
    assert cg_products(1e4, 1e-6) == math.ceil(50 * math.log(200 / 1e-6))
    assert cg_products(1.0, 0.9) == 1


@pytest.mark.parametrize(
    ("kappa", "tolerance", "field"),
    [
        (0.5, 1e-6, "condition_number"),
        (math.nan, 1e-6, "condition_number"),
        (math.inf, 1e-6, "condition_number"),
        (10.0, 0.0, "tolerance"),
        (10.0, 1.0, "tolerance"),
        (10.0, math.nan, "tolerance"),
    ],
)
def test_cg_products_out_of_range(kappa, tolerance, field):
    with pytest.raises(ValueError, match=f"^{field} is "):
        cg_products(kappa, tolerance)


def test_cg_bound_holds_for_real_runs():
    # The bound is what the price charges, so it must not be below what CG needs.
    import numpy as np

    generator = np.random.default_rng(0)
    for kappa in (5.0, 100.0, 1e3):
        values = np.geomspace(1.0, kappa, 400)
        b = generator.standard_normal(400)
        x, r = np.zeros(400), b.copy()
        p, products = r.copy(), 0
        while np.linalg.norm(r) > 1e-6 * np.linalg.norm(b):
            ap = values * p
            step = (r @ r) / (p @ ap)
            x, new = x + step * p, r - step * ap
            p, r = new + (new @ new) / (r @ r) * p, new
            products += 1
        assert products <= cg_products(kappa, 1e-6)


ALL_QUOTES = (*QUOTES, sparse_cg_quote, sparse_lu_quote, woodbury_quote)
LOW_RANK = Facts(n=10_000, held=LowRank(columns=50, forming=FormingWork(flops=5e9)))
WORK = FormingWork(flops=1e12)
BY_PRODUCTS = Facts(n=10_000, held=Products(product_flops=1e8, forming=WORK))
SPARSE = Facts(n=10_000, held=Sparse(entries=50_000, envelope=1e6))


def names(quote):
    return [term.name for term in quote.terms]


@pytest.mark.parametrize("facts", [LOW_RANK, BY_PRODUCTS, SPARSE], ids=lambda f: f.held.KIND)
def test_what_reads_entries_pays_for_forming_them_and_what_multiplies_does_not(facts):
    known = replace(
        facts,
        earlier=Earlier(step=3, cg=KrylovHistory(products=20), minres=KrylovHistory(products=22)),
    )
    for quote in (lu_inverse_quote, lu_quote, cholesky_quote, ldl_quote):
        priced = quote(NOMINAL, known)
        assert names(priced)[0] == "forming"
        assert priced.representation == facts.held.KIND
        once_formed = quote(NOMINAL, replace(known, held=Formed()))
        assert priced.seconds is not None
        assert once_formed.seconds is not None
        assert priced.seconds > once_formed.seconds
    assert names(cg_quote(NOMINAL, known)) == ["products", "vectors", "residual"]
    assert names(minres_quote(NOMINAL, known)) == ["products", "vectors", "basis", "residual"]


@pytest.mark.parametrize(("n", "products"), [(1_000, 30), (1 << 22, 30), (1 << 25, 7)])
def test_minres_pays_for_every_vector_that_a_product_is_made_orthogonal_to(n, products):
    kept = MINRES_BASIS_ENTRIES // n + 1
    # One pass is about one read of the vectors kept so far, there and back.
    read = sum(n * 2 * min(k - 0.5, kept) for k in range(1, products + 1))
    quote = minres_quote(NOMINAL, Facts(n=n), products=products)
    [basis] = [term.seconds for term in quote.terms if term.name == "basis"]
    assert basis == pytest.approx(price(NOMINAL, "matvec", read, calls=products), rel=0.05)
    assert krylov.MINRES_BASIS_ENTRIES == MINRES_BASIS_ENTRIES


def test_products_of_an_earlier_step_are_priced_before_the_bound():
    facts = Facts(
        n=1000,
        spectrum=Spectrum(condition=estimate(1e4)),
        earlier=Earlier(step=7, cg=KrylovHistory(products=30)),
    )
    quote = cg_quote(NOMINAL, facts)
    assert "30 products, as many as step 7 took" in quote.assumptions
    assert seconds(cg_quote, facts) < seconds(cg_quote, replace(facts, earlier=None))


def test_a_run_that_did_not_converge_is_no_price_but_a_reason():
    earlier = Earlier(step=2, cg=KrylovHistory(unfinished=100))
    quote = cg_quote(NOMINAL, Facts(n=1000, earlier=earlier))
    assert quote.refused == "CG had not converged after 100 products at step 2"


def test_what_an_earlier_step_found_of_definiteness_counts_until_somebody_knows_better():
    facts = Facts(n=100, earlier=Earlier(step=4, definiteness="indefinite"))
    for quote in (cholesky_quote, cg_quote, sparse_cg_quote):
        assert "A is indefinite, as an earlier step found" in str(quote(NOMINAL, facts).refused)
    assert (
        cholesky_quote(NOMINAL, replace(facts, spectrum=Spectrum(definiteness="positive"))).refused
        is None
    )
    found = Earlier(step=4, definiteness="positive")
    assumed = cholesky_quote(NOMINAL, Facts(n=100, earlier=found)).assumptions
    assert "positive definite, as an earlier step found" in assumed


@pytest.mark.parametrize(
    ("quote", "facts", "words"),
    [
        (lu_quote, replace(BY_PRODUCTS, held=Products(product_flops=1e8)), "nobody counted them"),
        (
            cg_quote,
            replace(BY_PRODUCTS, held=Products(forming=WORK)),
            "operations of a product are unknown",
        ),
        (cg_quote, replace(LOW_RANK, held=LowRank()), "rank of the factor is unknown"),
        (sparse_cg_quote, Facts(n=10), "number of nonzero entries is unknown"),
        (sparse_lu_quote, Facts(n=10), "envelope of the nonzero entries is unknown"),
        (woodbury_quote, BY_PRODUCTS, "not held as a low-rank factor"),
    ],
)
def test_what_nobody_knows_is_refused_with_the_reason(quote, facts, words):
    known = replace(facts, earlier=Earlier(step=0, cg=KrylovHistory(products=5)))
    assert words in str(quote(NOMINAL, known).refused)


def test_a_machine_that_was_timed_before_these_kernels_still_prices():
    old = ("lu_inverse", "lu", "cholesky", "matvec", "gemm", "elementwise", "sort")
    machine = replace(NOMINAL, fits=tuple(f for f in NOMINAL.fits if f.kernel in old))
    for quote in (lu_quote, cholesky_quote, cg_quote, minres_quote):
        assert quote(machine, facts()).refused is None
    for quote, what in ((ldl_quote, facts()), (woodbury_quote, LOW_RANK)):
        assert "qnewton calibrate" in str(quote(machine, what).refused)


@QUICK
@given(st.sampled_from(ALL_QUOTES), st.floats(1e-2, 1e2))
def test_what_earlier_runs_found_multiplies_all_but_forming_and_the_papers_price(quote, ratio):
    solver = quote.__name__.removesuffix("_quote")
    machine = replace(NOMINAL, drifts=(Drift(solver=solver, ratio=ratio, solves=9),))
    what = (
        LOW_RANK
        if solver == "woodbury"
        else replace(SPARSE, spectrum=Spectrum(condition=estimate(10.0)))
    )
    before, after = quote(NOMINAL, what), quote(machine, what)
    factor = 1.0 if solver == "lu_inverse" else ratio
    for one, other in zip(before.terms, after.terms, strict=True):
        times = 1.0 if one.name == FORMING else factor
        assert other.seconds == pytest.approx(times * one.seconds, rel=1e-12)


def test_minres_pays_kappa_where_signs_may_differ_and_its_root_where_not():
    assert minres_products(100.0, 1e-6) == math.ceil(100 * math.log(2e6))
    unsure, definite = facts(kappa=100.0), facts(kappa=100.0, definiteness="positive")
    assert seconds(minres_quote, definite) < seconds(minres_quote, unsure)
