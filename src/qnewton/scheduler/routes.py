"""Routes: how a block is held and which solver takes it, priced before anything is formed.

A route that reads entries pays for forming them; one that multiplies, or has a low-rank factor,
does not. Nothing here measures: prices come from shapes, the calibration, and what the block's
last solve left behind.
"""

import math
from dataclasses import replace

from qnewton.cost.krylov import cg_quote, minres_quote
from qnewton.cost.parts import definiteness_known
from qnewton.operators import DenseOperator, LinearSystem, LowRankOperator, SparseOperator
from qnewton.records import (
    Attempt,
    BlockRecord,
    EarlierFacts,
    Facts,
    Quote,
    Representation,
)
from qnewton.scheduler.portfolio import Market, quotes
from qnewton.survey.envelope import envelope

SHARE_OF_A_TRY = 0.2
"""What a try of conjugate gradients or MINRES may cost, of the cheapest other route."""

_FEWEST = 4  # products below which a try tells nothing
_TRIED = {"cg": cg_quote, "minres": minres_quote}
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
    rank = entries = filled = None
    if isinstance(operator, LowRankOperator):
        held, rank = "low-rank", operator.rank
    elif isinstance(operator, SparseOperator):
        held, entries, filled = "sparse", operator.entries, envelope(operator)
    elif isinstance(operator, DenseOperator):
        held = "formed"
    return Facts(
        n=system.n,
        batch=None if record is None else record.batch,
        rank=rank,
        representation=held,
        forming_flops=None if record is None else record.forming_flops,
        product_flops=None if record is None else record.product_flops,
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

    Cost: some microseconds a candidate.
    """
    offers = quotes(facts, market, may_form)
    others = [o.seconds for o in offers if o.machine == "classical" and o.seconds is not None]
    if not others:
        return offers
    by_solver = {offer.solver: offer for offer in offers}
    most = market.max_products
    for solver in _TRIED:
        offer = by_solver.get(solver)
        if offer is not None and offer.seconds is None and _worth_a_try(solver, facts):
            tried = _a_try(offer, SHARE_OF_A_TRY * min(others), facts, market, most)
            by_solver[solver] = tried
            # As many of MINRES, which are the dearer: conjugate gradients also prove the signs.
            most = most if tried.max_products is None else tried.max_products
    return tuple(by_solver[offer.solver] for offer in offers)


def _worth_a_try(solver: str, facts: Facts) -> bool:
    """Return whether nobody knows how the solver fares, and what is known does not speak against.

    Where conjugate gradients ran out of products MINRES would, too: it is tried where they can
    not go. A definite matrix is theirs, an indefinite one is not.
    """
    if facts.condition is not None:
        return False
    earlier = facts.earlier
    signs = definiteness_known(facts)[0]
    if solver == "cg":
        spent = earlier is not None and (earlier.cg_products, earlier.cg_unfinished) != (None, None)
        return not spent and signs != "indefinite"
    if signs == "positive":
        return False
    if earlier is None:
        return True
    if (earlier.minres_products, earlier.minres_unfinished) != (None, None):
        return False
    return signs == "indefinite" or earlier.cg_unfinished is None


def _a_try(offer: Quote, affordable: float, facts: Facts, market: Market, most: int) -> Quote:
    """Price as many products as a fifth of the cheapest other route buys, up to ``most``.

    A try that converges is the solve; one that does not costs that fifth once, since the next
    step knows of it.
    """
    one, many = (_priced(offer.solver, facts, market, count) for count in (1, 101))
    if one.seconds is None or many.seconds is None:
        return offer
    each = (many.seconds - one.seconds) / 100
    left = affordable - (one.seconds - each)
    count = min(math.floor(left / each), facts.n, most) if each > 0 else 0
    if count < _FEWEST:
        return offer
    tried = _priced(offer.solver, facts, market, count)
    return replace(
        tried,
        model="a try of bounded length: nobody knows its products yet",
        assumptions=(
            f"{count} products at most, a fifth of the cheapest other route; unless they solve it "
            "the next quote takes over",
            *(line for line in tried.assumptions if "as many as step" not in line),
        ),
        max_products=count,
    )


def _priced(solver: str, facts: Facts, market: Market, products: int) -> Quote:
    known = EarlierFacts(step=0) if facts.earlier is None else facts.earlier
    spent = {f"{solver}_products": products}
    assumed = replace(facts, earlier=replace(known, tolerance=None, **spent))
    price = _TRIED[solver]
    return price(market.calibration, assumed, market.dtype, tolerance=market.tolerance)


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
    left = replace(before or EarlierFacts(step=step), step=step, condition=None)
    for attempt in record.attempts:
        left = _with_attempt(left, attempt, tolerance)
    return left


def _with_attempt(left: EarlierFacts, attempt: Attempt, tolerance: float) -> EarlierFacts:
    definiteness = attempt.definiteness
    if attempt.outcome == "not positive definite":
        definiteness = "indefinite"
    elif attempt.outcome == "solved" and attempt.solver == "cholesky":
        definiteness = "positive"
    if definiteness is not None:
        left = replace(left, definiteness=definiteness)
    family = _KRYLOV.get(attempt.solver)
    if family is None or (family == "cg" and definiteness == "indefinite"):
        return left
    solved = attempt.outcome == "solved"
    spent = {f"{family}_products": attempt.products if solved else None}
    spent[f"{family}_unfinished"] = None if solved else attempt.products
    return replace(left, tolerance=tolerance, **spent)
