"""Routes: how a block is held and which solver takes it, priced before anything is formed.

A route that reads entries pays for forming them; one that multiplies, or has a low-rank factor,
does not. Nothing here measures: prices come from shapes, the calibration, and what the block's
last solve left behind.
"""

import math
from dataclasses import replace

from qnewton.cost.direct import lu_inverse_quote
from qnewton.cost.krylov import A_TRY, MISSED, TRIED
from qnewton.cost.parts import RESIDUAL, Draft, definiteness_known
from qnewton.curvature import USUAL_PRODUCTS
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
    EarlierFacts,
    Facts,
    Outcome,
    Quote,
    Representation,
)
from qnewton.scheduler.portfolio import Candidate, Market, candidates
from qnewton.survey.envelope import envelope

SHARE_OF_A_TRY = 0.5
"""What a try of conjugate gradients or MINRES may cost, of the cheapest other route.

A try is made once: it lengthens one step by half at most, and later ones know of it.
"""

_MOST_SHAPES = 512  # whose prices are kept
_FEWEST = 4  # products below which a try tells nothing
# Times its quoted work after which a route that converged before goes over to the next.
_OVERRUN = 2
# Half as many again as foretold: fits of convergence are not exact.
_PATIENCE = 1.5
# A residual above this tells nothing of where it will go.
_PROGRESS = 0.5
_KRYLOV = {"cg": "cg", "sparse_cg": "cg", "minres": "minres"}


def planned_facts(system: LinearSystem, earlier: EarlierFacts | None = None) -> Facts:
    """Return what is known of a system before anything of it is formed or measured.

    Args:
        system: The system as curvature left it.
        earlier: What the block's last solve left.

    Cost: nothing; O(entries) for the envelope of a sparse one.

    Example:
        >>> import torch
        >>> system = LinearSystem(DenseOperator(torch.eye(2)), torch.ones(2))
        >>> planned_facts(system).representation
        'formed'
    """
    operator, record = system.operator, system.curvature
    held: Representation = "products"
    rank = columns = entries = filled = gram = None
    product = None if record is None else record.product_flops
    passed = None if record is None else record.product_operations
    forming = None if record is None else record.forming_flops
    if isinstance(operator, LowRankOperator):
        held, rank, columns = "low-rank", operator.rank, operator.factor.shape[1]
        # U·Uᵀ, where curvature knows no cheaper way.
        forming = 2.0 * system.n**2 * columns if forming is None else forming
        if not isinstance(operator.factor, DenseFactor):
            product, gram = operator.factor.product_flops, operator.factor.gram_flops
    elif isinstance(operator, SparseOperator):
        held, entries = "sparse", operator.entries
        filled = None if earlier is None else earlier.envelope
        filled = envelope(operator) if filled is None else filled
    elif isinstance(operator, DenseOperator):
        held = "formed"
    return Facts(
        n=system.n,
        batch=None if record is None else record.batch,
        rank=rank,
        columns=columns,
        representation=held,
        forming_flops=forming,
        product_flops=product,
        product_operations=passed,
        forming_rows=0 if record is None else record.forming_rows,
        forming_rows_flops=0.0 if record is None else record.forming_rows_flops,
        gram_flops=gram,
        entries=entries,
        envelope=filled,
        earlier=earlier,
        notes=("decided from shapes and the last step: nothing was measured",),
    )


def price_routes(facts: Facts, market: Market, may_form: bool) -> tuple[Quote, ...]:
    """Return a quote of every route; where nothing tells a Krylov solver's products, of a try.

    Args:
        facts: From :func:`planned_facts`, or a survey.
        market: The machines.
        may_form: Whether entries may be formed.

    Cost: some microseconds a candidate; those that factorise are priced once for a shape.
    """
    found = candidates(market, may_form, facts)
    direct = _direct_quotes(found, facts, market)
    offers = _without_failed(
        tuple(direct.get(c.name) or c.price(facts, market) for c in found),
        facts.earlier,
    )
    others = [o.seconds for o in offers if o.machine == "classical" and o.seconds is not None]
    if not others:
        return tuple(_usual(offer, facts, market) for offer in offers)
    instead = [o.seconds for o in offers if o.seconds is not None and _takes_over(o)]
    by_solver = {offer.solver: offer for offer in offers}
    most = market.max_products
    for solver in TRIED:
        offer = by_solver.get(solver)
        if offer is not None and offer.seconds is None and _worth_a_try(solver, facts):
            tried = _a_try(offer, SHARE_OF_A_TRY * min(others), facts, market, most)
            if solver == "minres" and not _dearer(tried, by_solver.get("cg")):
                continue
            by_solver[solver] = tried
            # One more of MINRES, which come second: conjugate gradients also prove the signs.
            most = most if tried.max_products is None else tried.max_products + 1
    cheapest = min(instead, default=None)
    most = market.max_products
    return tuple(
        _bounded(by_solver[offer.solver], facts.earlier, cheapest, most) for offer in offers
    )


