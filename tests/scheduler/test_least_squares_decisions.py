"""Who solves a sum of squares, by shape and by the condition number that a solve showed."""

from dataclasses import replace

import pytest

from qnewton.cost import SOLVERS, Market, nominal_calibration
from qnewton.records import Earlier, Estimate, Facts, FormingWork, KrylovHistory, LowRank, Spectrum
from qnewton.scheduler.offers import price_routes
from qnewton.scheduler.policy import decide

EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}
SHAPES = ((60, 20), (1000, 130), (8000, 500), (500, 500), (300, 900), (100, 3000), (40, 8000))


def chosen(rows: int, n: int, facts: Facts, dtype: str = "float64", tolerance: float = 1e-6):
    held = LowRank(columns=rows, forming=FormingWork(flops=float(n) ** 2 * rows), target=True)
    market = Market(nominal_calibration(), tolerance=tolerance, dtype=dtype)
    offers = price_routes(replace(facts, n=n, held=held, semidefinite=True), market, True)
    return decide("classical", offers), {q.solver: q.seconds for q in offers}


def seen(kappa: float) -> Facts:
    # Krylov solvers were tried, and ran out of products.
    out = KrylovHistory(unfinished=100)
    return Facts(n=1, earlier=Earlier(step=3, condition_seen=kappa, cg=out, minres=out, pcg=out))


@pytest.mark.parametrize(
    ("rows", "n", "kappa_of_j", "solver"),
    [
        (8000, 500, 1e3, "cholesky"),
        (1000, 130, 1e4, "cholesky"),
        (100, 3000, 1e3, "woodbury"),
        (40, 8000, 1e4, "woodbury"),
        (8000, 500, 1e7, "augmented_qr"),
        (500, 500, 1e9, "augmented_qr"),
        (100, 3000, 1e8, "augmented_qr"),
    ],
)
def test_the_small_side_is_solved_and_the_factor_where_its_square_leaves_too_little(
    rows, n, kappa_of_j, solver
):
    assert chosen(rows, n, seen(kappa_of_j**2))[0].chosen == solver


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kappa_of_j", [1e1, 1e2, 1e3, 1e5, 1e7, 1e9])
@pytest.mark.parametrize(("rows", "n"), SHAPES)
def test_nobody_accurate_is_cheaper_than_who_was_chosen(rows, n, kappa_of_j, dtype):
    facts = seen(kappa_of_j**2)
    decision, prices = chosen(rows, n, facts, dtype)
    squares_too_much = EPSILON[dtype] * kappa_of_j**2 > max(1e-6, EPSILON[dtype] ** 0.5)
    assert SOLVERS.get(decision.chosen).keeps_root or not squares_too_much
    unknown = chosen(rows, n, seen(1.0), dtype)[1]
    for name, seconds in unknown.items():
        if seconds is None or (squares_too_much and not SOLVERS.get(name).keeps_root):
            continue
        best = prices[decision.chosen]
        assert best is not None
        assert best <= seconds


def test_a_survey_counts_before_an_earlier_solve():
    surveyed = Estimate(value=1e3, low=9e2, high=None, method="lanczos", products=9)
    facts = replace(seen(1e18), spectrum=Spectrum(condition=surveyed))
    assert chosen(8000, 500, facts)[0].chosen != "augmented_qr"


def test_krylov_solvers_win_where_their_products_are_few():
    took = Earlier(step=3, tolerance=1e-6, cg=KrylovHistory(products=8))
    decision, prices = chosen(8000, 2000, Facts(n=1, earlier=took))
    assert decision.chosen == "cg"
    # LSMR takes as many products, and the same solve of a matrix whose square is lost is its.
    lost = replace(took, condition_seen=1e12)
    decision, prices = chosen(8000, 2000, Facts(n=1, earlier=lost))
    assert decision.chosen == "lsmr"
    assert prices["cg"] is None
