"""The table of solvers and that of policies: every row is whole, priced, and run."""

import dataclasses
import re
from typing import get_args

import pytest
import torch

from qnewton.cost import (
    QUANTUM_PRICES,
    SOLVERS,
    Audit,
    Family,
    Market,
    SurveyFact,
    load_hardware,
    nominal_calibration,
)
from qnewton.cost.solvers import quantum_solvers
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    EigenbasisOperator,
    LinearSystem,
    LowRankOperator,
    SparseOperator,
)
from qnewton.records import (
    Basis,
    Earlier,
    Estimate,
    Facts,
    FormingWork,
    Products,
    Representation,
    Spectrum,
)
from qnewton.scheduler.offers import BY_PRODUCTS, price_routes
from qnewton.scheduler.planned import planned_facts
from qnewton.scheduler.policy import POLICIES
from qnewton.scheduler.running import run_solver

MARKET = Market(nominal_calibration(), load_hardware("attosecond"), 1e-6, 1e-6, "float64")
COLOR = re.compile(r"#[0-9A-F]{6}")


def system_for(solver):
    """Return a definite system of order 8, held as the solver reads it."""
    factor = torch.linspace(-1.0, 1.0, 16, dtype=torch.float64).reshape(8, 2)
    operator = LowRankOperator(DenseFactor(factor), shift=1.0)
    target = torch.ones(2, dtype=torch.float64)
    rhs = factor @ target
    if solver.reads == ("eigenbasis",):
        values = torch.linspace(1.0, 9.0, 8, dtype=torch.float64).view(2, 4)
        return LinearSystem(EigenbasisOperator(values), rhs)
    entries = "low-rank" not in solver.reads or "products" in solver.reads
    if entries and not solver.needs_semidefinite:
        held = SparseOperator if solver.reads == ("sparse",) else DenseOperator
        operator = held(operator.dense())
    return LinearSystem(operator, rhs, target=target)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
def test_a_row_is_whole(solver):
    assert solver.title
    assert COLOR.fullmatch(solver.color)
    assert set(solver.reads) <= set(get_args(Representation))
    assert (solver.machine == "quantum") == (solver.family is Family.QUANTUM)
    assert solver.price_of is None or solver.family.iterates
    # What needs a definite matrix tells that it has none.
    assert solver.sees_definiteness or not solver.needs_definite


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
def test_a_row_is_priced_and_runs(solver):
    system = system_for(solver)
    kappa = Estimate(value=10.0, low=9.0, high=11.0, method="determinant", products=0)
    known = {"row_sparsity": 8, "effective_dimension": 1.5, "largest": (3.0, 2.0)}
    known["preconditioned"] = kappa
    spectrum = Spectrum(condition=kappa, bounds=(kappa,), **known)
    facts = dataclasses.replace(planned_facts(system), spectrum=spectrum)
    audited = {"quantum_price": "audited", "audit": Audit(error_correction="perfect")}
    market = dataclasses.replace(MARKET, **audited) if solver.machine == "quantum" else MARKET
    assert solver.takes(facts)
    assert solver.offered_on is None or solver.offered_on(market)
    if solver.machine == "quantum":
        assert (solver in quantum_solvers(MARKET)) == (solver.name == "qsvt")
    quote = solver.price(facts, market)
    assert (quote.solver, quote.machine, quote.basis) == (solver.name, solver.machine, Basis.FACTS)
    assert quote.seconds is not None
    if solver.price_of is not None:
        assert solver.price_of(facts, MARKET, 3).products == 3
    if solver.price_as_timed is not None:
        assert solver.price_as_timed(facts, MARKET).basis is Basis.AS_TIMED
    if solver.offered or solver.rival:
        solution = run_solver(solver, system, facts, market)
        assert solution.solved
        assert solution.stats.solver == solver.name


def test_a_runner_that_is_not_there_is_named():
    lost = dataclasses.replace(SOLVERS.get("lu"), run="math:no_such")
    with pytest.raises(ValueError, match="nothing to run at 'math:no_such'"):
        run_solver(lost, system_for(lost), Facts(n=8), MARKET)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_policy_is_whole(policy):
    assert policy.title
    assert policy.summary
    assert COLOR.fullmatch(policy.color)
    assert set(policy.survey) <= set(get_args(SurveyFact))
    assert policy.quantum_price is None or policy.quantum_price in QUANTUM_PRICES
    assert policy.needs_quantum_machine == (policy.quantum_price is not None)


def test_a_block_nobody_can_price_goes_to_a_solver_that_multiplies_alone():
    solver = SOLVERS.get(BY_PRODUCTS)
    assert "products" in solver.reads
    assert solver.descends


def test_what_a_quote_rests_on_is_a_value_and_not_a_sentence():
    held = Products(product_flops=1e9, forming=FormingWork(flops=1.6e12))
    facts = Facts(n=4000, held=held)
    market = dataclasses.replace(MARKET, hardware=None)
    by_solver = {quote.solver: quote.basis for quote in price_routes(facts, market, True)}
    assert by_solver["cg"] is Basis.TRIAL
    assert by_solver["lu_inverse"] is Basis.AS_TIMED
    assert by_solver["cholesky"] is Basis.FACTS
    failed = dataclasses.replace(facts, earlier=Earlier(step=3, failed=("cholesky",)))
    refused = {q.solver: q.refusal for q in price_routes(failed, market, True)}
    assert refused["cholesky"] == "missed"
    assert refused["lu"] is None
