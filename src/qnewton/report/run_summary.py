"""What a training run came to, in lines: its layers, the quantum solver, and both clocks."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields

from qnewton.records import QuantumHardware, StageSeconds, StepRecord
from qnewton.report.quantum_solves import quantum_attempts
from qnewton.report.style import STAGES
from qnewton.report.words import words
from qnewton.runs import RunConfig
from qnewton.scheduler.policy import POLICIES

AGREEMENT = 2.0
"""Factor within which the measured and modelled seconds of a run have to agree."""

_MOST_NAMES = 4


@dataclass(frozen=True, kw_only=True)
class QuantumSummary:
    """The quantum solver's own figures over a run; each is of one solve.

    Attributes:
        solves: How many systems it solved.
        executions: What carried them out: the emulator, or circuits.
        lowest_success: The smallest success probability of an attempt.
        median_queries: Median of the queries until success.
        largest_angle: Largest angle in radians between the step taken and the exact solution;
            ``None`` when nobody solved any system exactly.
        broken_promises: Solves whose σ_min was below α/κ_be.
        unresolved: Solves that are a solution within the promise, not the output state.
    """

    solves: int
    executions: tuple[str, ...]
    lowest_success: float
    median_queries: float
    largest_angle: float | None
    broken_promises: int
    unresolved: int


def quantum_summary(steps: Sequence[StepRecord]) -> QuantumSummary | None:
    """Return what the quantum solver reported over ``steps``; ``None`` if it never ran."""
    found = [stats for step in steps for _, stats in quantum_attempts(step)]
    if not found:
        return None
    return QuantumSummary(
        solves=len(found),
        executions=tuple(sorted({stats.execution for stats in found})),
        lowest_success=min(stats.success_probability for stats in found),
        median_queries=statistics.median(stats.expected_queries for stats in found),
        largest_angle=max(
            (stats.angle for stats in found if stats.angle is not None), default=None
        ),
        broken_promises=sum(stats.promise_held is False for stats in found),
        unresolved=sum(not stats.resolved for stats in found),
    )


def quantum_text(steps: Sequence[StepRecord]) -> str | None:
    """Return the quantum solver's figures as a line; ``None`` if it never ran.

    Example:
        >>> quantum_text([]) is None
        True
    """
    summary = quantum_summary(steps)
    if summary is None:
        return None
    return words("quantum", found=summary)


@dataclass(frozen=True, kw_only=True)
class ClockAgreement:
    """Measured against modelled seconds of the same steps, which are never added to each other.

    Attributes:
        steps: Steps that have both.
        unpriced: Steps without a modelled time, which count on neither side.
        measured: Wall-clock seconds by stage.
        modelled: Modelled seconds by stage.
    """

    steps: int
    unpriced: int
    measured: dict[str, float]
    modelled: dict[str, float]

    @property
    def ratio(self) -> float:
        """Measured over modelled seconds of all stages."""
        modelled = sum(self.modelled.values())
        return sum(self.measured.values()) / modelled if modelled > 0.0 else math.inf

    @property
    def agrees(self) -> bool:
        """Whether the sums are within a factor of 2 of each other."""
        return 1 / AGREEMENT <= self.ratio <= AGREEMENT

    @property
    def farthest(self) -> str:
        """The stage in which the two are farthest apart."""
        return max(self.measured, key=lambda name: abs(self.measured[name] - self.modelled[name]))


def clock_agreement(config: RunConfig, steps: Sequence[StepRecord]) -> ClockAgreement | None:
    """Return how a run's two clocks agree, where both speak of the same machine.

    ``None`` for policies whose modelled clock is another machine's (the paper's and the quantum
    ones), for rates that nobody timed, or timed on another machine, and where no step has both.

    Args:
        config: The run's.
        steps: Its records.
    """
    calibration = config.calibration
    policy = POLICIES.find(config.policy)
    # One that needs entries is a baseline of the paper's, whose prices leave parts of a solve out.
    if policy is None or policy.needs_entries or calibration is None or not calibration.timed:
        return None
    return agreement_of(steps) if calibration.machine == config.machine else None


def agreement_of(steps: Sequence[StepRecord]) -> ClockAgreement | None:
    """Return how the two clocks of steps agree that were priced for the machine they ran on.

    ``None`` where no step has both.

    Example:
        >>> agreement_of([]) is None
        True
    """
    pairs = [(step.measured, step.modelled) for step in steps if step.modelled is not None]
    if not pairs:
        return None
    names = [field.name for field in fields(StageSeconds)]
    return ClockAgreement(
        steps=len(pairs),
        unpriced=len(steps) - len(pairs),
        measured={name: math.fsum(getattr(m, name) for m, _ in pairs) for name in names},
        modelled={name: math.fsum(getattr(p, name) for _, p in pairs) for name in names},
    )


def clocks_text(config: RunConfig, steps: Sequence[StepRecord]) -> str | None:
    """Return that the two clocks of a run disagree, and where; ``None`` where they do not.

    See :func:`clock_agreement`.
    """
    found = clock_agreement(config, steps)
    if found is None or found.agrees:
        return None
    stage = found.farthest
    title = STAGES[stage].label
    return words("clocks", found=found, stage=stage, title=title, limit=AGREEMENT)


def summary_texts(config: RunConfig, steps: Sequence[StepRecord]) -> dict[str, str]:
    """Return what a run came to, by topic; topics that it has nothing to say of are left out."""
    texts = {
        "Newton's share": coverage_text(steps),
        "layers": rescaling_text(steps),
        "clocks": clocks_text(config, steps),
        "quantum solver": quantum_text(steps),
    }
    return {topic: text for topic, text in texts.items() if text is not None}


def coverage_text(steps: Sequence[StepRecord]) -> str | None:
    """Return which share of the parameters had a Newton system, and which blocks had none.

    ``None`` where every parameter had one, or no step was Newton's.

    Example:
        >>> coverage_text([]) is None
        True
    """
    last = next((step for step in reversed(steps) if step.newton_share is not None), None)
    if last is None or not last.first_order_blocks:
        return None
    share, names = last.newton_share, last.first_order_blocks
    return words("coverage", share=share, names=names, most=_MOST_NAMES)


def rescaling_text(steps: Sequence[StepRecord]) -> str | None:
    """Return how the last step's layers were put together; ``None`` where they were not.

    Example:
        >>> rescaling_text([]) is None
        True
    """
    for step in reversed(steps):
        found = {b.name: b.rescaled_by for b in step.blocks if b.rescaled_by is not None}
        if found:
            largest = max(found, key=lambda name: abs(found[name]))
            return words("rescaling", factors=found, largest=largest)
    return None


def measured_text(config: RunConfig) -> str:
    """Say what the measured clock measured."""
    return words("measured", config=config)


def modelled_text(config: RunConfig) -> str:
    """Say which models the modelled clock rests on, and which of their machines do not exist."""
    hardware = None if config.hardware is None else hardware_text(config.hardware)
    return words("modelled", config=config, hardware=hardware)


def hardware_text(hardware: QuantumHardware) -> str:
    """Describe a quantum machine in a few words, a hypothetical one as such.

    Example:
        >>> from qnewton.records import Figure
        >>> hardware_text(QuantumHardware(name="attosecond", title="", hypothetical=True,
        ...     gate_time_s=Figure(value=1e-18, source="Q-Newton paper", date="2024")))
        'attosecond (hypothetical machine; gate time 1 as: Q-Newton paper, 2024)'
    """
    return words("hardware", machine=hardware)
