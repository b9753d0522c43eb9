"""Prices of every solver for a system, live or recorded: who is asked, and for what.

Torch-free. Nothing here measures: prices come from shapes, facts, the calibration, and what the
block's last solve left behind. A solver that reads entries pays for forming them; one that
multiplies, or has a low-rank factor, does not.
"""

import math
from dataclasses import replace

from qnewton.cost import Family, Market, Solver
from qnewton.cost.krylov import USUAL_PRODUCTS, earlier_of
from qnewton.cost.nystrom import nystrom_rank
from qnewton.cost.parts import ONCE, Draft, definiteness_known
from qnewton.cost.solvers import classical_solvers, quantum_solvers, quote_by
from qnewton.records import Basis, Earlier, Facts, Quote, Refusal
from qnewton.scheduler.history import krylov_history

BY_PRODUCTS = "cg"
"""The solver of a block that can only be multiplied with, if no solver has a price."""

SHARE_OF_A_TRY = 0.5
"""Share of the cheapest other route's price that a bounded run of a Krylov solver may cost.

A try is made once: it lengthens one step by half at most, and later ones know of it.
"""

_TRIAL_MODEL = "a run of bounded length: its products are not known yet"
_MOST_SHAPES = 512  # whose prices are kept
_FEWEST = 4  # products below which a try tells nothing
# Times its quoted work after which a route that converged before goes over to the next.
_OVERRUN = 2
# One unit in the last place of 1.
_EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}
# Half as many again as foretold: fits of convergence are not exact.
_PATIENCE = 1.5


def candidates(
    market: Market, may_form: bool = True, facts: Facts | None = None
) -> tuple[Solver, ...]:
    """Return the classical solvers, and the quantum ones when there is a machine for them.

    Args:
        market: The machines.
        may_form: Whether the matrix has its entries, or they may be formed; otherwise only those
            that need none.
        facts: How the matrix is held: solvers that need another representation are left out,
            those that need some when nobody knows.
    """
    quantum = () if market.hardware is None else quantum_solvers(market)
    return tuple(s for s in (*classical_solvers(), *quantum) if s.takes(facts, may_form))


def quotes(facts: Facts, market: Market, may_form: bool = True) -> tuple[Quote, ...]:
    """Return one quote per solver; one that cannot be priced says why in its quote."""
    return tuple(quote_by(s, s.price, facts, market) for s in candidates(market, may_form, facts))


def price_routes(facts: Facts, market: Market, may_form: bool) -> tuple[Quote, ...]:
    """Return a quote of every route; of a bounded run if a Krylov solver's products are unknown.

    Args:
        facts: From :func:`~qnewton.scheduler.planned.planned_facts`, or a survey.
        market: The machines.
        may_form: Whether entries may be formed.

    Cost: some microseconds a candidate; those that factorise are priced once for a shape.
    """
    found = candidates(market, may_form, facts)
    direct = _direct_quotes(found, facts, market)
    priced = tuple(direct.get(s.name) or quote_by(s, s.price, facts, market) for s in found)
    offers = dict(zip(found, _without_failed(priced, facts.earlier), strict=True))
    known = ((s, o.seconds) for s, o in offers.items() if s.machine == "classical")
    classical = {solver: seconds for solver, seconds in known if seconds is not None}
    if not classical:
        return tuple(_usual(solver, offer, facts, market) for solver, offer in offers.items())
    affordable = SHARE_OF_A_TRY * min(classical.values())
    by_cg: Quote | None = None
    most = market.max_products
    for solver, offer in offers.items():
        if solver.price_of is None or offer.seconds is not None or not _worth_a_try(solver, facts):
            continue
        tried = _a_try(solver, offer, affordable, facts, replace(market, max_products=most))
        if solver.family is Family.CG:
            by_cg = tried
        elif solver.family is Family.MINRES and not _dearer(tried, by_cg):
            continue
        offers[solver] = tried
        # One more of MINRES, which come second: conjugate gradients also prove the signs.
        most = most if tried.max_products is None else tried.max_products + 1
    # The routes that take over from a Krylov solver that ran out of products.
    direct_seconds = (seconds for s, seconds in classical.items() if not s.family.iterates)
    limits = (facts.earlier, min(direct_seconds, default=None), market.max_products)
    bounded = {solver: _bounded(solver, offer, *limits) for solver, offer in offers.items()}
    return _without_rounded(bounded, facts, market)


