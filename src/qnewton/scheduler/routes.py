"""Routes: how a block is held and which solver takes it, priced before anything is formed.

A route that reads entries pays for forming them; one that multiplies, or has a low-rank factor,
does not. Nothing here measures: prices come from shapes, the calibration, and what the block's
last solve left behind.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from qnewton.cost.krylov import cg_quote
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
"""What a try of conjugate gradients may cost, of the cheapest other route."""

_FEWEST = 4  # products below which a try tells nothing
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
    """Return a quote of every route; where nothing tells CG's products, one of a bounded try.

    Args:
        facts: From :func:`planned_facts`, or a survey.
        market: The machines.
        may_form: Whether entries may be formed.

    Cost: some microseconds a candidate.
    """
    offers = quotes(facts, market, may_form)
    return tuple(
        _a_try(offer, offers, facts, market) if offer.solver == "cg" else offer for offer in offers
    )


def _a_try(offer: Quote, offers: Sequence[Quote], facts: Facts, market: Market) -> Quote:
    """Price as many products as a fifth of the cheapest other route buys, if CG has no price.

    A try that converges is the solve; one that does not costs that fifth once, since the next
    step knows of it.
    """
    nothing_known = facts.condition is None and (
        facts.earlier is None
        or (facts.earlier.cg_products is None and facts.earlier.cg_unfinished is None)
    )
    others = [o.seconds for o in offers if o.machine == "classical" and o.seconds is not None]
    if offer.seconds is not None or not nothing_known or not others:
        return offer
    one, many = (_priced(facts, market, count) for count in (1, 101))
    if one.seconds is None or many.seconds is None:
        return offer
    each = (many.seconds - one.seconds) / 100
    affordable = SHARE_OF_A_TRY * min(others) - (one.seconds - each)
    count = min(math.floor(affordable / each), facts.n, market.max_products) if each > 0 else 0
    if count < _FEWEST:
        return offer
    tried = _priced(facts, market, count)
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


def _priced(facts: Facts, market: Market, products: int) -> Quote:
    known = EarlierFacts(step=0) if facts.earlier is None else facts.earlier
    assumed = replace(facts, earlier=replace(known, cg_products=products, tolerance=None))
    return cg_quote(market.calibration, assumed, market.dtype, tolerance=market.tolerance)


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
    if family is None or definiteness == "indefinite":
        return left
    solved = attempt.outcome == "solved"
    spent = {f"{family}_products": attempt.products if solved else None}
    spent[f"{family}_unfinished"] = None if solved else attempt.products
    return replace(left, tolerance=tolerance, **spent)
