"""Recorded Newton steps priced again: for another estimate of κ, or for the paper's machine."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from paper.price_crossings import crossing
from qnewton.cost import Market, SurveyFact, load_classical, lu_inverse_quote, paper_quote
from qnewton.cost.queries import JENNINGS_MIN_KAPPA, jennings_2023
from qnewton.experiments.compare import NEWTON_POLICIES
from qnewton.records import BlockRecord, Calibration, QuantumHardware, Quote, StepRecord
from qnewton.runs import Run
from qnewton.scheduler.policy import POLICIES, needs_survey
from qnewton.scheduler.pricing import decided_again, step_seconds

BOUNDS = {
    "determinant": "determinant and norm",
    "trace": "determinant and trace",
    "lanczos": "Lanczos",
}
"""What κ can be priced from, and what tables call it."""

SGD_STEP_S = 0.14
"""Seconds of an SGD step on the paper's H100 (Table III)."""

SURVEY_S = 13.0e-3
"""Seconds of the paper's condition-number estimation at N = 10⁴ on its H100 (Table II)."""

HERE = "this machine"
PAPER_H100 = "paper-h100"
MACHINES = (HERE, PAPER_H100)

H100_ASSUMPTION = (
    f"{PAPER_H100}: LU inversion costs C·N³ with C = (1.06 - 0.14) s / 12,544³ from the paper's "
    f"Table III; everything else of a step, the Hessian included, costs its SGD row's "
    f"{SGD_STEP_S:g} s; estimating κ costs Table II's {1e3 * SURVEY_S:g} ms at N = 10⁴"
)


_HIGHEST_CONDITION = 1e200


@dataclass(frozen=True)
class Machine:
    """A classical machine that runs every stage but a quantum solve.

    Attributes:
        name: Name in tables.
        calibration: Prices LU inversion.
        step: Prices a whole step by its decision, given what was surveyed for it.
    """

    name: str
    calibration: Calibration
    step: Callable[[StepRecord, tuple[SurveyFact, ...]], float | None]

    def invert(self, block: BlockRecord) -> Quote:
        """Price LU inversion of a block."""
        return lu_inverse_quote(self.calibration, block.facts)


def calibrated(calibration: Calibration) -> Machine:
    """Return a machine with a full calibration: every stage by its own kernels."""

    def step(record: StepRecord, surveyed: tuple[SurveyFact, ...]) -> float | None:
        policy = POLICIES.get(only_block(record).decision.policy)
        seconds = step_seconds(record, policy, Market(calibration), surveyed)
        return None if seconds is None else seconds.total

    return Machine(HERE, calibration, step)


def paper_h100() -> Machine:
    """Return the paper's machine as its own tables imply it (:data:`H100_ASSUMPTION`)."""

    def step(record: StepRecord, surveyed: tuple[SurveyFact, ...]) -> float | None:
        block = only_block(record)
        survey, solve = SURVEY_S if surveyed else 0.0, _seconds(block.decision.chosen, block)
        return total([SGD_STEP_S, survey, solve])

    return Machine(PAPER_H100, load_classical(PAPER_H100), step)


def machines(calibration: Calibration) -> tuple[Machine, Machine]:
    """Return both machines that a run of this calibration is priced on."""
    return calibrated(calibration), paper_h100()


@dataclass(frozen=True, kw_only=True)
class StepPrice:
    """One recorded step under one policy.

    Attributes:
        step: The step.
        classical_seconds: LU inversion of its block (modelled).
        quantum_seconds: The quantum solver's price (modelled); ``None`` where it overflows.
        log_condition: ln of the κ that was priced.
        chosen: Solver the policy chooses.
        seconds: The whole step (modelled); ``None`` without a finite price.
    """

    step: int
    classical_seconds: float
    quantum_seconds: float | None
    log_condition: float | None
    chosen: str
    seconds: float | None


@dataclass(frozen=True)
class PolicyPrices:
    """Every step of a run under one policy, machine and source of κ."""

    steps: tuple[StepPrice, ...]

    @property
    def seconds(self) -> float | None:
        """Modelled seconds of all steps; ``None`` if one has none."""
        return total(step.seconds for step in self.steps)

    @property
    def seconds_per_step(self) -> float | None:
        """Modelled seconds per step."""
        return None if self.seconds is None else self.seconds / len(self.steps)

    @property
    def quantum_steps(self) -> int:
        """Steps that go to the quantum solver."""
        return sum(step.chosen == "qsvt" for step in self.steps)

    @property
    def quantum_share(self) -> float:
        """Their share of all steps."""
        return self.quantum_steps / len(self.steps)

    @property
    def decades(self) -> list[float | None]:
        """log10 of the κ that each step was priced with."""
        logs = [step.log_condition for step in self.steps]
        return [None if log is None else log / math.log(10) for log in logs]


@dataclass(frozen=True)
class Prices:
    """One run priced for several policies, machines and sources of κ."""

    found: Mapping[tuple[str, str, str], PolicyPrices]

    def of(self, policy: str, machine: str, bound: str = "determinant") -> PolicyPrices:
        """Return those of one policy on one machine."""
        return self.found[policy, machine, bound]