def forming_pays(facts: Facts, market: Market, products: int) -> bool:
    """Return whether the entries of a matrix cost no more than so many products with it.

    Args:
        facts: From :func:`~qnewton.scheduler.planned.planned_facts`.
        market: The machines; the calibration and the dtype are read.
        products: How many.

    Cost: a few scalar operations.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> market = Market(nominal_calibration(), None, 1e-6, 0.1, "float32")
        >>> from qnewton.records import FormingWork, Products
        >>> rows = FormingWork(flops=9e8, rows=900, rows_flops=9e8)
        >>> facts = Facts(n=900, held=Products(product_flops=1e6, forming=rows))
        >>> forming_pays(facts, market, 40), forming_pays(facts, market, 900)
        (False, True)
    """
    known = (market.calibration, facts, market.dtype)
    forming = Draft("forming", *known, "").add_forming()
    instead = Draft("products", *known, "").add_products(products)
    if forming.refused is not None or instead.refused is not None:
        return instead.refused is not None
    return forming.seconds <= instead.seconds


def _direct_quotes(found: tuple[Solver, ...], facts: Facts, market: Market) -> dict[str, Quote]:
    """Return the quotes of solvers that factorise, from the calibration's memo where they are."""
    earlier = facts.earlier
    if earlier is not None:
        # All they take from an earlier step are the signs.
        facts = replace(facts, earlier=Earlier(step=0, definiteness=earlier.definiteness))
    memo = market.calibration.memo
    key = (facts, market.dtype, found)
    quotes = memo.get(key)
    if quotes is None:
        if len(memo) >= _MOST_SHAPES:
            memo.clear()
        quotes = {
            # The paper's C·N³ has no fixed part and no check: not to be compared with others.
            solver.name: quote_by(solver, solver.price_as_timed or solver.price, facts, market)
            for solver in found
            if solver.family is Family.DIRECT
        }
        memo[key] = quotes
    return quotes


def _dearer(offer: Quote, other: Quote | None) -> bool:
    if other is None or other.max_products is None or other.seconds is None:
        return True
    return offer.seconds is not None and offer.seconds > other.seconds


def _without_failed(offers: tuple[Quote, ...], earlier: Earlier | None) -> tuple[Quote, ...]:
    """Refuse solvers that missed the tolerance at the last step, while others are left."""
    if earlier is None or not earlier.failed:
        return offers
    refused = f"its solution missed the tolerance at step {earlier.step}"
    left = tuple(
        replace(offer, seconds=None, terms=(), refused=refused, refusal=Refusal.MISSED)
        if offer.solver in earlier.failed
        else offer
        for offer in offers
    )
    return left if any(o.seconds is not None for o in left) else offers


def _without_rounded(
    offers: dict[Solver, Quote], facts: Facts, market: Market
) -> tuple[Quote, ...]:
    """Refuse who squares a factor's condition number, where that leaves too few digits."""
    kept = [s for s, o in offers.items() if s.keeps_root and o.seconds is not None]
    kappa = _condition_known(facts)
    rounding = 0.0 if kappa is None else _EPSILON[market.dtype] * kappa
    limit = max(market.tolerance, math.sqrt(_EPSILON[market.dtype]))
    if not kept or rounding <= limit:
        return tuple(offers.values())
    refused = f"κ is at least {kappa:.2g}: rounding of {rounding:.0e} is above {limit:.0e}"
    changes = {"seconds": None, "terms": (), "refused": refused, "refusal": Refusal.ROUNDING}
    return tuple(
        offer
        if solver.keeps_root or solver.machine == "quantum" or offer.seconds is None
        else replace(offer, **changes)
        for solver, offer in offers.items()
    )


def _condition_known(facts: Facts) -> float | None:
    """Return a condition number that A has at least: this step's survey before an earlier solve."""
    surveyed = facts.spectrum.condition
    if surveyed is not None:
        return surveyed.low
    return None if facts.earlier is None else facts.earlier.condition_seen


