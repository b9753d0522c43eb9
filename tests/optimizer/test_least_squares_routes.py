"""Systems of sums of squares on their way through the scheduler: who solves them, and who fails."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import huber_loss, mse_loss

from qnewton.cost import Market, nominal_calibration
from qnewton.curvature import Curvature
from qnewton.operators import LinearSystem, LowRankOperator, MatrixFreeOperator
from qnewton.optimizer.attempts import solve_block
from qnewton.optimizer.blocks import PreparedBlock
from qnewton.optimizer.clock import StageClock
from qnewton.records import BlockRecord, CurvatureRecord, Earlier, FormingWork, Outcome, Refusal
from qnewton.scheduler.history import facts_left
from qnewton.scheduler.offers import price_routes
from qnewton.scheduler.planned import GIVEN, planned_facts
from qnewton.scheduler.policy import decide
from qnewton.treatment import damp
from tests.cases import draw, least_squares, mlp, squares
from tests.oracles import damped_fit

MARKET = Market(nominal_calibration(), dtype="float64")


def prepared(system, earlier: Earlier | None = None, descends: bool = False) -> PreparedBlock:
    facts = planned_facts(system, earlier)
    record = BlockRecord(
        name=system.name,
        n=system.n,
        curvature=GIVEN,
        treatment=system.operator.treatment,
        facts=facts,
        decision=decide("classical", price_routes(facts, MARKET, may_form=True)),
        attempts=(),
    )
    return PreparedBlock(system, record, may_form=True, descends=descends)


@pytest.mark.parametrize("descends", [False, True])
@pytest.mark.parametrize(("rows", "n"), [(400, 120), (120, 140)])
def test_where_rounding_leaves_cholesky_nothing_qr_takes_over_and_the_next_step_knows(
    rows, n, descends
):
    # κ(J) = 1e9: JᵀJ + λI has negative eigenvalues by rounding alone.
    jacobian, target = least_squares(rows, n, kappa=1e9)
    system = squares(jacobian, target, 1e-19)
    ready = prepared(system, descends=descends)
    assert ready.record.decision.chosen == "cholesky"
    direction, record, _ = solve_block(ready, MARKET, StageClock(torch.device("cpu")))
    found = [(attempt.solver, attempt.outcome) for attempt in record.attempts]
    assert found == [
        ("cholesky", Outcome.NOT_DEFINITE),
        ("augmented_qr", Outcome.SOLVED),
    ]
    assert direction is not None
    left = facts_left(record, 3, MARKET.tolerance, None)
    assert left.definiteness is None  # rounding says nothing of the signs
    assert left.condition_seen is not None
    assert left.condition_seen > 1e13
    offers = prepared(system, replace(left, failed=()), descends).record.decision
    assert offers.chosen == "augmented_qr"
    quote = offers.quote("cholesky")
    assert quote is not None
    assert quote.refusal is Refusal.ROUNDING


def test_the_direction_that_qr_left_is_right_to_six_digits():
    jacobian, target = least_squares(40, 12, kappa=1e9)
    system = squares(jacobian, target, 1e-19)
    ready = prepared(system, Earlier(step=0, condition_seen=1e18))
    direction, _, _ = solve_block(ready, MARKET, StageClock(torch.device("cpu")))
    assert direction is not None
    exact = damped_fit(jacobian, target, 1e-19)
    assert float((direction - exact).norm() / exact.norm()) < 1e-6


def weighted(net: nn.Module):
    x, y = draw(20, 2), draw(20, 1, seed=3)
    return 0.3 * (net(x) - y).square().sum() + 2.0 * mse_loss(net(x[:5]) ** 2, y[:5])


def robust(net: nn.Module):
    # No residual is beyond δ, where the loss would have a slope and no curvature.
    zeros = torch.zeros(20, 1, dtype=torch.float64)
    near, far = 0.01 * net(draw(20, 2)), 0.01 * net(3 * draw(20, 2, seed=5))
    return huber_loss(near, zeros) + huber_loss(far, zeros)


def beyond(net: nn.Module):
    return weighted(net) + huber_loss(net(draw(20, 2)), torch.full((20, 1), 9.0).double())


@pytest.mark.parametrize(("loss", "known"), [(weighted, True), (robust, True), (beyond, False)])
@pytest.mark.parametrize("blocks", ["full", "layer"])
def test_a_sum_of_squares_gives_the_target_of_its_system(loss, known, blocks):
    net = mlp([2, 8, 1], nn.Tanh)
    curvature = Curvature(net, "auto", blocks=blocks)
    evaluation = curvature.evaluate(lambda: loss(net))
    for system in curvature.systems(evaluation):
        assert isinstance(system.operator, LowRankOperator)
        assert (system.target is not None) == known
        if system.target is not None:
            torch.testing.assert_close(
                system.operator.factor @ system.target, system.rhs, rtol=1e-9, atol=1e-12
            )
    evaluation.release()


def test_a_loss_in_two_backward_passes_keeps_no_target_that_is_not_its_own():
    net = mlp([2, 8, 1], nn.Tanh)

    def closure():
        net.zero_grad()
        first, second = weighted(net), 0.1 * weighted(net)
        first.backward()
        second.backward()
        return first.detach() + second.detach()

    curvature = Curvature(net, "auto", blocks="full")
    evaluation = curvature.evaluate(closure)
    [system] = curvature.systems(evaluation)
    if system.target is not None:
        assert isinstance(system.operator, LowRankOperator)
        torch.testing.assert_close(system.operator.factor @ system.target, system.rhs)
    evaluation.release()


def test_products_alone_go_from_conjugate_gradients_to_a_sketch_and_stay_there():
    # Fifty eigenvalues over six orders stand out of λ: a sketch of 64 takes all of them.
    n, values = 200, torch.logspace(6.0, 0.0, 50, dtype=torch.float64)
    basis = torch.linalg.qr(draw(n, 50))[0]
    free = MatrixFreeOperator(n, lambda v: basis @ (values * (basis.mT @ v)), dtype=torch.float64)
    forming = FormingWork(flops=4e12, rows=n, rows_flops=4e12, row_operations=40)
    record = CurvatureRecord(
        kind="ggn",
        route="given",
        reason="a test's",
        product_flops=1e10,
        product_operations=40,
        forming_flops=forming.flops,
        forming_rows=n,
        forming_rows_flops=forming.rows_flops,
    )
    system = LinearSystem(damp(free, 1e-3), draw(n, seed=9), curvature=record)
    earlier, chosen = None, []
    for step in range(4):
        ready = prepared(system, earlier, descends=True)
        direction, record_of_step, _ = solve_block(ready, MARKET, StageClock(torch.device("cpu")))
        assert direction is not None
        chosen.append([(a.solver, a.outcome) for a in record_of_step.attempts])
        earlier = facts_left(record_of_step, step, MARKET.tolerance, earlier)
    assert [solver for solver, _ in chosen[0]] == ["cg", "cholesky"]
    assert chosen[1:] == 3 * [[("pcg_nystrom", Outcome.SOLVED)]]
    assert earlier is not None
    assert earlier.pcg.products is not None
    assert earlier.pcg.products < 10
    assert earlier.condition_seen is not None
    assert earlier.condition_seen > 1e7  # of A, and not of the preconditioned matrix
