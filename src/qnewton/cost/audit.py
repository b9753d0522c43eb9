"""What an audited price assumes: one record, every field an assumption that a quote names."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import get_args

from qnewton.cost.block_encoding import Preparation, Tables
from qnewton.cost.error_correction import ErrorCorrection
from qnewton.cost.queries import JENNINGS_MAX_EPSILON, QUERY_SETS, QuerySet
from qnewton.cost.readout import READOUTS, ReadoutModel
from qnewton.records.messages import check

AUDITED_EPSILON = 1e-2
"""Error of the solution state where nothing else is asked for: read-out is coarser than that."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audited price assumes; each field is one assumption that a quote names.

    Attributes:
        query_set: The count, a key of :data:`qnewton.cost.queries.QUERY_SETS`.
        epsilon: Error of the solution state, shared out by
            :class:`qnewton.cost.error_shares.ErrorShares` to solver, entries, b and rotations.
        readout: How the vector is read, a key of :data:`qnewton.cost.readout.READOUTS`.
        readout_tolerance: ℓ2 error of reading it; the unit vector read is within the sum of both.
        tables: ``qrom``, or ``qram``, which nobody has built.
        preparation: How g is prepared: from ``tables``, or by ``rotations``.
        table_building: Whether writing the tables is charged at every step.
        guess_factor: For ``warm-start``: how far off the guessed norm may be.
        error_correction: ``auto``, ``qdk``, ``closed-form`` or ``perfect``.
        error_budget: Chance that error correction fails in one state.
        physical_error: Stated override of the machine's error probabilities.
    """

    query_set: QuerySet = "rigorous"
    epsilon: float = AUDITED_EPSILON
    readout: ReadoutModel = "simulated"
    readout_tolerance: float = 0.1
    tables: Tables = "qrom"
    preparation: Preparation = "tables"
    table_building: bool = True
    guess_factor: float = 1.0
    error_correction: ErrorCorrection = "auto"
    error_budget: float = 1e-2
    physical_error: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; choose {', '.join(allowed)}")
        epsilon, most = self.epsilon, JENNINGS_MAX_EPSILON
        check("epsilon", epsilon, f"must be above 0 and at most {most}", 0 < epsilon <= most)
        for name in ("readout_tolerance", "error_budget"):
            value = getattr(self, name)
            check(name, value, "must lie between 0 and 1", 0 < value < 1)
        check("guess_factor", self.guess_factor, "must be at least 1", self.guess_factor >= 1)


_CHOICES: dict[str, Collection[str]] = {"query_set": QUERY_SETS, "readout": READOUTS}
_CHOICES |= {"tables": get_args(Tables), "preparation": get_args(Preparation)}
_CHOICES |= {"error_correction": get_args(ErrorCorrection)}

DEFAULT_AUDIT = Audit()
"""What is assumed where nothing is said."""