def _usual(solver: Solver, offer: Quote, facts: Facts, market: Market) -> Quote:
    """Price the usual products of conjugate gradients where no other route is open."""
    # They are what such a block is solved by, whether anybody counted their products or not.
    if solver.family is not Family.CG or solver.price_of is None:
        return offer
    if offer.seconds is not None or not _worth_a_try(solver, facts):
        return offer
    count = min(USUAL_PRODUCTS, facts.n, market.max_products)
    priced = quote_by(solver, solver.price_of, facts, market, count)
    if priced.seconds is None:
        return offer
    said = f"{count} products, as is usual: nobody counted them yet, and no other route is open"
    return _as_trial(priced, said)


def _as_trial(quote: Quote, said: str) -> Quote:
    """Return a quote of products that we chose, and say so."""
    assumptions = (said, *quote.assumptions)
    return replace(quote, basis=Basis.TRIAL, model=_TRIAL_MODEL, assumptions=assumptions)


def _bounded(
    solver: Solver, offer: Quote, earlier: Earlier | None, instead: float | None, most: int
) -> Quote:
    """Bound the products of a solver that was priced by earlier steps."""
    # One whose convergence was only foretold gets half as many again. One that converged gets
    # twice its quoted products, but as many as the next route is worth in any case: giving up
    # sooner would throw away more than it saves. Without a route to go over to it has no bound.
    if not solver.family.iterates or earlier is None:
        return offer
    history = krylov_history(earlier, solver.family)
    if not offer.products or offer.max_products is not None:
        return offer  # a state of an older version may hold a solve of b = 0, without products
    if history.products is not None:
        if instead is None or not offer.seconds:
            return offer
        each = math.fsum(t.seconds for t in offer.terms if t.name not in ONCE) / offer.products
        worth = math.floor(instead / each) if each > 0 else 0
        bound = max(_OVERRUN * offer.products, worth, _FEWEST)
        return offer if bound >= most else replace(offer, max_products=bound)
    if history.expected is None:
        return offer
    return replace(offer, max_products=math.ceil(_PATIENCE * offer.products))


def _worth_a_try(solver: Solver, facts: Facts) -> bool:
    """Return whether nobody knows how the solver fares, and nothing known speaks against it."""
    # Where conjugate gradients ran out of products MINRES would, too: it is tried where they can
    # not go. A definite matrix is theirs, an indefinite one is not.
    if facts.spectrum.condition is not None:
        return False
    earlier = earlier_of(facts)
    cg, minres = earlier.cg, earlier.minres
    signs = definiteness_known(facts)[0]
    if solver.family is Family.PCG:
        # A sketch pays where plain ones took more products than it is made of, or ran out of them.
        plain = cg.products or cg.unfinished or 0
        untold = {earlier.pcg.products, earlier.pcg.unfinished} == {None}
        return untold and plain > nystrom_rank(facts)
    if solver.family is Family.CG:
        untold = {cg.products, cg.unfinished, minres.unfinished} == {None}
        return untold and signs != "indefinite"
    # Where conjugate gradients do, MINRES has as many products and dearer ones.
    if signs == "indefinite" and cg.products is not None:
        return True
    untold = {cg.products, minres.products, minres.unfinished} == {None}
    return untold and signs != "positive" and (signs == "indefinite" or cg.unfinished is None)


def _a_try(solver: Solver, offer: Quote, affordable: float, facts: Facts, market: Market) -> Quote:
    """Price as many products as half of the cheapest other route buys."""
    # A try that converges is the solve; one that does not costs that half once, since the next
    # step knows of it.
    if solver.price_of is None:
        return offer
    one = quote_by(solver, solver.price_of, facts, market, 1)
    if one.seconds is None:
        return offer
    once = math.fsum(term.seconds for term in one.terms if term.name in ONCE)
    each = one.seconds - once
    affords = math.floor((affordable - once) / each) if each > 0 else 0
    count = min(affords, facts.n, market.max_products)
    if count < _FEWEST:
        return offer
    tried = quote_by(solver, solver.price_of, facts, market, count)
    if tried.seconds is not None and tried.seconds > affordable:
        # The basis of MINRES grows, so that later products are dearer than the first.
        count = max(_FEWEST, math.floor(count * affordable / tried.seconds))
        tried = quote_by(solver, solver.price_of, facts, market, count)
    tried = replace(tried, max_products=count)
    said = f"{count} products at most, half of the cheapest other route"
    return _as_trial(tried, f"{said}; unless they solve it the next quote takes over")
