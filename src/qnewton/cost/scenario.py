"""A system on a classical and on a quantum machine, under one set of assumptions."""

from dataclasses import dataclass, replace

from qnewton.cost.audit import DEFAULT_AUDIT, Audit
from qnewton.records import Calibration, Facts, QuantumHardware


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a price of the quantum solver, and its comparison with classical ones, depends on.

    Attributes:
        facts: The system.
        calibration: The classical machine, which does the quantum solver's classical parts, too.
        hardware: The quantum machine.
        audit: What the quantum price assumes.
        dtype: dtype of the classical solvers.
        tolerance: Relative residual of the classical solvers.
        solvers: The classical competitors; ``None`` for all.
        rivals: Other classical machines that may solve the system.
    """

    facts: Facts
    calibration: Calibration
    hardware: QuantumHardware
    audit: Audit = DEFAULT_AUDIT
    dtype: str = "float32"
    tolerance: float = 1e-6
    solvers: tuple[str, ...] | None = None
    rivals: tuple[Calibration, ...] = ()

    def with_audit(self, audit: Audit) -> "Scenario":
        """Return the scenario under another audit.

        Where the rivals are asked for the accuracy that the quantum solver reaches, they stay so.
        """
        facts = self.facts
        if facts.direction_error == self.audit.epsilon:
            facts = replace(facts, direction_error=audit.epsilon)
        return replace(self, facts=facts, audit=audit)
