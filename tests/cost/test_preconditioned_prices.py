"""Conjugate gradients after diagonal scaling: the bound holds, and the price is what it takes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import (
    SOLVERS,
    Market,
    cg_products,
    classical_quotes,
    fit,
    kappa_facts,
    load_classical,
    nominal_calibration,
    pcg_diagonal_quote,
    pcg_products,
)
from qnewton.cost import given as known
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LowRankOperator,
    MatrixFreeOperator,
    SparseOperator,
)
from qnewton.records import Calibration, Earlier, Facts, Products, Spectrum
from qnewton.scheduler.offers import candidates, price_routes
from qnewton.solvers import solve
from qnewton.solvers.classical import DiagonalPreconditioner
from qnewton.survey import condition_number, preconditioned_condition
from tests.cases import geometric, with_spectrum

QUICK = settings(deadline=None, max_examples=30)
NOMINAL = nominal_calibration()


def behind(facts: Facts, kappa: float) -> Facts:
    return replace(facts, spectrum=replace(facts.spectrum, preconditioned=known(kappa)))


def badly_scaled(n: int, contrast: float, seed: int) -> torch.Tensor:
    """Return a definite matrix of moderate κ between a diagonal of ``contrast``."""
    generator = torch.Generator().manual_seed(seed)
    core = with_spectrum(geometric(n, 30.0), seed)
    scale = contrast ** (torch.rand(n, generator=generator, dtype=torch.float64) / 2)
    return core * scale * scale[:, None]


@QUICK
@given(st.integers(2, 60), st.floats(1.0, 1e6), st.integers(0, 10**6), st.floats(1e-8, 1e-2))
def test_a_solve_takes_no_more_products_than_both_condition_numbers_bound(
    n, contrast, seed, tolerance
):
    matrix = badly_scaled(n, contrast, seed)
    scaled, plain = preconditioned_condition(matrix, "exact"), condition_number(matrix, "exact")
    assert scaled is not None
    assert scaled.value is not None
    assert plain.value is not None
    rhs = torch.randn(n, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    solution = solve((matrix, rhs), "pcg_diagonal", tolerance, max_products=10_000)
    assert solution.solved
    # Half of the tolerance is aimed at, and its own rounds are refined.
    bound = pcg_products(scaled.value, plain.value, tolerance / 2)
    assert solution.stats.products <= bound + 2


@QUICK
@given(st.floats(1.0, 1e10), st.floats(1.0, 1e10), st.floats(1e-10, 0.9), st.floats(1.0, 100.0))
def test_its_products_never_fall_and_are_those_of_cg_without_a_preconditioner(a, b, tol, factor):
    here = pcg_products(a, b, tol)
    assert here >= 1
    others = [pcg_products(a * factor, b, tol), pcg_products(a, b * factor, tol)]
    assert here <= min(*others, pcg_products(a, b, tol / factor))
    assert pcg_products(a, a, tol) == cg_products(a, tol)


def test_a_badly_scaled_matrix_is_solved_faster_behind_its_diagonal():
    matrix = badly_scaled(300, 1e6, seed=0)
    rhs = torch.ones(300, dtype=torch.float64)
    helped = solve((matrix, rhs), "pcg_diagonal", 1e-6, max_products=10_000).stats.products
    plain = solve((matrix, rhs), "cg", 1e-6, max_products=10_000).stats.products
    assert helped < plain / 3


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_matrix_tells_its_diagonal(seed):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    low = LowRankOperator(DenseFactor(factor), shift=0.5)
    kept = low.dense() * (low.dense().abs() > 1.0)
    for operator in (low, DenseOperator(low.dense()), SparseOperator(kept)):
        assert torch.allclose(operator.diagonal(), operator.dense().diagonal(), rtol=1e-14)
        vector = torch.ones(12, dtype=torch.float64)
        expected = vector / operator.dense().diagonal()
        assert torch.allclose(DiagonalPreconditioner(operator)(vector), expected, rtol=1e-14)


def test_it_is_refused_where_nobody_knows_or_it_cannot_be():
    facts = kappa_facts(100, 50.0, 100)
    refusals = {
        "after diagonal scaling; give --preconditioned-kappa": facts,
        "is at least 7 (lanczos)": replace(
            facts,
            spectrum=replace(
                facts.spectrum,
                preconditioned=replace(known(7.0), value=None, high=None, method="lanczos"),
            ),
        ),
        "is indefinite": behind(kappa_facts(100, 50.0, 100, "indefinite"), 5.0),
        "not held by entries": behind(replace(facts, held=Products(product_flops=1e6)), 5.0),
        "has no matvec rate": behind(facts, 5.0),
    }
    for words, what in refusals.items():
        machine = load_classical("paper-h100") if "rate" in words else NOMINAL
        quote = pcg_diagonal_quote(machine, what)
        assert quote.seconds is None
        assert words in str(quote.refused)


def test_a_condition_number_that_is_known_from_below_stands_for_itself_and_says_so():
    low = replace(known(1e5), value=None, high=None, method="lanczos")
    spectrum = Spectrum(condition=low, preconditioned=known(9.0))
    quote = pcg_diagonal_quote(NOMINAL, Facts(n=100, spectrum=spectrum))
    assert quote.products == pcg_products(9.0, 1e5, 1e-6)
    assert "κ of A is not known: 1e+05 stands for it, which it may exceed" in quote.assumptions
    alone = pcg_diagonal_quote(NOMINAL, Facts(n=100, spectrum=Spectrum(preconditioned=known(9.0))))
    assert alone.products == pcg_products(9.0, 9.0, 1e-6)


def test_definiteness_is_an_assumption_until_certified():
    certified = behind(kappa_facts(100, 50.0, 100, "positive"), 5.0)
    told = {
        kind: pcg_diagonal_quote(NOMINAL, what).assumptions
        for kind, what in (
            ("nobody", behind(kappa_facts(100, 50.0, 100), 5.0)),
            ("survey", certified),
        )
    }
    said = "positive definite, which nobody has certified"
    assert said in told["nobody"]
    assert said not in told["survey"]


def test_prices_ask_it_and_training_does_not():
    facts = behind(kappa_facts(2000, 1e6, 2000), 4.0)
    assert "pcg_diagonal" in [quote.solver for quote in classical_quotes(NOMINAL, facts)]
    market = Market(NOMINAL)
    assert "pcg_diagonal" not in [solver.name for solver in candidates(market, True, facts)]
    assert "pcg_diagonal" not in [q.solver for q in price_routes(facts, market, True)]
    row = SOLVERS.get("pcg_diagonal")
    assert (row.offered, row.rival) == (False, True)


def test_what_an_earlier_step_left_of_another_preconditioner_is_not_its_own():
    spectrum = Spectrum(condition=known(1e4), preconditioned=known(9.0))
    earlier = Earlier(step=3, pcg=replace(Earlier(step=3).pcg, products=7))
    quote = pcg_diagonal_quote(NOMINAL, Facts(n=100, spectrum=spectrum, earlier=earlier))
    assert quote.products == pcg_products(9.0, 1e4, 1e-6)


def _seconds(run: Callable[[], object]) -> float:
    run()
    found = []
    for _ in range(7):
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return median(found)


def _dense(n: int) -> DenseOperator:
    return DenseOperator(badly_scaled(n, 1e4, seed=0))


def _tridiagonal(n: int) -> SparseOperator:
    generator = torch.Generator().manual_seed(1)
    scale = 1.0 + 99.0 * torch.rand(n, generator=generator, dtype=torch.float64)
    line, beside = torch.arange(n), -scale[1:] * scale[:-1]
    places = torch.stack(
        [torch.cat([line, line[1:], line[:-1]]), torch.cat([line, line[:-1], line[1:]])]
    )
    values = torch.cat([2.02 * scale**2, beside, beside])
    return SparseOperator(
        torch.sparse_coo_tensor(places, values, (n, n), check_invariants=True).coalesce()
    )


def _timed(
    make: Callable[[int], DenseOperator | SparseOperator], n: int
) -> Iterator[tuple[str, float, float]]:
    """Yield kernel, work and processor seconds of what a price of order n is made of."""
    operator, vector = make(n), torch.ones(n, dtype=torch.float64)
    product = "sparse_matvec" if isinstance(operator, SparseOperator) else "matvec"
    work = operator.entries if isinstance(operator, SparseOperator) else n**2
    yield product, float(work), _seconds(lambda: operator @ vector)
    yield "elementwise", float(n), _seconds(lambda: vector / vector)
    # Products that cost little beside the vectors, of a spectrum that takes more than 20.
    spread = torch.logspace(0, 4, n, dtype=torch.float64)
    cheap = MatrixFreeOperator(n, lambda v: spread * v, dtype=torch.float64)
    steps = _seconds(lambda: solve((cheap, vector), "cg", 1e-12, max_products=20))
    yield "cg_step", float(n), steps / 20


@pytest.mark.slow
@pytest.mark.parametrize(("make", "n"), [(_dense, 1200), (_tridiagonal, 40_000)])
def test_its_price_at_the_products_it_takes_is_what_it_takes_within_a_factor_of_3(make, n):
    """Both in processor seconds: rates are timed here, at sizes around that of the solve."""
    samples: dict[str, list[tuple[float, float]]] = {}
    for size in (n // 2, n):
        for kernel, work, seconds in _timed(make, size):
            samples.setdefault(kernel, []).append((work, seconds))
    fits = tuple(fit(kernel, "float64", pairs) for kernel, pairs in samples.items())
    machine = Calibration(name="here", machine="here", date="d", source="s", fits=fits)
    system = (make(n), torch.ones(n, dtype=torch.float64))
    solution = solve(system, "pcg_diagonal", 1e-6, max_products=10_000)
    assert solution.solved
    taken = _seconds(lambda: solve(system, "pcg_diagonal", 1e-6, max_products=10_000))
    facts = kappa_facts(n, 1e4, n if make is _dense else 3)
    count = solution.stats.products
    quote = pcg_diagonal_quote(machine, facts, "float64", products=count)
    assert quote.seconds is not None
    assert 1 / 3 < quote.seconds / taken < 3
