"""Deciding and pricing a step, live or recorded, in one way. Torch-free; nothing is measured.

A live step decides, solves, and prices itself by :func:`step_seconds`. A recorded one is decided
again, from its recorded facts or quotes, and priced by the same function.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from qnewton import cost
from qnewton.cost.quantum_prices import quotes_together
from qnewton.cost.solvers import classical_solver, quantum_solvers, quote_by
from qnewton.records import (
    Basis,
    BlockRecord,
    Calibration,
    Decision,
    Facts,
    MachineKind,
    ModelledSeconds,
    QuantumHardware,
    Quote,
    StepRecord,
)
from qnewton.records.messages import check
from qnewton.scheduler.assignment import assign_blocks, shared_makespan
from qnewton.scheduler.offers import BY_PRODUCTS
from qnewton.scheduler.policy import Policy, decide, facts_paid_for

_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What recorded steps are priced again with.

    Attributes:
        calibration: The classical machine.
        hardware: The quantum machine; ``None`` for no quantum quotes.
        epsilon: Error of the quantum solver at the paper's price; ``None`` for the recorded one.
        tolerance: Relative residual of iterative solvers; ``None`` for the recorded ones.
        solvers: Names of the classical solvers to ask; ``None`` for the recorded ones.
        audit: What the audited price of the quantum solver assumes.
        dtype: dtype of the recorded systems.
        algorithm: The quantum solver to ask; ``None`` for all that its cost model prices.
        n_qpus: QPUs that share the blocks of a step with the classical machine.
        keep: Machines whose quotes stay as recorded: where nothing they depend on has changed.

    Raises:
        ValueError: If a solver is unknown or there is less than one QPU.
    """

    calibration: Calibration
    hardware: QuantumHardware | None = None
    epsilon: float | None = None
    tolerance: float | None = None
    solvers: tuple[str, ...] | None = None
    audit: cost.Audit = cost.DEFAULT_AUDIT
    dtype: str = "float32"
    algorithm: str | None = None
    n_qpus: int = 1
    keep: tuple[MachineKind, ...] = ()

    def __post_init__(self) -> None:
        for name in self.solvers or ():
            classical_solver(name)  # raises on an unknown one
        check("n_qpus", self.n_qpus, "must be at least 1", self.n_qpus >= 1)

    @property
    def market(self) -> cost.Market:
        """The machines, as a live step has them."""
        return cost.Market(
            self.calibration,
            self.hardware,
            dtype=self.dtype,
            audit=self.audit,
            algorithm=self.algorithm,
            n_qpus=self.n_qpus,
        )


def step_seconds(
    record: StepRecord,
    policy: Policy,
    market: cost.Market,
    surveyed: Collection[cost.SurveyFact] | None = None,
) -> ModelledSeconds | None:
    """Price every stage of a step by the decisions and quotes it holds.

    A block's solve costs the chosen solver's quote; where that solver was tried and failed, those
    of the solvers that were tried after it, too. Where blocks share machines the solves cost what
    passes until the last machine is done.

    Args:
        record: The step, decided.
        policy: The policy that decided, which pays for what it surveys.
        market: The machines; the classical one runs every stage but the solves.
        surveyed: The surveyed facts that are paid for; those of ``policy`` by default.

    Returns:
        Seconds by stage; ``None`` where a part is unknown (see
        :func:`qnewton.cost.modelled_seconds`).

    Raises:
        ValueError: If the policy needs a quantum machine and the market has none, a solver that
            was tried has no quote, or the calibration lacks a rate.

    Cost:
        A few dozen scalar operations per block.
    """
    decisions = [block.decision for block in record.blocks]
    if surveyed is None:
        surveyed = facts_paid_for(policy, market.hardware, (d.quote(d.chosen) for d in decisions))
    charged = cost.own_charges(record)
    seconds = cost.modelled_seconds(
        record, market.calibration, charged=charged, surveyed=surveyed, dtype=market.dtype
    )
    shared = shared_makespan(decisions, [charged[block.name] for block in record.blocks])
    return seconds if seconds is None or shared is None else replace(seconds, solve=shared)


def shared_out(policy: Policy, decisions: Sequence[Decision], n_qpus: int) -> Sequence[Decision]:
    """Return the decisions of a step's blocks, made together where they share machines.

    They stay as they are under a policy whose blocks share none, of a single block, and where a
    block has no price.
    """
    priced = all(any(q.seconds is not None for q in d.quotes) for d in decisions)
    if not policy.shares_machines or len(decisions) < 2 or not priced:
        return decisions
    return assign_blocks(decisions, n_qpus)[0]


def decided_again(
    record: StepRecord,
    policy: Policy,
    market: cost.Market,
    offers: Callable[[BlockRecord], list[Quote]],
) -> StepRecord:
    """Return a recorded step as a policy decides it from other quotes.

    Nothing is solved: whoever was tried is what was tried. Systems that were solved and given up
    on the way keep their solver, whose work is priced again.

    Args:
        record: The step.
        policy: The policy.
        market: Prices the solvers that took over and were never offered.
        offers: The quotes of a block.

    Raises:
        ValueError: If the policy misses a quote it needs.
    """
    decisions = [_decided(block, policy, offers(block)) for block in record.blocks]
    if all(block.attempts for block in record.blocks):
        decisions = shared_out(policy, decisions, market.n_qpus)
    blocks = zip(record.blocks, decisions, strict=True)
    abandoned = [
        (block, replace(block.decision, quotes=tuple(offers(block)))) for block in record.abandoned
    ]
    return replace(
        record,
        blocks=tuple(_with_takeovers(block, decision, market) for block, decision in blocks),
        abandoned=tuple(_with_takeovers(block, decision, market) for block, decision in abandoned),
    )


