"""Drift: what finished runs say of a calibration's prices, and how later runs use it."""

from dataclasses import replace

import pytest

from qnewton.cost import cg_quote, cholesky_quote, nominal_calibration, save_calibration
from qnewton.cost.calibration_store import (
    FEWEST_SOLVES,
    load_calibration,
    measured_drifts,
    with_drifts,
)
from qnewton.records import (
    Calibration,
    Drift,
    Earlier,
    Facts,
    FormingWork,
    KrylovHistory,
    MeasuredSeconds,
    Outcome,
    Products,
    Quote,
    Spectrum,
    StepRecord,
)
from tests import recorded

FACTS = Facts(
    n=500,
    held=Products(product_flops=1e6, forming=FormingWork(flops=1e10)),
    spectrum=Spectrum(definiteness="positive"),
)


def step(
    offer: Quote, seconds: float, outcome: Outcome = Outcome.SOLVED, products: int = 0
) -> StepRecord:
    block = recorded.block(
        chosen=offer.solver,
        n=FACTS.n,
        facts=FACTS,
        quotes=(offer,),
        attempts=(
            recorded.attempt(offer.solver, outcome, products=products, measured_seconds=seconds),
        ),
    )
    return recorded.step(measured=MeasuredSeconds(solve=seconds), blocks=(block,))


def solving_seconds(offer: Quote) -> float:
    return sum(term.seconds for term in offer.terms if term.name != "forming")


def machine(*drifts: Drift) -> Calibration:
    return replace(nominal_calibration(), drifts=drifts)


def test_the_ratio_leaves_forming_out():
    offer = cholesky_quote(machine(), FACTS)
    run = [step(offer, 3.0 * solving_seconds(offer)) for _ in range(FEWEST_SOLVES)]
    (found,) = measured_drifts(run, machine())
    assert (found.solver, found.solves) == ("cholesky", FEWEST_SOLVES)
    assert found.ratio == pytest.approx(3.0)


def test_the_ratio_is_of_the_price_before_any_drift():
    drifted = machine(Drift(solver="cholesky", ratio=2.0, solves=9))
    offer = cholesky_quote(drifted, FACTS)
    run = [step(offer, solving_seconds(offer)) for _ in range(FEWEST_SOLVES)]
    (found,) = measured_drifts(run, drifted)
    assert found.ratio == pytest.approx(2.0)


def test_an_iterative_solver_is_priced_at_the_products_it_spent():
    earlier = Earlier(step=0, tolerance=1e-6, cg=KrylovHistory(products=10))
    offer = cg_quote(machine(), replace(FACTS, earlier=earlier))
    run = [step(offer, 4.0 * solving_seconds(offer), products=40) for _ in range(FEWEST_SOLVES)]
    (found,) = measured_drifts(run, machine())
    assert found.ratio == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("outcome", "count"), [(Outcome.SINGULAR, 9), (Outcome.SOLVED, FEWEST_SOLVES - 1)]
)
def test_failures_and_a_few_solves_say_nothing(outcome: Outcome, count: int):
    offer = cholesky_quote(machine(), FACTS)
    assert measured_drifts([step(offer, 1.0, outcome)] * count, machine()) == ()


def test_a_stored_drift_prices_the_next_run(tmp_path):
    drifted = with_drifts(nominal_calibration(), [Drift(solver="cholesky", ratio=2.5, solves=8)])
    save_calibration(drifted, tmp_path)
    loaded = load_calibration(drifted.machine, tmp_path)
    assert loaded == drifted
    assert loaded is not None
    before, after = cholesky_quote(nominal_calibration(), FACTS), cholesky_quote(loaded, FACTS)
    assert solving_seconds(after) == pytest.approx(2.5 * solving_seconds(before))


def test_an_old_drift_gives_way_to_many_new_solves():
    old = Drift(solver="lu", ratio=10.0, solves=100_000)
    once = with_drifts(machine(old), [Drift(solver="lu", ratio=1.0, solves=200)]).drift("lu")
    assert once is not None
    assert once.ratio == pytest.approx(10**0.5)
    assert once.solves == 400
