"""Quantum solvers under their own names: asked, priced, chosen and run."""

import dataclasses

import pytest
import torch

from qnewton import Quantum
from qnewton.cost import Audit, Market, kappa_facts, load_hardware, nominal_calibration
from qnewton.cost.solvers import SOLVERS, quantum_solver, quantum_solvers
from qnewton.operators import DenseOperator, LinearSystem
from qnewton.queries import attempt
from qnewton.scheduler.offers import quotes
from qnewton.scheduler.policy import decide
from qnewton.scheduler.pricing import ReplaySettings
from qnewton.scheduler.running import run_solver
from tests.cases import draw, geometric, with_spectrum

MACHINE = load_hardware("attosecond")
AUDIT = Audit(error_correction="perfect", readout="none", table_building=False)
AUDITED = Market(nominal_calibration(), MACHINE, 1e-4, quantum_price="audited", audit=AUDIT)
NAMES = ("qsvt", "dalzell", "hhl", "costa")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("knowledge", ["rigorous", "warm-start", "optimistic"])
def test_a_quote_counts_the_queries_of_the_solver_that_runs(name, knowledge):
    market = dataclasses.replace(AUDITED, audit=dataclasses.replace(AUDIT, query_set=knowledge))
    quote = SOLVERS.get(name).price(kappa_facts(4096, 100.0, 16), market)
    assert (quote.solver, quote.name, quote.machine) == (name, name, "quantum")
    assert quote.seconds is not None
    assert quote.query_count is not None
    counted = attempt(name, knowledge, kappa=100.0, epsilon=1e-2)
    # The price's own may hold an interval of the walk's constant.
    theorem = counted.theorem.partition(", c =")[0]
    assert quote.query_count.theorem.startswith(theorem)
    assert quote.query_count.expected > float(counted.expected)  # κ_be is above κ


def test_the_paper_prices_qsvt_alone_and_by_jennings():
    paper = dataclasses.replace(AUDITED, quantum_price="paper")
    assert [solver.name for solver in quantum_solvers(paper)] == ["qsvt"]
    facts = kappa_facts(4096, 100.0, 16)
    asked = [q for q in quotes(facts, paper) if q.machine == "quantum"]
    assert [(q.solver, q.name) for q in asked] == [("qsvt", "jennings")]
    refused = SOLVERS.get("costa").price(facts, paper)
    assert refused.seconds is None
    assert refused.refused == "the paper's price has none of it"
    # The audited price by the paper's count, too, is QSVT's.
    jennings = dataclasses.replace(AUDITED, audit=dataclasses.replace(AUDIT, query_set="paper"))
    assert SOLVERS.get("qsvt").price(facts, jennings).name == "jennings"
    assert SOLVERS.get("hhl").price(facts, jennings).seconds is None


def test_a_market_may_name_one():
    one = dataclasses.replace(AUDITED, algorithm="hhl")
    assert [solver.name for solver in quantum_solvers(one)] == ["hhl"]
    quantum = {solver.name for solver in quantum_solvers(AUDITED)}
    assert set(NAMES) < quantum
    gates = dataclasses.replace(AUDITED, execution=object())
    assert quantum - {solver.name for solver in quantum_solvers(gates)} == {"costa"}


def test_hybrid_takes_the_cheapest_and_quantum_only_the_one_that_is_named():
    offers = quotes(kappa_facts(16, 4.0, 4), AUDITED)
    cheapest = min((q.seconds, q.solver) for q in offers if q.seconds is not None)
    assert decide("hybrid", offers).chosen == cheapest[1]
    named = dataclasses.replace(AUDITED, algorithm="costa", quantum_price="paper")
    decided = decide("quantum-only", quotes(kappa_facts(16, 4.0, 4), named))
    assert decided.chosen == "costa"
    assert "its price is unknown: the paper's price has none of it" in decided.reason


@pytest.mark.parametrize("name", NAMES)
def test_what_was_priced_is_what_runs(name):
    matrix, rhs = with_spectrum(geometric(8, 5.0, indefinite=True), 0), draw(8, seed=1)
    system = LinearSystem(DenseOperator(matrix), rhs)
    solution = run_solver(SOLVERS.get(name), system, kappa_facts(8, 5.0, 8), AUDITED)
    assert solution.solved
    assert solution.stats.solver == name
    assert solution.stats.quantum is not None
    assert solution.stats.quantum.algorithm == name
    error = (solution.direction - torch.linalg.solve(matrix, rhs)).norm() / rhs.norm()
    assert float(error) < 1e-2


def test_a_known_norm_is_handed_on_where_the_price_counts_on_it():
    matrix, rhs = with_spectrum(geometric(8, 50.0), 0), draw(8, seed=1)
    system, truth = LinearSystem(DenseOperator(matrix), rhs), torch.linalg.solve(matrix, rhs)
    facts = kappa_facts(8, 50.0, 8)
    spectrum = dataclasses.replace(facts.spectrum, norm=1.0)
    gain = float(truth.norm() / rhs.norm())
    facts = dataclasses.replace(facts, spectrum=spectrum, solution_gain=gain)
    warm = dataclasses.replace(AUDITED, audit=dataclasses.replace(AUDIT, query_set="warm-start"))
    unknown, known = (
        run_solver(SOLVERS.get("dalzell"), system, facts, market).stats.quantum
        for market in (AUDITED, warm)
    )
    assert known is not None
    assert unknown is not None
    assert known.success_probability > 0.99 > unknown.success_probability


def test_an_unknown_algorithm_is_refused_by_name():
    with pytest.raises(ValueError, match="no quantum solver is called 'cg'; choose qsvt, dalzell"):
        quantum_solver("cg")
    with pytest.raises(ValueError, match="choose qsvt, dalzell, hhl, costa"):
        Quantum("attosecond", algorithm="qft")
    with pytest.raises(ValueError, match="of which no circuit is built"):
        Quantum("attosecond", algorithm="costa", execute="circuit")
    assert Quantum("attosecond", algorithm="hhl").algorithm == "hhl"


def test_a_replay_asks_the_algorithm_that_the_run_asked():
    settings = ReplaySettings(calibration=nominal_calibration(), hardware=MACHINE, algorithm="hhl")
    market = dataclasses.replace(settings.market, quantum_price="audited")
    assert [solver.name for solver in quantum_solvers(market)] == ["hhl"]