Priced = Mapping[tuple[str, Facts], Quote]
"""Quotes that are there already, by solver and system."""


def repriced_steps(
    records: Sequence[StepRecord], policy: Policy, settings: ReplaySettings
) -> Iterator[StepRecord]:
    """Give recorded steps as a policy decides them at the prices of the settings.

    What the audited price has to say of all of them is worked out together, a few hundred blocks
    at a time.
    """
    market = _market(policy, settings)
    for start in range(0, len(records), _TOGETHER):
        lot = records[start : start + _TOGETHER]
        systems = [block.facts for record in lot for block in (*record.blocks, *record.abandoned)]
        names = [solver.name for solver in quantum_solvers(market)]
        priced: Priced = {}
        if settings.hardware is not None and "quantum" not in settings.keep:
            priced = quotes_together(systems, market, names)

        def offers(block: BlockRecord, priced: Priced = priced) -> list[Quote]:
            return _repriced(block, policy, settings, priced)

        for record in lot:
            yield decided_again(record, policy, settings.market, offers)


_TOGETHER = 200


def _market(policy: Policy, settings: ReplaySettings) -> cost.Market:
    market = settings.market
    return replace(market, quantum_price=policy.quantum_price or market.quantum_price)


def _recorded(block: BlockRecord) -> list[Quote]:
    """Return the recorded quotes of the solvers that were offered, not of who took over."""
    known = ((cost.SOLVERS.find(quote.solver), quote) for quote in block.decision.quotes)
    return [quote for solver, quote in known if solver is None or solver.offered]


def _repriced(
    block: BlockRecord, policy: Policy, settings: ReplaySettings, priced: Priced
) -> list[Quote]:
    """Price a recorded system again: the solvers that were offered, or those of the settings."""
    offered = _recorded(block)
    known = [quote for quote in offered if quote.machine == "classical"]
    names = settings.solvers
    offers = [_again(block, q, settings) for q in known if names is None or q.solver in names]
    recorded = {quote.solver for quote in known}
    market = replace(_market(policy, settings), tolerance=settings.tolerance or _TOLERANCE)
    new = [classical_solver(name) for name in names or () if name not in recorded]
    quantum = [quote for quote in offered if quote.machine == "quantum"]
    if "quantum" in settings.keep:
        offers += quantum
    elif settings.hardware is not None:
        parts = [quote.quantum for quote in quantum]
        epsilons = [p.epsilon for p in parts if p is not None and p.epsilon is not None]
        market = replace(
            market,
            epsilon=settings.epsilon or next(iter(epsilons), cost.PAPER_EPSILON),
        )
        new += quantum_solvers(market)
    for solver in new:
        quote = priced.get((solver.name, block.facts))
        offers.append(quote or quote_by(solver, solver.price, block.facts, market))
    return offers


def _decided(block: BlockRecord, policy: Policy, offers: Sequence[Quote]) -> Decision:
    recorded = block.decision
    nothing_priced = all(o.seconds is None for o in offers if o.machine == "classical")
    if not policy.needs_entries and recorded.chosen == BY_PRODUCTS and nothing_priced:
        # Nobody had a price: the block was above max_dense and went to this solver unpriced.
        return replace(recorded, quotes=tuple(offers))
    return decide(policy, offers)


def _with_takeovers(block: BlockRecord, decision: Decision, market: cost.Market) -> BlockRecord:
    """Return a block with a decision, and quotes of the solvers that were tried unasked."""
    asked = {quote.solver for quote in decision.quotes}
    unasked = dict.fromkeys(a.solver for a in block.attempts if a.solver not in asked)
    solvers = [(cost.SOLVERS.find(name), block.decision.quote(name)) for name in unasked]
    # The recorded quote is all there is of a solver that this process lacks, and of a quantum one
    # on a market without such a machine.
    found = [
        quote
        if solver is None or (solver.machine == "quantum" and market.hardware is None)
        else quote_by(solver, solver.price, block.facts, market)
        for solver, quote in solvers
    ]
    quotes = (*decision.quotes, *(quote for quote in found if quote is not None))
    return replace(block, decision=replace(decision, quotes=quotes))


def _again(block: BlockRecord, recorded: Quote, settings: ReplaySettings) -> Quote:
    """Price a classical solver again, on what its recorded price rests on."""
    if recorded.refusal is not None or "classical" in settings.keep:
        return recorded
    solver, facts, tolerance = cost.SOLVERS.find(recorded.solver), block.facts, settings.tolerance
    if solver is None:
        return recorded  # priced by code that this process lacks
    if tolerance is None:
        tolerance = _TOLERANCE if recorded.tolerance is None else recorded.tolerance
    market = replace(settings.market, tolerance=tolerance)
    if recorded.basis is Basis.TRIAL and recorded.products is not None and solver.price_of:
        again = quote_by(solver, solver.price_of, facts, market, recorded.products)
        kept = ("model", "basis", "assumptions", "max_products")
        return replace(again, **{name: getattr(recorded, name) for name in kept})
    if recorded.basis is Basis.AS_TIMED and solver.price_as_timed is not None:
        return quote_by(solver, solver.price_as_timed, facts, market)
    again = quote_by(solver, solver.price, facts, market)
    return replace(again, max_products=recorded.max_products)
