"""Pricing recorded steps under a policy that did not run them. Every figure is modelled."""

from collections.abc import Sequence
from dataclasses import dataclass

from qnewton.cost import modelled_seconds
from qnewton.records import Calibration, QuantumHardware, StepRecord
from qnewton.scheduler.policy import decide, needs_survey


@dataclass(frozen=True)
class PolicyPrice:
    """What a policy would have paid for recorded steps, and whom.

    Attributes:
        seconds: Modelled seconds of all steps; ``None`` if some step has no price.
        solves: Systems solved.
        quantum_solves: Those the policy gives to the quantum solver.
        unpriced_steps: Steps that have no price under the policy.
    """

    seconds: float | None
    solves: int
    quantum_solves: int
    unpriced_steps: int

    @property
    def quantum_share(self) -> float | None:
        """Share of the solves that go to the quantum solver; ``None`` without solves."""
        return self.quantum_solves / self.solves if self.solves else None


def price_under(
    policy: str,
    records: Sequence[StepRecord],
    calibration: Calibration,
    hardware: QuantumHardware,
    dtype: str = "float32",
) -> PolicyPrice:
    """Decide every recorded system again under ``policy`` and add up what its steps cost.

    The quotes are the recorded ones, so nothing is solved or measured again. The survey is
    charged as the policy uses it.

    Args:
        policy: The policy to price under.
        records: Recorded steps, with quotes of every solver the policy weighs.
        calibration: The classical machine's constants.
        hardware: The quantum machine the quotes were made for.
        dtype: dtype of the recorded systems.

    Raises:
        ValueError: If a step has no quote of a solver the policy needs.
    """
    surveyed = needs_survey(policy, hardware)
    total, solves, quantum, unpriced = 0.0, 0, 0, 0
    for record in records:
        charged = {}
        for block in record.blocks:
            quote = (decision := decide(policy, block.decision.quotes)).quote(decision.chosen)
            assert quote is not None
            charged[block.name] = (quote,)
            if block.attempts:
                solves += 1
                quantum += quote.machine == "quantum"
        seconds = modelled_seconds(
            record, calibration, charged=charged, surveyed=surveyed, dtype=dtype
        )
        if seconds is None:
            unpriced += 1
        else:
            total += seconds.total
    return PolicyPrice(None if unpriced else total, solves, quantum, unpriced)
