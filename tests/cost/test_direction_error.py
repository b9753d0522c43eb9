"""A rival does the job of the quantum solver: the error of the step's direction, and no more."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qnewton.cost import (
    Audit,
    Scenario,
    as_held,
    break_even,
    cg_products,
    cg_quote,
    classical_quotes,
    kappa_facts,
    load_hardware,
    lsmr_products,
    lsmr_quote,
    minres_products,
    minres_quote,
    nominal_calibration,
    pcg_diagonal_quote,
    pcg_nystrom_quote,
    pcg_products,
    prices,
    relative_error,
)
from qnewton.cost import given as known
from qnewton.operators import DenseFactor, DenseOperator, LinearSystem, LowRankOperator
from qnewton.records import Earlier, Facts, KrylovHistory, LowRank
from qnewton.solvers import solve
from qnewton.survey import condition_number, preconditioned_condition
from tests.cases import geometric, with_spectrum

QUICK = settings(deadline=None, max_examples=40)
NOMINAL = nominal_calibration()
ERRORS = st.floats(1e-4, 0.9)


def draw(n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=generator, dtype=torch.float64)


def chord(found: Tensor, exact: Tensor) -> float:
    """Return the distance of two directions."""
    return float((found / found.norm() - exact / exact.norm()).norm())


@QUICK
@given(st.integers(2, 20), st.integers(0, 10**6), ERRORS)
def test_the_relative_error_keeps_to_that_of_the_direction(n, seed, epsilon):
    exact, off = draw(n, seed), draw(n, seed + 1)
    found = exact + off * (relative_error(epsilon) * exact.norm() / off.norm())
    assert chord(found, exact) <= epsilon * (1 + 1e-12)


@QUICK
@given(
    st.integers(2, 80),
    st.floats(1.0, 1e6),
    ERRORS,
    st.integers(0, 10**6),
    st.sampled_from(["cg", "minres", "indefinite", "pcg_diagonal"]),
)
def test_the_products_that_are_priced_leave_the_error_that_is_asked_for(
    n, kappa, epsilon, seed, solver
):
    """The oracle is an exact solve; x of half of the draws has all eigenvalues alike in it."""
    indefinite = solver == "indefinite"
    values = geometric(n, kappa, indefinite=indefinite, seed=seed)
    matrix = with_spectrum(values, seed)
    rhs = matrix @ draw(n, seed + 2) if seed % 2 else draw(n, seed + 2)
    facts = replace(
        kappa_facts(n, kappa, n, "indefinite" if indefinite else "positive"),
        direction_error=epsilon,
    )
    if solver == "pcg_diagonal":
        behind = preconditioned_condition(matrix, "exact")
        spectrum = replace(facts.spectrum, preconditioned=behind)
        facts = replace(facts, spectrum=spectrum)
    price = {"cg": cg_quote, "pcg_diagonal": pcg_diagonal_quote}.get(solver, minres_quote)
    quote = price(NOMINAL, facts, "float64")
    assert quote.products is not None
    assert (quote.tolerance, quote.direction_error) == (None, epsilon)
    name = "minres" if indefinite else solver
    solution = solve((matrix, rhs), name, 1e-14, max_products=quote.products)
    exact = torch.linalg.solve(matrix, rhs)
    assert solution.direction is not None
    # 1e-6: exact arithmetic bounds the products, and rounding of κ = 1e6 is 1e-10 at most.
    assert chord(solution.direction, exact) <= epsilon + 1e-6


@QUICK
@given(st.integers(4, 40), st.floats(1e-4, 1.0), ERRORS, st.integers(0, 10**6))
def test_a_factor_is_solved_to_the_error_that_is_asked_for(n, shift, epsilon, seed):
    generator = torch.Generator().manual_seed(seed)
    columns = torch.randn(n, n // 2, generator=generator, dtype=torch.float64) / n**0.5
    operator, target = LowRankOperator(DenseFactor(columns), shift=shift), draw(n // 2, seed + 1)
    condition = condition_number(DenseOperator(operator.dense()), "exact")
    assert condition.value is not None
    facts = as_held(kappa_facts(n, condition.value, n), LowRank(columns=n // 2))
    facts = replace(facts, direction_error=epsilon)
    quote = lsmr_quote(NOMINAL, facts, "float64")
    assert quote.products == lsmr_products(
        condition.value, relative_error(epsilon) / condition.value
    )
    rhs = columns @ target
    assert quote.products is not None
    system = LinearSystem(operator, rhs, target=target)
    solution = solve(system, "lsmr", 1e-14, max_products=quote.products)
    assert solution.direction is not None
    exact = torch.linalg.solve(operator.dense(), rhs)
    assert chord(solution.direction, exact) <= epsilon + 1e-6


def test_conjugate_gradients_take_fewer_than_a_residual_of_that_error_over_kappa_would():
    facts = replace(kappa_facts(1000, 1e4, 1000), direction_error=0.1)
    error = relative_error(0.1)
    cg, minres = cg_quote(NOMINAL, facts), minres_quote(NOMINAL, facts)
    assert cg.products is not None
    assert cg.products == cg_products(1e4, error)
    assert cg.products < cg_products(1e4, error / 1e4) / 2
    assert minres.products == minres_products(1e4, error / 1e4)
    # Both are said where they differ.
    assert (
        f"{cg.products} products: an upper bound in exact arithmetic at κ = 1e+04 (given) for an "
        f"error of 0.1 in the direction; a residual of 1e-06 would take {cg_products(1e4, 1e-6)}"
    ) in cg.assumptions
    plain = cg_quote(NOMINAL, kappa_facts(1000, 1e4, 1000))
    assert (plain.tolerance, plain.direction_error) == (1e-6, None)
    assert (cg.seconds or math.inf) < (plain.seconds or 0.0) / 2


def test_preconditioned_solvers_need_both_condition_numbers_for_it():
    facts = as_held(kappa_facts(1000, 1e6, 1000), LowRank(columns=20))
    facts = replace(facts, direction_error=0.1)
    sketched = pcg_nystrom_quote(NOMINAL, facts)
    assert sketched.products == pcg_products(28.0, 1e6, relative_error(0.1))
    spectrum = replace(facts.spectrum, preconditioned=known(9.0))
    behind = pcg_diagonal_quote(NOMINAL, replace(facts, spectrum=spectrum))
    assert behind.products == pcg_products(9.0, 1e6, relative_error(0.1))


def test_what_an_earlier_step_took_is_scaled_to_the_residual_that_the_error_needs():
    earlier = Earlier(step=2, tolerance=1e-6, cg=KrylovHistory(products=100))
    facts = replace(kappa_facts(1000, 1e4, 1000), earlier=earlier, direction_error=0.1)
    needed = relative_error(0.1) / 1e4
    expected = math.ceil(100 * math.log(2 / needed) / math.log(2e6))
    assert cg_quote(NOMINAL, facts).products == expected


@QUICK
@given(st.integers(1, 10**5), st.floats(1.0, 1e8), st.floats(1e-6, 0.99), st.floats(1.0, 1e3))
def test_no_price_falls_where_the_error_does(n, kappa, epsilon, factor):
    facts = replace(kappa_facts(n, kappa, n), direction_error=epsilon)
    finer = replace(facts, direction_error=epsilon / factor)
    for here, there in zip(
        *(classical_quotes(NOMINAL, what, "float64") for what in (facts, finer)), strict=True
    ):
        assert here.seconds is None or here.seconds <= (there.seconds or 0.0)


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1, math.nan])
def test_an_error_outside_of_its_range_is_named(error):
    facts = replace(Facts(n=10, spectrum=kappa_facts(10, 4.0, 10).spectrum), direction_error=error)
    with pytest.raises(ValueError, match="direction_error is"):
        cg_quote(NOMINAL, facts)


def test_another_audit_asks_the_rivals_for_its_own_accuracy():
    audit = Audit(error_correction="perfect")
    facts = replace(kappa_facts(10**4, 1e4, 5), direction_error=audit.epsilon)
    here = Scenario(
        facts=facts, calibration=NOMINAL, hardware=load_hardware("attosecond"), audit=audit
    )
    coarser = here.with_audit(replace(audit, epsilon=0.51))
    assert coarser.facts.direction_error == pytest.approx(0.51)
    found = prices([coarser, here]).classical
    assert found[0] < found[1]
    fixed = replace(here, facts=replace(facts, direction_error=0.02))
    assert fixed.with_audit(coarser.audit).facts.direction_error == 0.02
    assert [flip.assumption for flip in break_even(here)]
