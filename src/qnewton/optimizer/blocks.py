"""One block before it is solved: route, form, treat, survey, decide."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

import torch
from torch import Tensor

from qnewton.cost import SOLVERS, lanczos_products
from qnewton.operators import (
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    OwnedOperator,
    SparseOperator,
    SymmetricOperator,
)
from qnewton.operators.base import dtype_name
from qnewton.optimizer.settings import GroupSettings
from qnewton.optimizer.slow_step import announce_if_slow
from qnewton.optimizer.step_context import StepContext
from qnewton.records import (
    BlockRecord,
    Calibration,
    Decision,
    Earlier,
    Facts,
    Quote,
    Refusal,
    Spectrum,
)
from qnewton.scheduler.offers import BY_PRODUCTS, price_routes, quotes
from qnewton.scheduler.planned import GIVEN, planned_facts
from qnewton.scheduler.policy import decide_anyway
from qnewton.survey import amplitudes, survey, survey_low_rank
from qnewton.survey.condition import thrifty_products
from qnewton.treatment import damp, prune

SPARSE_SHARE = 0.1
"""Nonzero share up to which a pruned block is held by its entries alone (see SparseOperator)."""

# Lanczos products at κ up to about 30 to 1%, on the digits and on MNIST: 12 to 41.
_DAMPED_PRODUCTS = 48


class Route(Enum):
    """What is done with a block's matrix before solvers are asked for quotes."""

    BY_PRODUCTS = "too large to be formed, and nobody may price it"
    AS_HELD = "priced as curvature holds it; formed for a solver that reads entries"
    BY_FACTOR = "the same, and its spectrum is measured by its factor"
    FORMED = "formed, and not measured"
    SURVEYED = "formed and measured"

    @property
    def forms(self) -> bool:
        """Whether the entries are formed first."""
        return self in (Route.FORMED, Route.SURVEYED)


@dataclass(frozen=True)
class BlockTask:
    """One block's system, and what a step asks of it.

    Attributes:
        system: The system as curvature left it, of a loss that is minimised.
        settings: Its treatment; λ is a number.
        may_form: Whether its entries may be formed.
        measures: Whether its spectrum is to be measured.
        descends: Whether the direction has to descend.
        earlier: What the block's last solve left.
        surveyed: What a survey not long ago found, which then is not measured again.
    """

    system: LinearSystem
    settings: GroupSettings
    may_form: bool = True
    measures: bool = False
    descends: bool = False
    earlier: Earlier | None = None
    surveyed: Spectrum | None = None

    @property
    def batch(self) -> int | None:
        """Samples behind the curvature."""
        return None if self.system.curvature is None else self.system.curvature.batch

    @property
    def rank(self) -> int | None:
        """Rank of the curvature, where its factor tells."""
        operator = self.system.operator
        return operator.rank if isinstance(operator, LowRankOperator) else None


@dataclass(frozen=True)
class PreparedBlock:
    """A treated block with its facts and decision, not solved yet.

    Attributes:
        system: The treated system.
        record: What is known of it so far.
        may_form: Whether its entries exist, or may be formed by who needs them.
        descends: Whether the direction has to descend.
    """

    system: LinearSystem
    record: BlockRecord
    may_form: bool
    descends: bool = False