def forming_pays(facts: Facts, market: Market, products: int) -> bool:
    """Return whether the entries of a matrix cost no more than so many products with it.

    Args:
        facts: From :func:`planned_facts`.
        market: The machines; the calibration and the dtype are read.
        products: How many.

    Cost: a few scalar operations.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> market = Market(nominal_calibration(), None, 1e-6, 0.1, "float32")
        >>> rows = {"forming_flops": 9e8, "forming_rows": 900, "forming_rows_flops": 9e8}
        >>> facts = Facts(n=900, representation="products", product_flops=1e6, **rows)
        >>> forming_pays(facts, market, 40), forming_pays(facts, market, 900)
        (False, True)
    """
    forming = Draft("forming", market.calibration, facts, market.dtype, "")
    forming.add_forming()
    instead = Draft("products", market.calibration, facts, market.dtype, "")
    instead.add_products(products)
    if forming.refused is not None or instead.refused is not None:
        return instead.refused is not None
    return forming.seconds <= instead.seconds


def _direct_quotes(found: tuple[Candidate, ...], facts: Facts, market: Market) -> dict[str, Quote]:
    """Return the quotes of solvers that factorise, from the calibration's memo where they are."""
    earlier = facts.earlier
    if earlier is not None:
        # All they take from an earlier step are the signs.
        signs = EarlierFacts(step=0, definiteness=earlier.definiteness)
        facts = replace(facts, earlier=signs)
    memo = market.calibration.memo
    key = (facts, market.dtype, tuple(candidate.name for candidate in found))
    quotes = memo.get(key)
    if quotes is None:
        if len(memo) >= _MOST_SHAPES:
            memo.clear()
        quotes = {
            # The paper's C·N³ has no fixed part and no check: not to be compared with others.
            candidate.name: lu_inverse_quote(market.calibration, facts, market.dtype, as_timed=True)
            if candidate.name == "lu_inverse"
            else candidate.price(facts, market)
            for candidate in found
            if candidate.direct
        }
        memo[key] = quotes
    return quotes


def _dearer(offer: Quote, other: Quote | None) -> bool:
    if other is None or other.max_products is None or other.seconds is None:
        return True
    return offer.seconds is not None and offer.seconds > other.seconds


def _without_failed(offers: tuple[Quote, ...], earlier: EarlierFacts | None) -> tuple[Quote, ...]:
    """Refuse solvers that missed the tolerance at the last step, while others are left."""
    if earlier is None or not earlier.failed:
        return offers
    refused = f"{MISSED} {earlier.step}"
    left = tuple(
        replace(offer, seconds=None, terms=(), refused=refused)
        if offer.solver in earlier.failed
        else offer
        for offer in offers
    )
    return left if any(o.seconds is not None for o in left) else offers


def _usual(offer: Quote, facts: Facts, market: Market) -> Quote:
    """Price the usual products of conjugate gradients where no other route is open.

    They are what such a block is solved by, whether anybody counted their products or not.
    """
    if offer.solver != "cg" or offer.seconds is not None or not _worth_a_try("cg", facts):
        return offer
    count = min(USUAL_PRODUCTS, facts.n, market.max_products)
    priced = TRIED["cg"](
        market.calibration, facts, market.dtype, tolerance=market.tolerance, products=count
    )
    if priced.seconds is None:
        return offer
    said = f"{count} products, as is usual: nobody counted them yet, and no other route is open"
    return replace(priced, model=A_TRY, assumptions=(said, *priced.assumptions))


def _takes_over(offer: Quote) -> bool:
    """Return whether a route takes over from a Krylov solver that ran out of products."""
    return offer.machine == "classical" and offer.solver not in _KRYLOV


def _bounded(offer: Quote, earlier: EarlierFacts | None, instead: float | None, most: int) -> Quote:
    """Bound the products of a solver that was priced by earlier steps.

    One whose convergence was only foretold gets half as many again. One that converged gets twice
    its quoted products, but as many as the next route is worth in any case: giving up sooner
    would throw away more than it saves. Without a route to go over to it has no bound.
    """
    family = _KRYLOV.get(offer.solver)
    if family is None or earlier is None or offer.products is None:
        return offer
    if offer.max_products is not None:
        return offer
    if getattr(earlier, f"{family}_products") is not None:
        if instead is None or not offer.seconds:
            return offer
        each = math.fsum(t.seconds for t in offer.terms if t.name != RESIDUAL) / offer.products
        worth = math.floor(instead / each) if each > 0 else 0
        bound = max(_OVERRUN * offer.products, worth, _FEWEST)
        return offer if bound >= most else replace(offer, max_products=bound)
    if getattr(earlier, f"{family}_expected") is None:
        return offer
    return replace(offer, max_products=math.ceil(_PATIENCE * offer.products))


