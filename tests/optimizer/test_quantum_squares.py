"""Systems of sums of squares go to the quantum solver like any other, priced beside the others."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from qnewton.cost import SOLVERS, Audit, Market, load_hardware, nominal_calibration
from qnewton.curvature import Curvature
from qnewton.operators import LowRankOperator
from qnewton.scheduler.offers import price_routes
from qnewton.scheduler.planned import planned_facts
from qnewton.scheduler.policy import POLICIES, decide
from qnewton.scheduler.running import run_solver
from qnewton.survey import survey_low_rank
from qnewton.treatment import damp
from tests.cases import draw, mlp
from tests.oracles import condition_number, damped_fit

DAMPING = 1e-2


def problem():
    """Return a net, and a loss of two passes of it: residuals in each, one of them a derivative."""
    net = mlp([1, 6, 1], nn.Tanh)
    x = draw(12, 1).requires_grad_()

    def loss():
        u = net(x)
        [slope] = torch.autograd.grad(u.sum(), x, create_graph=True)
        return (slope + u).square().mean() + (net(torch.zeros(1, 1).double()) - 1.0).square().mean()

    return net, loss


def damped_system():
    net, loss = problem()
    curvature = Curvature(net, "auto", blocks="full")
    evaluation = curvature.evaluate(loss)
    [system] = curvature.systems(evaluation)
    assert isinstance(system.operator, LowRankOperator)
    evaluation.release()
    return system.with_operator(damp(system.operator, DAMPING))


@pytest.mark.parametrize("policy", ["quantum-only", "paper", "hybrid"])
def test_a_factor_is_surveyed_priced_on_both_machines_and_solved_by_qsvt(policy):
    system = damped_system()
    operator = system.operator
    assert isinstance(operator, LowRankOperator)
    facts = replace(survey_low_rank(operator), held=planned_facts(system).held)
    matrix = operator.dense()
    condition = facts.spectrum.condition
    assert condition is not None
    assert condition.value == pytest.approx(condition_number(matrix), rel=1e-6)
    assert facts.spectrum.row_sparsity == system.n == len(matrix)
    values = torch.linalg.eigvalsh(matrix) - DAMPING
    dimension = float((values / (values + DAMPING)).sum())
    assert facts.spectrum.effective_dimension == pytest.approx(dimension, rel=1e-6)
    asked = POLICIES.get(policy)
    market = Market(
        nominal_calibration(),
        load_hardware("attosecond"),
        epsilon=1e-9,
        tolerance=1e-8,
        dtype="float64",
        quantum_price=asked.quantum_price or "paper",
        audit=Audit(error_correction="perfect"),
    )
    offers = price_routes(facts, market, may_form=True)
    priced = {quote.solver for quote in offers if quote.seconds is not None}
    assert {"qsvt", "lu_inverse", "cholesky", "woodbury", "augmented_qr", "lsmr", "cg"} <= priced
    decision = decide(asked, offers)
    # The audited price follows κ; the paper's, its determinant bound, which is far above.
    assert (SOLVERS.get(decision.chosen).machine == "quantum") == (policy != "paper")
    solution = run_solver(SOLVERS.get("qsvt"), system, facts, market)
    assert solution.solved
    assert solution.stats.quantum is not None
    assert solution.direction is not None
    assert system.target is not None
    exact = damped_fit(operator.factor.dense().mT, system.target, DAMPING)
    assert float((solution.direction - exact).norm() / exact.norm()) < 1e-7