def total(parts: Iterable[float | None]) -> float | None:
    """Return a sum; ``None`` if one of its parts is not known."""
    given = list(parts)
    known = [part for part in given if part is not None]
    return math.fsum(known) if len(known) == len(given) else None


def reprice_all(run: Run) -> Prices:
    """Price a Newton run for the paper's three policies, both machines and every source of κ."""
    assert run.config.calibration is not None
    assert run.config.hardware is not None
    cases = itertools.product(NEWTON_POLICIES, machines(run.config.calibration), BOUNDS)
    hardware = run.config.hardware
    return Prices({(p, m.name, b): reprice(run.steps, p, m, hardware, b) for p, m, b in cases})


def reprice(
    records: Sequence[StepRecord],
    policy: str,
    machine: Machine,
    hardware: QuantumHardware,
    bound: str = "determinant",
) -> PolicyPrices:
    """Decide and price every recorded step again; nothing is solved or measured.

    Args:
        records: Newton steps of one block each, surveyed with both bounds and Lanczos.
        policy: ``paper``, ``classical-only`` or ``quantum-only``.
        machine: The classical machine.
        hardware: The quantum machine.
        bound: Where κ comes from, a key of :data:`BOUNDS`.
    """
    facts_used = needs_survey(policy, hardware)
    if bound == "lanczos" and facts_used:
        facts_used = ("condition", "row_sparsity")
    market = Market(machine.calibration, hardware)

    def quotes(block: BlockRecord) -> list[Quote]:
        return [machine.invert(block), quantum_quote(block, hardware, bound)]

    steps = []
    for recorded in records:
        only_block(recorded)  # raises where a step has none, or several
        record = decided_again(recorded, POLICIES.get(policy), market, quotes)
        block = only_block(record)
        classical_seconds = _seconds("lu_inverse", block)
        assert classical_seconds is not None
        steps.append(
            StepPrice(
                step=record.step,
                classical_seconds=classical_seconds,
                quantum_seconds=_seconds("qsvt", block),
                log_condition=log_condition(block, bound),
                chosen=block.decision.chosen,
                seconds=machine.step(record, facts_used),
            )
        )
    return PolicyPrices(tuple(steps))


def _seconds(solver: str, block: BlockRecord) -> float | None:
    quote = block.decision.quote(solver)
    return None if quote is None else quote.seconds


def only_block(record: StepRecord) -> BlockRecord:
    """Return the one system a step solved.

    Raises:
        ValueError: If it solved none (a step skipped for its loss), or several.
    """
    if len(record.blocks) != 1:
        why = f" ({record.skipped})" if record.skipped else ""
        raise ValueError(
            f"step {record.step} has {len(record.blocks)} systems{why}, and the paper's policies "
            "are priced on runs that solve one system per step; use another seed or more damping"
        )
    return record.blocks[0]


def quantum_quote(block: BlockRecord, hardware: QuantumHardware, bound: str) -> Quote:
    """Price the quantum solver as the paper does, with κ from any estimate of the block's."""
    recorded = block.decision.quote("qsvt")
    assert recorded is not None
    assert recorded.quantum is not None
    assert recorded.quantum.epsilon is not None
    facts, spectrum = block.facts, block.facts.spectrum
    if bound == "lanczos" and spectrum.condition is not None:
        spectrum = replace(spectrum, bounds=(*spectrum.bounds, spectrum.condition))
        facts = replace(facts, spectrum=spectrum)
    return paper_quote(facts, hardware, epsilon=recorded.quantum.epsilon, bound=bound)


def log_condition(block: BlockRecord, bound: str) -> float | None:
    """Return ln κ by an estimate of the block's, which may overflow as κ itself."""
    spectrum = block.facts.spectrum
    estimate = spectrum.condition if bound == "lanczos" else spectrum.bound(bound)
    if estimate is None:
        return None
    return math.log(estimate.value) if estimate.value is not None else estimate.log_value


def break_even_condition(
    classical_seconds: float, sparsity: int, hardware: QuantumHardware, epsilon: float
) -> float:
    """Return the largest κ at which the paper's quantum price is not above a classical one.

    √12, the smallest κ priced, if even that is dearer.

    Example:
        >>> from qnewton.cost import load_hardware
        >>> machine = load_hardware("attosecond")
        >>> kappa = break_even_condition(1.0, 1000, machine, 1e-12)
        >>> count = jennings_2023(alpha=1000.0, kappa=kappa, epsilon=1e-12)
        >>> round(machine.gate_time_s.value * count.expected, 6)
        1.0
    """

    def price(kappa: float) -> float:
        count = jennings_2023(alpha=float(sparsity), kappa=kappa, epsilon=epsilon)
        return hardware.gate_time_s.value * count.expected

    if price(JENNINGS_MIN_KAPPA) >= classical_seconds:
        return JENNINGS_MIN_KAPPA
    return crossing(price, classical_seconds, JENNINGS_MIN_KAPPA, _HIGHEST_CONDITION)
