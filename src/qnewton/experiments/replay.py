"""A finished run priced again: other prices, machines, tolerances or portfolios; no training.

Loads no torch, so that thousands of steps are replayed as soon as they are read.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from qnewton.cost import (
    DEFAULT_AUDIT,
    PAPER_EPSILON,
    QUANTUM_PRICES,
    SOLVERS,
    Audit,
    Market,
    absolute_quote,
    modelled_seconds,
)
from qnewton.cost.modelled import as_run
from qnewton.cost.quantum_prices import quantum_quote
from qnewton.cost.solvers import classical_solver
from qnewton.records import (
    Basis,
    BlockRecord,
    Calibration,
    Decision,
    QuantumHardware,
    Quote,
    StepRecord,
    decode,
)
from qnewton.runs import Run
from qnewton.scheduler.assignment import assign_blocks, shared_makespan
from qnewton.scheduler.policy import POLICIES, Policy, decide, facts_paid_for
from qnewton.scheduler.pricing import BY_PRODUCTS

_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What a run is priced again with.

    Attributes:
        calibration: The classical machine.
        hardware: The quantum machine; ``None`` for no quantum quotes.
        epsilon: Error of the quantum solver at the paper's price; ``None`` for the recorded one.
        tolerance: Relative residual of iterative solvers; ``None`` for the recorded ones.
        solvers: The classical portfolio; ``None`` for the recorded one.
        audit: What the audited price of ``hybrid`` assumes.
        dtype: dtype of the recorded systems.
        n_qpus: QPUs that ``hybrid`` has for the blocks of a step.
        keep_classical: Whether classical quotes stay as recorded; only where nothing they
            depend on has changed.
    """

    calibration: Calibration
    hardware: QuantumHardware | None = None
    epsilon: float | None = None
    tolerance: float | None = None
    solvers: tuple[str, ...] | None = None
    audit: Audit = DEFAULT_AUDIT
    dtype: str = "float32"
    n_qpus: int = 1
    keep_classical: bool = False

    def __post_init__(self) -> None:
        for name in self.solvers or ():
            classical_solver(name)  # raises on an unknown one
        if self.n_qpus < 1:
            raise ValueError(f"n_qpus is {self.n_qpus}; it must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """Every recorded step under one policy.

    Attributes:
        policy: The policy.
        quantum_price: Which price of the quantum solver it decided by: ``paper's`` or ``audited``;
            ``None`` for a policy that asks for none.
        seconds: Modelled seconds of all steps; ``None`` where some step has no price, or their sum
            is beyond the largest float.
        decisions: How often each solver was chosen for a system that was solved; the quantum one
            by the algorithm that was priced.
        quantum_solves: Systems given to the quantum solver.
        solves: Systems solved.
        steps_won: Newton steps of which the quantum solver got at least one block.
        newton_steps: Newton steps that solved something.
        changed: Decisions that differ from the recorded ones.
        unpriced_steps: Steps without a price.
        refusal: Why the policy cannot be priced at all; ``None`` if it can.
    """

    policy: str
    quantum_price: str | None = None
    seconds: float | None = None
    decisions: Mapping[str, int] = field(default_factory=dict)
    quantum_solves: int = 0
    solves: int = 0
    steps_won: int = 0
    newton_steps: int = 0
    changed: int = 0
    unpriced_steps: int = 0
    refusal: str | None = None

    @property
    def share_won(self) -> float | None:
        """Share of Newton steps the quantum solver wins; ``None`` without any."""
        return self.steps_won / self.newton_steps if self.newton_steps else None


def own_settings(run: Run) -> ReplaySettings:
    """Return the settings a run was decided with.

    Raises:
        ValueError: If its configuration holds no calibration.
    """
    if run.config.calibration is None:
        raise ValueError(f"{run.folder} records no calibration, so nothing in it can be priced")
    options = run.config.options
    audit = options.get("audit")
    return ReplaySettings(
        calibration=run.config.calibration,
        hardware=run.config.hardware,
        audit=DEFAULT_AUDIT if audit is None else decode(Audit, audit),
        n_qpus=int(options.get("qpus", 1)),
        dtype=run.config.dtype or "float32",
    )


def replay(records: Sequence[StepRecord], policy: str, settings: ReplaySettings) -> Replayed:
    """Decide every recorded system again from its facts, and add up what the steps cost.

    Nothing is solved or measured: the directions are the recorded ones, whoever would have
    computed them. Under the run's own settings and policy the recorded decisions come out.

    Args:
        records: Recorded steps.
        policy: A name in :data:`qnewton.scheduler.policy.POLICIES`.
        settings: What to price with.

    Raises:
        ValueError: If the policy is unknown or a recorded fact is out of a formula's range.

    Cost:
        About 0.2 ms a block.
    """
    chooser = POLICIES.get(policy)
    total, unpriced, changed, won, newton = 0.0, 0, 0, 0, 0
    chosen: Counter[str] = Counter()
    quantum = 0
    for record in records:
        decisions = decide_step(record, chooser, settings)
        charged: dict[str, tuple[Quote, ...]] = {}
        wins = 0
        for block, decision in zip(record.blocks, decisions, strict=True):
            quote = decision.quote(decision.chosen)
            assert quote is not None
            charged[block.name] = _charges(block, decision, settings)
            changed += decision.chosen != block.decision.chosen
            if block.attempts:
                chosen[quote.name] += 1
                wins += quote.machine == "quantum"
        quantum += wins
        newton += any(block.attempts for block in record.blocks)
        won += wins > 0
        seconds = modelled_seconds(
            record,
            settings.calibration,
            charged=charged,
            surveyed=facts_paid_for(
                chooser, settings.hardware, (d.quote(d.chosen) for d in decisions)
            ),
            dtype=settings.dtype,
        )
        if seconds is None:
            unpriced += 1
            continue
        shared = shared_makespan(decisions, [charged[block.name] for block in record.blocks])
        if shared is not None:
            seconds = replace(seconds, solve=shared)
        total += seconds.total
    return Replayed(
        policy=policy,
        quantum_price=quantum_price(policy),
        seconds=total if not unpriced and total < math.inf else None,
        decisions=dict(chosen.most_common()),
        quantum_solves=quantum,
        solves=sum(chosen.values()),
        steps_won=won,
        newton_steps=newton,
        changed=changed,
        unpriced_steps=unpriced,
    )


def quantum_price(policy: str) -> str | None:
    """Return which price of the quantum solver a policy decides by: two that do not compare."""
    name = POLICIES.get(policy).quantum_price
    return None if name is None else QUANTUM_PRICES.get(name).title


def _charges(block: BlockRecord, decision: Decision, settings: ReplaySettings) -> tuple[Quote, ...]:
    """Return what the solve costs: a solver that failed when it was tried fails again."""
    tried = [attempt.solver for attempt in block.attempts]
    if tried[:1] != [decision.chosen]:
        quote = decision.quote(decision.chosen)
        return () if quote is None else (quote,)
    absolute = absolute_quote(settings.calibration, block.facts, settings.dtype)
    pairs = [(decision.quote(a.solver) or absolute, a) for a in block.attempts]
    return tuple(
        as_run(quote, attempt) for quote, attempt in pairs if quote.solver == attempt.solver
    )


def decide_step(
    record: StepRecord, policy: Policy, settings: ReplaySettings
) -> tuple[Decision, ...]:
    """Return a step's decisions, of all blocks together where they share machines."""
    decisions = tuple(decide_block(block, policy, settings) for block in record.blocks)
    solved = [block.attempts != () for block in record.blocks]
    priced = all(
        any(quote.seconds is not None for quote in decision.quotes) for decision in decisions
    )
    if not policy.shares_machines or len(decisions) < 2 or not priced or not all(solved):
        return decisions
    return assign_blocks(decisions, settings.n_qpus)[0]


def decide_block(block: BlockRecord, policy: Policy, settings: ReplaySettings) -> Decision:
    """Quote and decide one recorded system again."""
    offers = [
        _classical(block, quote, settings)
        for quote in block.decision.quotes
        if quote.machine == "classical"
        and SOLVERS.get(quote.solver).offered
        and (settings.solvers is None or quote.solver in settings.solvers)
    ]
    known = {offer.solver for offer in offers}
    for name in settings.solvers or ():
        if name not in known:
            market = _market(settings, settings.tolerance or _TOLERANCE)
            offers.append(SOLVERS.get(name).price(block.facts, market))
    if settings.hardware is not None:
        offers.append(_quantum(block, policy, settings))
    recorded = block.decision
    nothing_priced = all(o.seconds is None for o in offers if o.machine == "classical")
    if not policy.needs_entries and recorded.chosen == BY_PRODUCTS and nothing_priced:
        # Nobody had a price: the block was above max_dense and went to CG unpriced.
        return replace(recorded, quotes=tuple(offers))
    return decide(policy, offers)


def _market(settings: ReplaySettings, tolerance: float = _TOLERANCE) -> Market:
    return Market(
        settings.calibration,
        settings.hardware,
        tolerance=tolerance,
        dtype=settings.dtype,
        audit=settings.audit,
        n_qpus=settings.n_qpus,
    )


def _classical(block: BlockRecord, recorded: Quote, settings: ReplaySettings) -> Quote:
    if recorded.refusal is not None or settings.keep_classical:
        return recorded
    solver, tolerance = SOLVERS.get(recorded.solver), settings.tolerance
    if tolerance is None:
        tolerance = _TOLERANCE if recorded.tolerance is None else recorded.tolerance
    market, facts = _market(settings, tolerance), block.facts
    if recorded.basis is Basis.TRIAL and recorded.products is not None and solver.price_of:
        return replace(
            solver.price_of(facts, market, recorded.products),
            model=recorded.model,
            basis=recorded.basis,
            assumptions=recorded.assumptions,
            max_products=recorded.max_products,
        )
    if recorded.basis is Basis.AS_TIMED and solver.price_as_timed is not None:
        return solver.price_as_timed(facts, market)
    return replace(solver.price(facts, market), max_products=recorded.max_products)


def _quantum(block: BlockRecord, policy: Policy, settings: ReplaySettings) -> Quote:
    recorded = block.decision.quote("qsvt")
    epsilon = settings.epsilon
    if epsilon is None:
        part = None if recorded is None else recorded.quantum
        epsilon = PAPER_EPSILON if part is None or part.epsilon is None else part.epsilon
    market = replace(
        _market(settings), epsilon=epsilon, quantum_price=policy.quantum_price or "paper"
    )
    return quantum_quote(block.facts, market)
