"""Options that say what an audited price of the quantum solver assumes."""

from dataclasses import dataclass, fields, replace

from qnewton.cost import Audit
from qnewton.cost.audit import ReadoutModel
from qnewton.cost.constants import THRESHOLD
from qnewton.cost.encodings import Preparation, Tables
from qnewton.cost.error_correction import ErrorCorrection
from qnewton.queries import QuerySet
from qnewton.records.messages import check

_FIELDS = {"error": "epsilon", "state_readout": "readout"}
"""Options whose field of the audit has another name."""


@dataclass(frozen=True, kw_only=True)
class PriceAssumptions:
    """What an audited price assumes.

    Attributes:
        query_set: What the count of queries takes to be known: nothing but the theorems
            (rigorous, the default); the solution's norm, too (warm-start); constants that were
            seen at small N alone (optimistic); or the paper's own count (paper).
        error: Error of the unit vector that is read, all causes together, and split over them as
            is cheapest; 0.1 by default.
        tables: Where the matrix is read from: qrom (the default), or qram, which nobody has built.
        error_correction: How error correction is priced: by a closed form (closed-form, the
            default), by Microsoft's estimator (qdk), or not at all (perfect).
    """

    query_set: QuerySet | None = None
    error: float | None = None
    tables: Tables | None = None
    error_correction: ErrorCorrection | None = None

    def __post_init__(self) -> None:
        if self.error is not None:
            check("--error", self.error, "must lie between 0 and 1", 0 < self.error < 1)

    def over(self, audit: Audit) -> Audit:
        """Return ``audit`` with every option that is given, checked."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}
        given = {name: value for name, value in options.items() if value is not None}
        return replace(audit, **{_FIELDS.get(name, name): given[name] for name in given})


@dataclass(frozen=True, kw_only=True)
class TrainingAudit(PriceAssumptions):
    """What the audited price assumes under policy hybrid.

    Attributes:
        state_readout: How the solution state is read in that price: by simulated shots (the
            default), by provable shots, coherently, or not at all (none).
    """

    state_readout: ReadoutModel | None = None


@dataclass(frozen=True, kw_only=True)
class AuditOptions(PriceAssumptions):
    """What the audited price of the quantum solver assumes.

    replay takes what a run recorded in place of these defaults.

    Attributes:
        readout: How the solution vector is read: by simulated shots (the default), by provable
            shots, coherently, or not at all (none).
        preparation: How the gradient is prepared: from tables (the default), or by rotations.
        physical_error: Error probability that replaces the machine's own; every quote states it.
    """

    readout: ReadoutModel | None = None
    preparation: Preparation | None = None
    physical_error: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        error = self.physical_error
        if error is not None:
            limits = f"must be above 0 and below the surface code's threshold {THRESHOLD:g}"
            check("--physical-error", error, limits, 0 < error < THRESHOLD)
