"""What a price assumes: how a state is read, how its error is shared out, the audit, the market."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from qnewton.cost.budget import Split
from qnewton.cost.constants import CONSTANTS, THRESHOLD
from qnewton.cost.encodings import Preparation, Tables
from qnewton.cost.error_correction import ErrorCorrection
from qnewton.queries import QUERY_SETS, QuerySet
from qnewton.records import Calibration, QuantumHardware
from qnewton.records.messages import check

ReadoutModel = Literal["simulated", "provable", "coherent", "none"]

READOUTS: dict[str, str] = {
    "simulated": "(3 + 8/√N)·N/(2ε²) shots of two-stage tomography: 19 of 20 read-outs of the "
    "worst vector found keep to ε; simulated, not proven",
    "provable": "252·N·ln N/ε² shots of two-stage tomography",
    "coherent": "N/ε uses of the solver and its inverse; constant and logarithms left out",
    "none": "one state and nothing read: no Newton step comes of it",
}
"""Every read-out with a line for people."""

TWO_STAGE = (3.0, 8.0)
"""a and b of the a + b/√N that shots over N/(2ε²) are.

2.79 bounds the mean squared error of any vector for Poisson counts; the rest covers multinomial
ones, scaling to unit length, and 19 of 20 read-outs, as simulated
(:func:`qnewton.solvers.quantum.measure`).
"""


def states_read(
    n: Any, tolerance: Any, readout: ReadoutModel = "simulated", per: Any = None
) -> Any:
    """Count the solution states to read a real unit vector to ℓ2 error ε, signs included.

    Args:
        n: Amplitudes N, at least 1; a number or an array, as the others.
        tolerance: ε, in (0, 1); nobody reads it where nothing is read.
        readout: A key of :data:`READOUTS`.
        per: Shots of ``simulated`` over N/(2ε²), beside 8/√N, or of ``provable`` over N·ln N/ε²;
            ``None`` for the likely constants.

    Returns:
        Numbers of at least 1.

    Cost:
        A few operations.

    Reference:
        Two-stage tomography (magnitudes, then signs by interference): 36·N·ln N/δ² shots twice
        guarantee √7·δ (as transcribed); coherent: van Apeldoorn et al., arXiv:2207.08800.

    Example:
        >>> f"{states_read(12_544, 0.1):.3g} {states_read(12_544, 0.1, 'provable'):.3g}"
        '1.93e+06 2.98e+09'
    """
    if readout == "none":
        return np.ones(np.shape(n))
    if readout == "coherent":
        states = n / tolerance
    elif readout == "provable":
        per = CONSTANTS["provable_shots"].likely if per is None else per
        states = per * n * np.maximum(np.log(n), 1.0) / tolerance / tolerance
    else:
        states = (
            ((TWO_STAGE[0] if per is None else per) + TWO_STAGE[1] / np.sqrt(n))
            * n
            / 2
            / tolerance
            / tolerance
        )
    return np.maximum(1.0, states)


AUDITED_EPSILON = 0.1
"""Error of the vector that is read, where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audited price assumes; each field is one assumption that a quote names.

    Attributes:
        query_set: What is taken to be known of the solution and of the count's constants, a key of
            :data:`qnewton.queries.QUERY_SETS`.
        epsilon: ℓ2 error of the unit vector that is read, all causes together; of the state where
            nothing is read.
        split: How ε is split over its causes; ``None`` for the cheapest of a grid.
        readout: How the vector is read, a key of :data:`qnewton.cost.audit.READOUTS`.
        tables: ``qrom``, or ``qram``, which nobody has built.
        preparation: How g is prepared: from ``tables``, or by ``rotations``.
        table_building: Whether writing the tables is charged at every step.
        guess_factor: For ``warm-start``: how far off the guessed norm may be.
        error_correction: ``closed-form``, ``qdk`` (the cheapest design by the closed form, its
            error correction by Microsoft's estimator) or ``perfect``.
        error_budget: Chance that error correction fails in one state.
        physical_error: Error probability in place of the machine's own; no machine has it, so that
            the price is hypothetical. Nobody reads it where gates never fail.
    """

    query_set: QuerySet = "rigorous"
    epsilon: float = AUDITED_EPSILON
    split: Split | None = None
    readout: ReadoutModel = "simulated"
    tables: Tables = "qrom"
    preparation: Preparation = "tables"
    table_building: bool = True
    guess_factor: float = 1.0
    error_correction: ErrorCorrection = "closed-form"
    error_budget: float = 1e-2
    physical_error: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; choose {', '.join(allowed)}")
        for name in ("epsilon", "error_budget"):
            value = getattr(self, name)
            check(name, value, "must lie between 0 and 1", 0 < value < 1)
        error = self.physical_error
        if error is not None:
            limits = f"must be above 0 and below the surface code's threshold {THRESHOLD:g}"
            check("physical_error", error, limits, 0 < error < THRESHOLD)
        check("guess_factor", self.guess_factor, "must be at least 1", self.guess_factor >= 1)

    @property
    def changes_errors(self) -> bool:
        """Whether errors are corrected that are not the machine's own."""
        return self.physical_error is not None and self.error_correction != "perfect"


_CHOICES: dict[str, Collection[str]] = {"query_set": QUERY_SETS, "readout": READOUTS}
_CHOICES |= {"tables": get_args(Tables), "preparation": get_args(Preparation)}
_CHOICES |= {"error_correction": get_args(ErrorCorrection)}

DEFAULT_AUDIT = Audit()
"""The assumptions of an audited price that is not told others."""


def priced_machine(hardware: QuantumHardware, audit: Audit) -> QuantumHardware:
    """Return the machine that an audited price is for: hypothetical where its errors are others.

    Example:
        >>> from qnewton.cost import load_hardware
        >>> machine, better = load_hardware("ibm_sherbrooke"), Audit(physical_error=1e-4)
        >>> priced_machine(machine, DEFAULT_AUDIT).hypothetical
        False
        >>> priced_machine(machine, better).hypothetical
        True
    """
    return replace(hardware, hypothetical=True) if audit.changes_errors else hardware


@dataclass(frozen=True)
class Market:
    """The machines a run's systems are priced on, and what its solvers have to reach.

    Attributes:
        calibration: The classical machine's constants.
        hardware: The quantum machine; ``None`` for no quantum quotes.
        epsilon: Error tolerance the quantum solver is priced and run at.
        tolerance: Relative residual the classical solvers have to reach.
        dtype: dtype of the system, which decides the calibrated rates.
        max_products: Most products an iterative classical solver may spend on a system.
        readout: How the quantum solver's state is measured, a
            :class:`qnewton.solvers.quantum.Readout`; ``None`` for the ideal read-out. No price
            reads it.
        execution: What carries the quantum solver out, a
            :class:`qnewton.solvers.quantum.execution.Execution`; ``None`` for the emulator. No
            price reads it.
        quantum_price: Which cost model prices the quantum solver, a name in
            :data:`qnewton.cost.QUANTUM_PRICES`.
        audit: What the audited price of the quantum solver assumes.
        algorithm: The quantum solver that is asked, by its name in the table of solvers; ``None``
            for every one that the cost model prices.
        n_qpus: QPUs that share a step's blocks with the classical machine.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> Market(nominal_calibration()).quantum_price
        'paper'
    """

    calibration: Calibration
    hardware: QuantumHardware | None = None
    epsilon: float = 1e-12
    tolerance: float = 1e-6
    dtype: str = "float32"
    max_products: int = 1000
    readout: Any = None
    execution: Any = None
    quantum_price: str = "paper"
    audit: Audit = DEFAULT_AUDIT
    algorithm: str | None = None
    n_qpus: int = 1
