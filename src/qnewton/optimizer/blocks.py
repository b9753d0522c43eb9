"""One block through one step: treat, survey, quote, decide, solve, and the record of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from qnewton.cost import SOLVERS, Market, Solver, absolute_quote, lanczos_products
from qnewton.operators import (
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    OwnedOperator,
    SparseOperator,
    SymmetricOperator,
)
from qnewton.operators.scaling import into_range
from qnewton.optimizer.attempts import attempt_solve, checked_claim
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.earlier import with_survey
from qnewton.optimizer.settings import GroupSettings
from qnewton.records import (
    Attempt,
    BlockRecord,
    Calibration,
    CurvatureRecord,
    Decision,
    Earlier,
    Facts,
    Outcome,
    Quote,
    Refusal,
    Sparse,
    Spectrum,
)
from qnewton.scheduler.planned import planned_facts
from qnewton.scheduler.policy import POLICIES, decide
from qnewton.scheduler.portfolio import run_solver
from qnewton.scheduler.pricing import BY_PRODUCTS, forming_pays, price_routes, quotes
from qnewton.scheduler.step_angle import with_angle
from qnewton.solvers.classical import solve_absolute
from qnewton.survey import survey, survey_low_rank
from qnewton.survey.budget import thrifty_products
from qnewton.survey.lowest import PRODUCTS as LOWEST_PRODUCTS
from qnewton.treatment import damp, prune

ABSOLUTE_LIMIT = 1024
"""Rows up to which an indefinite block is decomposed: a second in float64 on two cores."""

SPARSE_SHARE = 0.1
"""Nonzero share up to which a pruned block is held by its entries alone (see SparseOperator)."""

# Lanczos products at κ up to about 30 to 1%, on the digits and on MNIST: 12 to 41.
_DAMPED_PRODUCTS = 48


@dataclass(frozen=True)
class SurveyPlan:
    """What a step measures of each block before deciding.

    Attributes:
        measure: Whether to measure anything beyond shapes.
        seed: Seeds the Lanczos start, so that a resumed run measures the same.
        routes: Whether a block that nobody has to measure is priced before it is formed, and
            formed only if its solver reads entries.
    """

    measure: bool
    seed: int
    routes: bool = False


@dataclass(frozen=True)
class PreparedBlock:
    """A treated block with its facts and decision, not solved yet.

    Attributes:
        system: The treated system.
        record: What is known of it so far.
        formed: Whether its entries exist, or may be formed by who needs them.
        definite: Whether the direction has to descend.
    """

    system: LinearSystem
    record: BlockRecord
    formed: bool
    definite: bool = False
    _entries: list[LinearSystem] = field(default_factory=list)

    @property
    def has_entries(self) -> bool:
        """Whether some solver had the entries formed."""
        return bool(self._entries)

    def for_solver(self, solver: Solver, clock: StageClock) -> LinearSystem:
        """Return the system as ``solver`` reads it, its entries formed once if it needs them.

        Raises:
            FloatingPointError: If an entry is not finite.
        """
        system = self.system
        if not solver.needs_entries or isinstance(system.operator, DenseOperator):
            return system
        if not self._entries:
            with clock.stage("curvature"):
                matrix = system.operator.dense()
                _check_finite(matrix, system.name)
            formed = DenseOperator(matrix, system.operator.treatment)
            self._entries.append(system.with_operator(formed))
        return self._entries[0]


def prepare_block(
    system: LinearSystem,
    settings: GroupSettings,
    plan: SurveyPlan,
    policy: str,
    market: Market,
    clock: StageClock,
    formed: bool = True,
    definite: bool = False,
    earlier: Earlier | None = None,
    surveyed: Spectrum | None = None,
) -> PreparedBlock:
    """Form, treat and survey one block, ask for quotes, and decide.

    With ``formed`` false the block is only multiplied with: nothing is formed or measured, and
    the candidates are those that need no entries. With ``definite`` a policy that needs no
    entries asks only classical solvers that see negative curvature. Where the plan says so,
    nothing is formed or measured either, and the decision is made from shapes and what the last
    step left (``earlier``). What a survey not long ago found (``surveyed``) is not measured again.

    Raises:
        FloatingPointError: If the curvature holds a number that is not finite.
    """
    curvature = system.operator
    chooser = POLICIES.get(policy)
    measure = plan.measure and surveyed is None
    # A damped low-rank block is surveyed by its factor, without entries.
    by_factor = measure and isinstance(curvature, LowRankOperator) and settings.damping != 0
    routed = (
        plan.routes
        and not chooser.needs_entries
        and (by_factor or not measure)
        and settings.prune is None
        and settings.damping_scale == "absolute"
        and (not formed or _forming_is_priced(system))
    )
    # Pruned and relatively damped blocks have to be formed, but are priced like any other.
    priced_as_held = formed and plan.routes and not chooser.needs_entries and not measure
    if formed and not routed:
        with clock.stage("curvature"):
            curvature = OwnedOperator(curvature.take())
            _check_finite(curvature.dense(), system.name)
    with clock.stage("treatment"):
        operator = _treat(curvature, settings)
        if not chooser.needs_entries and not measure:
            operator = _sparse_where_it_pays(operator)
    treated = system.with_operator(operator)
    batch = system.curvature.batch if system.curvature is not None else None
    rank = system.operator.rank if isinstance(system.operator, LowRankOperator) else None
    block_market = replace(market, dtype=str(operator.dtype).removeprefix("torch."))
    with clock.stage("survey"):
        if routed and by_factor and isinstance(operator, LowRankOperator):
            planned = planned_facts(system, earlier)
            facts = replace(survey_low_rank(operator, batch), held=planned.held, earlier=earlier)
        elif measure and formed:
            facts = survey(
                operator,
                bounds=("determinant", "trace"),
                max_products=survey_products(market.calibration, system.n, block_market.dtype),
                seed=plan.seed,
                batch=batch,
                rank=rank,
            )
        elif isinstance(operator, SparseOperator):
            facts = planned_facts(treated, earlier)
        elif routed:
            facts = planned_facts(system, earlier)
        elif priced_as_held:
            facts = planned_facts(treated, earlier)
        else:
            notes = () if formed else ("not formed: N is above max_dense",)
            facts = Facts(n=system.n, batch=batch, rank=rank, notes=notes)
        if surveyed is not None:
            facts = with_survey(facts, surveyed)
    by_routes = routed or priced_as_held or isinstance(facts.held, Sparse)
    price = price_routes if by_routes else quotes
    offers = price(facts, block_market, formed)
    if definite and not chooser.needs_entries:
        offers = tuple(_unless_blind(offer) for offer in offers)
        if facts.earlier is not None and facts.earlier.failed and not _has_price(offers):
            # Nothing else is left, so who missed the tolerance is looked at again.
            facts = replace(facts, earlier=replace(facts.earlier, failed=()))
            offers = tuple(_unless_blind(o) for o in price(facts, block_market, formed))
    priced = routed and _has_price(offers)
    decided = formed or priced
    decision = decide(chooser, offers) if decided else _by_products(policy, offers, system.n)
    record = BlockRecord(
        name=system.name,
        n=system.n,
        curvature=system.curvature
        or CurvatureRecord(kind="hessian", route="given", reason="passed in by the caller"),
        treatment=operator.treatment,
        facts=facts,
        decision=decision,
        attempts=(),
    )
    return PreparedBlock(treated, record, formed, definite)


def survey_products(calibration: Calibration, n: int, dtype: str) -> int:
    """Return the most Lanczos products that the survey of a dense block may spend.

    No more than a factorisation is worth by the calibration, nor than one usually is (fits extend
    badly beyond the sizes that were timed, so they may only lower it); but enough for the κ of a
    damped system, without which iterative and quantum solvers have no price. At orders where
    those are dearer than a factorisation both are milliseconds.
    """
    priced = lanczos_products(calibration, n, dtype)
    usual = thrifty_products(n)
    return min(n, max(_DAMPED_PRODUCTS, usual if priced is None else min(priced, usual)))


def solve_block(
    prepared: PreparedBlock, market: Market, clock: StageClock
) -> tuple[Tensor | None, BlockRecord]:
    """Solve a block with the decision's solver, then the next quote while one fails.

    Only classical candidates take over from a failed solver. Returns the direction, or ``None``
    when all failed, and the record with every attempt.

    A definite block's direction x has to descend: xᵀA·x = -gᵀx is looked at. Where negative
    curvature is seen, a small formed block takes the eigenvalues by their size and a larger one
    has no direction. An iterate of conjugate gradients that ran out of products descends, so it
    counts.
    """
    system, record, definite = prepared.system, prepared.record, prepared.definite
    attempts: list[Attempt] = []
    for name in _order(record.decision):
        solver, offer = SOLVERS.get(name), record.decision.quote(name)
        if solver.needs_definite and any(a.outcome is Outcome.NOT_DEFINITE for a in attempts):
            continue
        limit = None if offer is None else offer.max_products
        if limit is not None and any(_ran_out(attempt) for attempt in attempts):
            continue
        asked = market if limit is None else replace(market, max_products=limit)
        ready = prepared.for_solver(solver, clock)
        with clock.stage("solve"):
            solution, attempt = attempt_solve(
                name, lambda s=solver, r=ready, m=asked: run_solver(s, r, record.facts, m)
            )
            if solution.solved and solver.machine == "classical":
                solution, attempt = checked_claim(solution, attempt, ready, market.tolerance)
        # The exact direction beside a quantum one is for the record alone: no clock runs.
        solution = with_angle(ready, solution)
        attempts.append(replace(attempt, quantum=solution.stats.quantum))
        if not definite:
            if solution.solved:
                return solution.direction, replace(record, attempts=tuple(attempts))
            continue
        x = solution.direction
        if solution.outcome is Outcome.NOT_DEFINITE or (x is not None and _climbs(x, system.rhs)):
            attempts[-1] = replace(attempts[-1], outcome=Outcome.NOT_DEFINITE, detail="")
            break
        # Only for want of products: whatever else went wrong, the iterate tells nothing.
        out_of_products = solution.stats.products >= asked.max_products
        descends = solver.descends and limit is None and out_of_products
        if x is not None and (solution.solved or descends):
            return x, replace(record, attempts=tuple(attempts))
    if definite and _may_decompose(prepared, market):
        with clock.stage("solve"):
            solution, attempt = attempt_solve(
                "absolute", lambda: solve_absolute(system.operator, system.rhs, market.tolerance)
            )
        attempts.append(attempt)
        record = _with_price_of_absolute(record, system, market)
        if solution.solved:
            return solution.direction, replace(record, attempts=tuple(attempts))
    return None, replace(record, attempts=tuple(attempts))


def _may_decompose(prepared: PreparedBlock, market: Market) -> bool:
    """Return whether all eigenvalues of a block are worth their price.

    A look for the lowest one by products, and a larger λ, turn it into descent, too: entries that
    are not there have to cost less than those products.
    """
    operator, facts = prepared.system.operator, prepared.record.facts
    if not prepared.formed or prepared.system.n > ABSOLUTE_LIMIT:
        return False
    if isinstance(operator, DenseOperator) or prepared.has_entries:
        return True
    dtype = str(operator.dtype).removeprefix("torch.")
    return forming_pays(facts, replace(market, dtype=dtype), LOWEST_PRODUCTS)


def _with_price_of_absolute(
    record: BlockRecord, system: LinearSystem, market: Market
) -> BlockRecord:
    """Return the record with a quote of the solver that took over, which nobody chose."""
    dtype = str(system.operator.dtype).removeprefix("torch.")
    quote = absolute_quote(market.calibration, record.facts, dtype)
    decision = record.decision
    return replace(record, decision=replace(decision, quotes=(*decision.quotes, quote)))


def _forming_is_priced(system: LinearSystem) -> bool:
    """Return whether a route that reads entries has a price before they are there."""
    record = system.curvature
    held = isinstance(system.operator, DenseOperator)
    return held or (record is not None and record.forming_flops is not None)


def _has_price(offers: Sequence[Quote]) -> bool:
    return any(offer.seconds is not None and offer.machine == "classical" for offer in offers)


def _unless_blind(offer: Quote) -> Quote:
    """Refuse a classical solver that cannot tell a minimum's curvature from a saddle's."""
    seen = offer.machine != "classical" or SOLVERS.get(offer.solver).sees_definiteness
    if seen or offer.refused is not None:
        return offer
    reason = "it does not see negative curvature, which damping='auto' has to know of"
    return replace(offer, seconds=None, terms=(), refused=reason, refusal=Refusal.BLIND)


def _ran_out(attempt: Attempt) -> bool:
    """Return whether a Krylov solver needed more products: another one would, too."""
    return attempt.products > 0 and attempt.outcome not in (Outcome.SOLVED, Outcome.NOT_DEFINITE)


def _climbs(direction: Tensor, rhs: Tensor) -> bool:
    # In range, since the product of two short vectors may be no number above 0.
    x, b = into_range(direction.double())[0], into_range(rhs.double())[0]
    return float(x @ b) < 0.0


def _by_products(policy: str, offers: tuple[Quote, ...], n: int) -> Decision:
    """Decide for a block without entries: nobody knows its κ yet, so nobody has a price."""
    return Decision(
        chosen=BY_PRODUCTS,
        quotes=offers,
        policy=policy,
        reason=f"N = {n:,} is above max_dense, so conjugate gradients on products",
    )


def _treat(operator: SymmetricOperator, settings: GroupSettings) -> SymmetricOperator:
    assert settings.damping != "auto"
    operator = damp(operator, settings.damping, relative=settings.damping_scale == "max-abs")
    if isinstance(settings.prune, int):
        # A group's cap holds for all its blocks, and some have fewer columns.
        return prune(operator, max_per_row=min(settings.prune, operator.n))
    if settings.prune is not None:
        return prune(operator, mass=settings.prune)
    return operator


def _sparse_where_it_pays(operator: SymmetricOperator) -> SymmetricOperator:
    """Hold a pruned matrix by its entries where a product with those is surely the cheaper."""
    kept = operator.treatment.kept_entries
    if kept is None or kept > SPARSE_SHARE * float(operator.n) ** 2:
        return operator
    return SparseOperator(operator.dense(), operator.treatment)


def _order(decision: Decision) -> tuple[str, ...]:
    classical = {quote.solver for quote in decision.quotes if quote.machine == "classical"}
    return tuple(name for name in decision.order() if name == decision.chosen or name in classical)


def _check_finite(matrix: Tensor, name: str) -> None:
    # A finite sum proves finite entries in one pass; an overflowing one is looked at again.
    if not torch.isfinite(matrix.sum()) and not torch.isfinite(matrix).all():
        raise FloatingPointError(f"the curvature of block {name!r} is not finite")
