"""Prices of a page are those of a replay."""

from dataclasses import replace

import pytest

from qnewton.experiments.replay import replay
from qnewton.report.run_answer import run_answer
from qnewton.report.step_prices import RunPrices, StepPrice, run_prices
from qnewton.report.what_if import DEFAULT_MACHINE
from qnewton.runs import Run, recorded
from qnewton.scheduler.policy import POLICIES
from qnewton.scheduler.pricing import repriced_steps
from qnewton.scheduler.run_prices import own_settings, price_run


@pytest.fixture(scope="module")
def digits() -> Run:
    [run] = recorded("digits")
    return run


@pytest.fixture(scope="module")
def prices(digits: Run) -> RunPrices:
    found = run_prices(digits)
    assert found is not None
    return found


def test_both_machines_cost_what_a_replay_says(digits: Run, prices: RunPrices) -> None:
    settings = replace(own_settings(digits), keep=("classical",))
    priced = price_run(digits, settings)
    assert not prices.sampled
    assert sum(p.classical or 0.0 for p in prices.steps) == pytest.approx(priced.classical_seconds)
    assert sum(p.audited or 0.0 for p in prices.steps) == pytest.approx(priced.quantum_seconds)
    by_paper = price_run(digits, settings, "paper")
    assert sum(p.paper or 0.0 for p in prices.steps) == pytest.approx(by_paper.quantum_seconds)


def test_the_answer_is_that_of_a_replay(digits: Run, prices: RunPrices) -> None:
    hybrid = replay(digits.steps, "hybrid", own_settings(digits))
    assert hybrid.steps_won == 0
    audited, paper = run_answer(digits, prices)
    assert audited.startswith("The classical computer wins all 15 Newton steps: CG would solve")
    by_paper = replay(digits.steps, "paper", own_settings(digits))
    assert f"LU inversion at {by_paper.steps_won} of 15 steps" in paper


def test_the_winner_is_said_whoever_it_is(digits: Run, prices: RunPrices) -> None:
    def said(*audited: float | None) -> str:
        steps = [replace(p, audited=a) for p, a in zip(prices.steps, audited, strict=False)]
        return run_answer(digits, replace(prices, steps=tuple(steps)))[0]

    assert said(1e-9, 1e-9).startswith("The quantum computer wins all 2 Newton steps:")
    assert said(1e-9, 1.0).startswith("The quantum computer wins 1 of 2 Newton steps:")
    assert said(1.0).startswith("The classical computer wins the one Newton step:")
    assert said(1.0, None).endswith("1 more steps have no such price.")
    assert said(None, None).startswith("Who wins at the audited price is not known:")


def test_a_machine_without_an_audited_price_is_stood_for(newton_run: Run) -> None:
    found = run_prices(newton_run)
    assert found is not None
    assert (found.machine.name, found.audited_machine.name) == ("attosecond", DEFAULT_MACHINE)


def test_what_solved_nothing_has_no_price(sgd_run: Run, newton_run: Run) -> None:
    assert run_prices(sgd_run) is None
    unpriced = replace(newton_run, config=replace(newton_run.config, calibration=None))
    assert run_prices(unpriced) is None
    [said] = run_answer(sgd_run, None)
    assert said.startswith("No step of this run solved a linear system, so there was nothing for")
    assert "records no calibration" in run_answer(unpriced, None)[0]


def test_a_quantum_solver_that_ran_keeps_its_quote_where_no_machine_is_asked(
    newton_run: Run,
) -> None:
    first = newton_run.steps[0]
    assert first.blocks[0].attempts[0].solver == "qsvt"
    settings = replace(own_settings(newton_run), hardware=None)
    [again] = repriced_steps([first], POLICIES.get("classical-only"), settings)
    kept = again.blocks[0].decision.quote("qsvt")
    assert kept == first.blocks[0].decision.quote("qsvt")


def test_the_band_holds_the_price(prices: RunPrices) -> None:
    def holds(price: StepPrice) -> bool:
        low, likely, high = price.audited_low, price.audited, price.audited_high
        return low is not None and likely is not None and high is not None and low <= likely <= high

    assert all(map(holds, prices.steps))