def _worth_a_try(solver: str, facts: Facts) -> bool:
    """Return whether nobody knows how the solver fares, and what is known does not speak against.

    Where conjugate gradients ran out of products MINRES would, too: it is tried where they can
    not go. A definite matrix is theirs, an indefinite one is not.
    """
    if facts.condition is not None:
        return False
    earlier = facts.earlier
    signs = definiteness_known(facts)[0]
    # Where conjugate gradients do, MINRES have as many products and dearer ones.
    if solver == "minres" and earlier is not None and earlier.cg_products is not None:
        return signs == "indefinite"
    if solver == "cg":
        if signs == "indefinite":
            return False
        return earlier is None or (
            earlier.cg_products is None
            and earlier.cg_unfinished is None
            and earlier.minres_unfinished is None
        )
    if signs == "positive":
        return False
    if earlier is None:
        return True
    if (earlier.minres_products, earlier.minres_unfinished) != (None, None):
        return False
    return signs == "indefinite" or earlier.cg_unfinished is None


def _a_try(offer: Quote, affordable: float, facts: Facts, market: Market, most: int) -> Quote:
    """Price as many products as half of the cheapest other route buys, up to ``most``.

    A try that converges is the solve; one that does not costs that half once, since the next
    step knows of it.
    """
    price = TRIED[offer.solver]
    one = price(market.calibration, facts, market.dtype, tolerance=market.tolerance, products=1)
    if one.seconds is None:
        return offer
    check = math.fsum(term.seconds for term in one.terms if term.name == RESIDUAL)
    each = one.seconds - check
    affords = math.floor((affordable - check) / each) if each > 0 else 0
    count = min(affords, facts.n, most)
    if count < _FEWEST:
        return offer
    # Every other term is a product's, and products are priced alike.
    terms = tuple(
        term if term.name == RESIDUAL else replace(term, seconds=count * term.seconds)
        for term in one.terms
    )
    return replace(
        one,
        seconds=math.fsum(term.seconds for term in terms),
        terms=terms,
        model=A_TRY,
        assumptions=(
            f"{count} products at most, half of the cheapest other route; unless they solve it "
            "the next quote takes over",
            *one.assumptions,
        ),
        products=count,
        max_products=count,
    )


def facts_left(
    record: BlockRecord, step: int, tolerance: float, before: EarlierFacts | None
) -> EarlierFacts:
    """Return what a block's attempts leave for its next step.

    What this step did not look at is kept from ``before``; a try that failed is forgotten, like
    everything else, only by being tried again.

    Args:
        record: The block as it was solved.
        step: The present step.
        tolerance: The relative residual that was asked for.
        before: What was known until now.
    """
    left = before or EarlierFacts(step=step)
    left = replace(left, step=step, envelope=record.facts.envelope)
    for attempt in record.attempts:
        left = _with_attempt(left, attempt, tolerance)
    return left


def _with_attempt(left: EarlierFacts, attempt: Attempt, tolerance: float) -> EarlierFacts:
    definiteness = attempt.definiteness
    if attempt.outcome is Outcome.NOT_DEFINITE:
        definiteness = "indefinite"
    elif attempt.outcome is Outcome.SOLVED and attempt.solver == "cholesky":
        definiteness = "positive"
    if definiteness is not None:
        left = replace(left, definiteness=definiteness)
    family = _KRYLOV.get(attempt.solver)
    if family is None and attempt.outcome is Outcome.RESIDUAL:
        failed = tuple(sorted({*left.failed, attempt.solver}))
        return replace(left, failed=failed)
    if family is None or (family == "cg" and definiteness == "indefinite"):
        return left
    solved = attempt.outcome is Outcome.SOLVED
    spent = {f"{family}_products": attempt.products if solved else None}
    spent[f"{family}_unfinished"] = None if solved else attempt.products
    foretold_before = getattr(left, f"{family}_expected") is not None
    spent[f"{family}_expected"] = (
        None if solved or foretold_before else _foretold(attempt, tolerance)
    )
    return replace(left, tolerance=tolerance, **spent)


def _foretold(attempt: Attempt, tolerance: float) -> int | None:
    """Return the products to the tolerance if the residual goes on falling as it did.

    Conjugate gradients converge faster as they go on (van der Sluis and van der Vorst 1986), so
    it is rather too many.
    """
    residual = attempt.residual
    if residual is None or not 0.0 < residual <= _PROGRESS or not attempt.products:
        return None
    return math.ceil(attempt.products * math.log(2 / tolerance) / -math.log(residual))
