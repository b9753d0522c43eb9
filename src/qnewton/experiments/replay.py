"""A finished run priced again: other prices, machines, tolerances or solvers; no training.

Loads no torch, so that thousands of steps are replayed as soon as they are read.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qnewton.cost import QUANTUM_PRICES
from qnewton.records import ModelledSeconds, StepRecord
from qnewton.scheduler.policy import POLICIES
from qnewton.scheduler.pricing import ReplaySettings, repriced_steps, step_seconds
from qnewton.scheduler.run_prices import own_settings

__all__ = ["Replayed", "own_settings", "quantum_price", "replay"]


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """Every recorded step under one policy.

    Attributes:
        policy: The policy.
        quantum_price: Which price of the quantum solver it decided by: ``paper's`` or ``audited``;
            ``None`` for a policy that asks for none.
        seconds: Modelled seconds of all steps; ``None`` where some step has no price, or their sum
            is beyond the largest float.
        survey_seconds: The part of them that measures the matrices, which the policy needs before
            it can choose.
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
    survey_seconds: float | None = None
    decisions: Mapping[str, int] = field(default_factory=dict)
    quantum_solves: int = 0
    solves: int = 0
    steps_won: int = 0
    newton_steps: int = 0
    changed: int = 0
    unpriced_steps: int = 0
    refusal: str | None = None

    @property
    def quantum_share(self) -> float | None:
        """Share of the solves that go to the quantum solver; ``None`` without solves."""
        return self.quantum_solves / self.solves if self.solves else None

    @property
    def share_won(self) -> float | None:
        """Share of Newton steps the quantum solver wins; ``None`` without any."""
        return self.steps_won / self.newton_steps if self.newton_steps else None


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
        About 0.2 ms per block.
    """
    chooser, market = POLICIES.get(policy), settings.market
    chosen: Counter[str] = Counter()
    seconds: list[ModelledSeconds] = []
    quantum, changed, won, newton = 0, 0, 0, 0
    for record, again in zip(records, repriced_steps(records, chooser, settings), strict=True):
        wins = 0
        for block, before in zip(again.blocks, record.blocks, strict=True):
            quote = block.decision.quote(block.decision.chosen)
            assert quote is not None
            changed += quote.solver != before.decision.chosen
            if block.attempts:
                chosen[quote.name] += 1
                wins += quote.machine == "quantum"
        quantum += wins
        newton += any(block.attempts for block in record.blocks)
        won += wins > 0
        priced = step_seconds(again, chooser, market)
        if priced is not None:
            seconds.append(priced)
    total = sum(priced.total for priced in seconds)
    whole = len(seconds) == len(records) and total < math.inf
    return Replayed(
        policy=policy,
        quantum_price=quantum_price(policy),
        seconds=total if whole else None,
        survey_seconds=sum(priced.survey for priced in seconds) if whole else None,
        decisions=dict(chosen.most_common()),
        quantum_solves=quantum,
        solves=sum(chosen.values()),
        steps_won=won,
        newton_steps=newton,
        changed=changed,
        unpriced_steps=len(records) - len(seconds),
    )


def quantum_price(policy: str) -> str | None:
    """Return which price of the quantum solver a policy decides by: two that do not compare."""
    name = POLICIES.get(policy).quantum_price
    model = None if name is None else QUANTUM_PRICES.find(name)
    return name if model is None else model.title
