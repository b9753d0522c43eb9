"""Options that say what an audited price assumes, for ``price``, and for ``replay`` to change."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from qnewton.cost import Audit


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """What the audited quantum price assumes.

    Attributes:
        query_set: Counts: paper, rigorous, warm-start (the norm is known) or optimistic.
        state_error: Error of the solution state in the audited price.
        readout: How the vector is read: simulated shots, provable shots, coherent, or none.
        readout_tolerance: Error of the vector read.
        tables: Where the matrix is read from: qrom, or qram, which nobody has built.
        preparation: How the gradient is prepared: from tables or by rotations.
        error_correction: auto (qdk where installed), qdk, closed-form, or perfect gates.
        physical_error: Override of the machine's error probabilities, stated in every quote.
    """

    query_set: Literal["paper", "rigorous", "warm-start", "optimistic"] = "rigorous"
    state_error: float = 1e-2
    readout: Literal["simulated", "provable", "coherent", "none"] = "simulated"
    readout_tolerance: float = 0.1
    tables: Literal["qrom", "qram"] = "qrom"
    preparation: Literal["tables", "rotations"] = "tables"
    error_correction: Literal["auto", "qdk", "closed-form", "perfect"] = "auto"
    physical_error: float | None = None

    def audit(self) -> Audit:
        """Return the assumptions, checked."""
        return Audit(
            query_set=self.query_set,
            epsilon=self.state_error,
            readout=self.readout,
            readout_tolerance=self.readout_tolerance,
            tables=self.tables,
            preparation=self.preparation,
            error_correction=self.error_correction,
            physical_error=self.physical_error,
        )


@dataclass(frozen=True, kw_only=True)
class AuditOverrides:
    """What the audited quantum price assumes instead of what the run did.

    Attributes:
        query_set: Counts: paper, rigorous, warm-start (the norm is known) or optimistic.
        state_error: Error of the solution state in the audited price.
        readout: How the vector is read: simulated shots, provable shots, coherent, or none.
        readout_tolerance: Error of the vector read.
        tables: Where the matrix is read from: qrom, or qram, which nobody has built.
        preparation: How the gradient is prepared: from tables or by rotations.
        error_correction: auto (qdk where installed), qdk, closed-form, or perfect gates.
        physical_error: Override of the machine's error probabilities, stated in every quote.
    """

    query_set: Literal["paper", "rigorous", "warm-start", "optimistic"] | None = None
    state_error: float | None = None
    readout: Literal["simulated", "provable", "coherent", "none"] | None = None
    readout_tolerance: float | None = None
    tables: Literal["qrom", "qram"] | None = None
    preparation: Literal["tables", "rotations"] | None = None
    error_correction: Literal["auto", "qdk", "closed-form", "perfect"] | None = None
    physical_error: float | None = None

    def over(self, audit: Audit) -> Audit:
        """Return ``audit`` with every option that is given, checked."""
        given = {
            {"state_error": "epsilon"}.get(field.name, field.name): getattr(self, field.name)
            for field in fields(AuditOverrides)
            if getattr(self, field.name) is not None
        }
        return replace(audit, **given)