def prepare_block(context: StepContext, task: BlockTask) -> PreparedBlock:
    """Form, treat and survey one block as its route says, ask for quotes, and decide.

    Raises:
        FloatingPointError: If the curvature holds a number that is not finite.
    """
    route, system, policy = _route(context, task), task.system, context.policy
    curvature = system.operator
    if route.forms:
        with context.clock.stage("curvature"):
            curvature = OwnedOperator(_finite(curvature.take(), system.name))
    with context.clock.stage("treatment"):
        operator = _treat(curvature, task.settings)
        if route is Route.FORMED and not policy.needs_entries:
            operator = _sparse_where_it_pays(operator)
    treated = system.with_operator(operator)
    market = replace(context.market, dtype=dtype_name(operator.dtype))
    # A pruned or relatively damped block has to be formed, but is priced like any other.
    held = isinstance(operator, SparseOperator) or (
        route is Route.FORMED and not policy.needs_entries and context.replicas is None
    )
    as_held = held or route in (Route.AS_HELD, Route.BY_FACTOR)
    with context.clock.stage("survey"):
        if route is Route.SURVEYED:
            facts = survey(
                operator,
                bounds=("determinant", "trace"),
                max_products=survey_products(market.calibration, operator.n, market.dtype),
                seed=context.seed,
                batch=task.batch,
                rank=task.rank,
            )
        elif as_held:
            facts = planned_facts(treated if held else system, task.earlier)
        else:
            notes = () if task.may_form else ("not formed: N is above max_dense",)
            facts = Facts(n=system.n, batch=task.batch, rank=task.rank, notes=notes)
        if route is Route.BY_FACTOR and isinstance(operator, LowRankOperator):
            measured = survey_low_rank(operator, task.batch)
            facts = replace(measured, held=facts.held, earlier=task.earlier)
        if task.surveyed is not None:
            at = task.surveyed.measured_at
            note = f"κ, d and the norms are those that step {at} measured"
            facts = replace(facts, spectrum=task.surveyed, notes=(*facts.notes, note))
        if market.hardware is not None:
            known = context.memory.amplitudes(system.name)
            facts = replace(
                facts,
                amplitudes=known or amplitudes(system.rhs),
                solution_gain=context.memory.solution_gain(system.name),
            )
    price = partial(price_routes if as_held else quotes, market=market, may_form=task.may_form)
    offers = price(facts)
    if task.descends and not policy.needs_entries:
        offers = tuple(map(_unless_blind, offers))
        if facts.earlier is not None and facts.earlier.failed and not _has_price(offers):
            # Nothing else is left, so who missed the tolerance is looked at again.
            facts = replace(facts, earlier=replace(facts.earlier, failed=()))
            offers = tuple(map(_unless_blind, price(facts)))
        if task.may_form and not _has_price(offers):
            # Who sees negative curvature needs A definite: one is to find that it is not.
            facts = _without_signs(facts)
            offers = tuple(map(_unless_blind, price(facts)))
    decided = task.may_form or (as_held and _has_price(offers))
    record = BlockRecord(
        name=system.name,
        n=system.n,
        curvature=system.curvature or GIVEN,
        treatment=operator.treatment,
        facts=facts,
        decision=decide_anyway(policy, offers)
        if decided
        else _by_products(policy.name, offers, system.n),
        attempts=(),
    )
    announce_if_slow(context.memory, record)
    return PreparedBlock(treated, record, task.may_form, task.descends)


def formed(system: LinearSystem) -> LinearSystem:
    """Return the system with its entries formed.

    Raises:
        FloatingPointError: If an entry is not finite.
    """
    matrix = _finite(system.operator.dense(), system.name)
    return system.with_operator(DenseOperator(matrix, system.operator.treatment))


def _finite(matrix: Tensor, name: str) -> Tensor:
    # A finite sum proves finite entries in one pass; an overflowing one is looked at again.
    if not torch.isfinite(matrix.sum()) and not torch.isfinite(matrix).all():
        raise FloatingPointError(f"the curvature of block {name!r} is not finite")
    return matrix


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


def _route(context: StepContext, task: BlockTask) -> Route:
    operator, settings, record = task.system.operator, task.settings, task.system.curvature
    plain = settings.prune is None and settings.damping_scale != "max-abs"
    # A solver that reads entries has a price before they are there.
    priced = isinstance(operator, DenseOperator) or (
        record is not None and record.forming_flops is not None
    )
    may_wait = plain and not context.policy.needs_entries and context.replicas is None
    if may_wait and (priced or not task.may_form):
        if not task.measures:
            return Route.AS_HELD
        if isinstance(operator, LowRankOperator) and settings.damping != 0:
            return Route.BY_FACTOR
    if not task.may_form:
        return Route.BY_PRODUCTS
    return Route.SURVEYED if task.measures else Route.FORMED


def _has_price(offers: Sequence[Quote]) -> bool:
    return any(offer.seconds is not None and offer.machine == "classical" for offer in offers)


def _without_signs(facts: Facts) -> Facts:
    earlier = facts.earlier and replace(facts.earlier, definiteness=None)
    note = "A is known to be indefinite, which nobody is priced by: a solver has to find it again"
    spectrum = replace(facts.spectrum, definiteness=None)
    return replace(facts, spectrum=spectrum, earlier=earlier, notes=(*facts.notes, note))


def _unless_blind(offer: Quote) -> Quote:
    """Refuse a classical solver that cannot tell a minimum's curvature from a saddle's."""
    seen = offer.machine != "classical" or SOLVERS.get(offer.solver).sees_definiteness
    if seen or offer.refused is not None:
        return offer
    reason = "it does not see negative curvature, which damping='auto' has to know of"
    return replace(offer, seconds=None, terms=(), refused=reason, refusal=Refusal.BLIND)


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
