"""Routes: a representation and a solver priced together, before anything is formed."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from qnewton.cost import Market, nominal_calibration
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    SparseOperator,
)
from qnewton.records import (
    Attempt,
    BlockRecord,
    Calibration,
    CurvatureRecord,
    Decision,
    Drift,
    Earlier,
    Facts,
    Formed,
    FormingWork,
    KrylovHistory,
    Outcome,
    Products,
    Quote,
    Sparse,
    Treatment,
)
from qnewton.scheduler.history import facts_left
from qnewton.scheduler.offers import SHARE_OF_A_TRY, price_routes
from qnewton.scheduler.planned import planned_facts


def market(calibration: Calibration | None = None) -> Market:
    return Market(
        calibration=calibration or nominal_calibration(),
        hardware=None,
        epsilon=1e-12,
        tolerance=1e-6,
        dtype="float32",
    )


def by_solver(offers: tuple[Quote, ...]) -> dict[str, Quote]:
    return {offer.solver: offer for offer in offers}


def known_by_products(n: int, forming: float, product: float) -> Facts:
    held = Products(product_flops=product, forming=FormingWork(flops=forming))
    return Facts(n=n, held=held)


def test_only_routes_that_read_entries_pay_for_forming_them():
    facts = known_by_products(2000, forming=4e12, product=1e8)
    offers = by_solver(price_routes(facts, market(), may_form=True))
    for solver in ("lu_inverse", "lu", "cholesky", "ldl"):
        assert offers[solver].terms[0].name == "forming"
        assert offers[solver].representation == "products"
    assert all(term.name != "forming" for term in offers["cg"].terms)


def test_the_same_matrix_once_formed_costs_no_forming():
    facts = known_by_products(2000, forming=4e12, product=1e8)
    before = by_solver(price_routes(facts, market(), may_form=True))["cholesky"]
    after = by_solver(price_routes(replace(facts, held=Formed()), market(), True))
    forming = before.terms[0].seconds
    assert before.seconds == pytest.approx(forming + (after["cholesky"].seconds or 0.0))


def test_a_try_of_cg_costs_a_fifth_of_the_cheapest_other_route_at_most():
    facts = known_by_products(4000, forming=4e12, product=1e8)
    offers = price_routes(facts, market(), may_form=True)
    tried = by_solver(offers)["cg"]
    cheapest = min(o.seconds for o in offers if o.seconds is not None and o.max_products is None)
    assert tried.seconds is not None
    assert tried.seconds <= SHARE_OF_A_TRY * cheapest * (1 + 1e-9)
    assert tried.max_products is not None
    assert tried.max_products == tried.products
    assert "a run of bounded length" in tried.model


def test_no_try_where_a_fifth_of_the_others_buys_no_products():
    # A system of 20 unknowns is factorised while a product is still on its way.
    offers = price_routes(known_by_products(20, forming=4e4, product=1e10), market(), True)
    tried = by_solver(offers)["cg"]
    assert tried.seconds is None
    assert tried.max_products is None


@pytest.mark.parametrize(
    ("earlier", "says"),
    [
        (Earlier(step=3, tolerance=1e-6, cg=KrylovHistory(unfinished=40)), "40 products at step 3"),
        (Earlier(step=3, definiteness="indefinite"), "indefinite, as an earlier step found"),
    ],
)
def test_what_failed_at_the_last_step_is_not_tried_again(earlier: Earlier, says: str):
    facts = replace(known_by_products(4000, 4e12, 1e8), earlier=earlier)
    offer = by_solver(price_routes(facts, market(), may_form=True))["cg"]
    assert offer.refused is not None
    assert says in offer.refused


def test_products_of_the_last_step_price_the_next():
    facts = known_by_products(4000, 4e12, 1e8)
    earlier = Earlier(step=7, tolerance=1e-6, cg=KrylovHistory(products=30))
    offer = by_solver(price_routes(replace(facts, earlier=earlier), market(), True))["cg"]
    assert offer.products == 30
    assert offer.max_products is None
    assert any("as many as step 7 took" in line for line in offer.assumptions)


def test_a_tighter_tolerance_takes_more_products():
    facts = replace(
        known_by_products(4000, 4e12, 1e8),
        earlier=Earlier(step=7, tolerance=1e-2, cg=KrylovHistory(products=30)),
    )
    offer = by_solver(price_routes(facts, market(), True))["cg"]
    assert offer.products is not None
    assert offer.products > 60


def test_an_earlier_run_s_drift_multiplies_all_but_forming():
    plain, slow = nominal_calibration(), Drift(solver="cholesky", ratio=3.0, solves=12)
    facts = known_by_products(500, forming=1e10, product=1e6)
    one = by_solver(price_routes(facts, market(plain), True))["cholesky"]
    other = by_solver(price_routes(facts, market(replace(plain, drifts=(slow,))), True))["cholesky"]
    assert other.terms[0] == one.terms[0]
    for before, after in zip(one.terms[1:], other.terms[1:], strict=True):
        assert after.seconds == pytest.approx(3 * before.seconds)
    assert any("12 solves of earlier runs" in line for line in other.assumptions)


def system(operator: DenseOperator | LowRankOperator | SparseOperator) -> LinearSystem:
    return LinearSystem(operator, torch.ones(operator.n))


def test_facts_name_the_representation():
    factor = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    low_rank = planned_facts(system(LowRankOperator(DenseFactor(factor), 1.0)))
    sparse = planned_facts(system(SparseOperator(tridiagonal(30))))
    assert (low_rank.held.KIND, low_rank.rank) == ("low-rank", 3)
    # Every row but the first reaches one entry before its diagonal.
    assert sparse.held == Sparse(entries=88, envelope=1 + 29 * 4)
    assert planned_facts(system(DenseOperator(torch.eye(3)))).held == Formed()


def test_a_factor_is_solved_by_woodbury_and_a_band_by_its_entries():
    factor = torch.randn(4000, 20, generator=torch.Generator().manual_seed(0))
    for operator, best in (
        (LowRankOperator(DenseFactor(factor), 1.0), {"woodbury", "cg"}),
        (SparseOperator(tridiagonal(4000)), {"sparse_lu", "sparse_cg"}),
    ):
        offers = price_routes(planned_facts(system(operator)), market(), True)
        priced = [(offer.seconds, offer.solver) for offer in offers if offer.seconds is not None]
        assert min(priced)[1] in best


def tridiagonal(n: int) -> Tensor:
    off = torch.ones(n - 1)
    return 4 * torch.eye(n) + torch.diag(off, 1) + torch.diag(off, -1)


def solved_by(*attempts: Attempt) -> BlockRecord:
    return BlockRecord(
        name="full",
        n=10,
        curvature=CurvatureRecord(kind="hessian", route="given", reason=""),
        treatment=Treatment(),
        facts=Facts(n=10),
        decision=Decision(chosen="cg", quotes=(), policy="classical", reason=""),
        attempts=attempts,
    )


def attempt(solver: str, outcome: Outcome, products: int = 0) -> Attempt:
    return Attempt(
        solver=solver, outcome=outcome, residual=None, products=products, measured_seconds=0.0
    )


def test_facts_left_by_a_failed_try_and_the_factorisation_after_it():
    record = solved_by(
        attempt("cg", Outcome.NOT_CONVERGED, 12), attempt("cholesky", Outcome.SOLVED)
    )
    left = facts_left(record, 5, 1e-6, None)
    assert left == Earlier(
        step=5, tolerance=1e-6, definiteness="positive", cg=KrylovHistory(unfinished=12)
    )


def test_facts_left_by_a_solve_forget_an_earlier_failure():
    before = Earlier(
        step=4, tolerance=1e-6, cg=KrylovHistory(unfinished=12), minres=KrylovHistory(products=9)
    )
    left = facts_left(solved_by(attempt("cg", Outcome.SOLVED, 20)), 5, 1e-3, before)
    assert left.cg.products == 20
    assert left.cg.unfinished is None
    assert left.minres.products == 9
    assert left.tolerance == 1e-3


def test_negative_curvature_says_nothing_of_products():
    left = facts_left(solved_by(attempt("cg", Outcome.NOT_DEFINITE, 3)), 5, 1e-6, None)
    assert left.definiteness == "indefinite"
    assert left.cg.products is None
    assert left.cg.unfinished is None


def test_an_indefinite_matrix_is_tried_with_minres_where_nobody_knows_its_products():
    earlier = Earlier(step=3, definiteness="indefinite")
    facts = replace(known_by_products(4000, 4e12, 1e8), earlier=earlier)
    offers = by_solver(price_routes(facts, market(), may_form=True))
    tried, others = offers["minres"], [offers[name] for name in ("lu", "ldl", "lu_inverse")]
    assert tried.seconds is not None
    assert tried.max_products == tried.products
    assert tried.seconds <= SHARE_OF_A_TRY * min(o.seconds or 1e9 for o in others) * (1 + 1e-9)


def test_conjugate_gradients_are_tried_before_minres_while_the_signs_are_unknown():
    offers = by_solver(price_routes(known_by_products(4000, 4e12, 1e8), market(), may_form=True))
    cg, minres = offers["cg"], offers["minres"]
    assert cg.products is not None
    assert minres.products == cg.products + 1
    assert cg.seconds is not None
    assert minres.seconds is not None
    assert cg.seconds < minres.seconds


@pytest.mark.parametrize(
    "earlier",
    [
        Earlier(step=3, tolerance=1e-6, cg=KrylovHistory(unfinished=40)),
        Earlier(
            step=3, tolerance=1e-6, minres=KrylovHistory(unfinished=40), definiteness="indefinite"
        ),
        Earlier(step=3, definiteness="positive"),
    ],
)
def test_minres_is_not_tried_where_it_would_run_out_or_the_matrix_is_definite(
    earlier: Earlier,
):
    facts = replace(known_by_products(4000, 4e12, 1e8), earlier=earlier)
    assert by_solver(price_routes(facts, market(), may_form=True))["minres"].seconds is None


def test_what_minres_spent_on_an_indefinite_matrix_is_kept():
    record = solved_by(replace(attempt("minres", Outcome.SOLVED, 30), definiteness="indefinite"))
    left = facts_left(record, 5, 1e-6, None)
    assert (left.definiteness, left.minres.products) == ("indefinite", 30)


def test_prices_by_shape_are_those_made_anew():
    known = market(replace(nominal_calibration()))
    for earlier in (
        None,
        Earlier(step=3, tolerance=1e-6, cg=KrylovHistory(products=7), definiteness="positive"),
        Earlier(step=5, tolerance=1e-6, cg=KrylovHistory(products=9), definiteness="positive"),
        Earlier(step=6, definiteness="indefinite"),
        Earlier(step=7, definiteness="indefinite"),
    ):
        facts = Facts(n=300, earlier=earlier)
        unknown = replace(known.calibration)
        assert not unknown.memo
        anew = price_routes(facts, replace(known, calibration=unknown), may_form=True)
        assert price_routes(facts, known, may_form=True) == anew
    assert len(known.calibration.memo) == 3


def test_a_route_that_spent_twice_its_quoted_work_goes_over_to_the_next():
    # A product costs a tenth of what a factorisation with its forming does.
    facts = known_by_products(500, 2e8, 2e7)
    earlier = Earlier(step=7, tolerance=1e-6, cg=KrylovHistory(products=30))
    offer = by_solver(price_routes(replace(facts, earlier=earlier), market(), True))["cg"]
    assert (offer.products, offer.max_products) == (30, 60)
    # Without entries there is no other route, so nothing to go over to.
    offer = by_solver(price_routes(replace(facts, earlier=earlier), market(), False))["cg"]
    assert (offer.products, offer.max_products) == (30, None)


def test_a_route_is_not_given_up_for_one_that_costs_more_than_it_has_spent():
    facts = known_by_products(500, 1e9, 1e6)
    earlier = Earlier(step=7, tolerance=1e-6, cg=KrylovHistory(products=4))
    offers = by_solver(price_routes(replace(facts, earlier=earlier), market(), True))
    offer = offers["cg"]
    assert offer.max_products is not None
    assert offer.products is not None
    assert offer.seconds is not None
    assert offer.max_products > 2 * offer.products
    each = offer.seconds / (offer.products + 1)
    others = [o.seconds for o in offers.values() if o.seconds is not None and o.solver != "cg"]
    assert offer.max_products * each <= 1.01 * min(others)


def test_rows_by_double_backward_are_priced_in_batches_of_a_graph():
    def forming(rows: int, operations: int) -> float:
        work = FormingWork(flops=1e6, rows=rows, rows_flops=1e6, row_operations=operations)
        facts = Facts(n=500, held=Products(product_operations=operations, forming=work))
        offer = by_solver(price_routes(facts, market(), True))["cholesky"]
        return next(term.seconds for term in offer.terms if term.name == "forming")

    # As many operations take no longer in one batch than in a smaller one, but longer in two.
    assert forming(32, 11) == pytest.approx(forming(8, 11))
    assert forming(64, 11) > 1.5 * forming(32, 11)
    # A graph of ten times as many operations takes ten times the start of each.
    assert forming(64, 110) > 5 * forming(64, 11)
