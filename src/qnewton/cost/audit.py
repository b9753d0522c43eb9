"""What a price assumes: how a state is read, how its error is shared out, the audit, the market."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from qnewton.cost.encodings import Preparation, Tables
from qnewton.cost.error_correction import ErrorCorrection
from qnewton.queries import JENNINGS_MAX_EPSILON, QUERY_SETS, QuerySet
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


@dataclass(frozen=True)
class Shots:
    """How often the state is made, and what was assumed.

    Attributes:
        states: Solution states made, at least 1.
        assumption: One sentence.
    """

    states: float
    assumption: str


def shots(n: int, tolerance: float, readout: ReadoutModel = "simulated") -> Shots:
    """Count the solution states to read a real unit vector to ℓ2 error ε, signs included.

    Args:
        n: Amplitudes N, at least 1.
        tolerance: ε, in (0, 1).
        readout: A key of :data:`READOUTS`.

    Raises:
        ValueError: If an argument is out of range.

    Cost:
        A few scalar operations.

    Reference:
        Two-stage tomography (magnitudes, then signs by interference): 36·N·ln N/δ² shots twice
        guarantee √7·δ (as transcribed); coherent: van Apeldoorn et al., arXiv:2207.08800.

    Example:
        >>> f"{shots(12_544, 0.1).states:.3g} {shots(12_544, 0.1, 'provable').states:.3g}"
        '1.93e+06 2.98e+09'
    """
    check("n", n, "must be at least 1", n >= 1)
    check("readout_tolerance", tolerance, "must lie between 0 and 1", 0 < tolerance < 1)
    if readout not in READOUTS:
        raise ValueError(f"readout is {readout!r}; choose {', '.join(READOUTS)}")
    if readout == "none":
        return Shots(1.0, f"read-out: {READOUTS[readout]}")
    if readout == "coherent":
        states = n / tolerance
    elif readout == "provable":
        states = 252 * n * max(math.log(n), 1.0) / tolerance / tolerance
    else:
        factor = TWO_STAGE[0] + TWO_STAGE[1] / math.sqrt(n)
        states = factor * n / 2 / tolerance / tolerance
    return Shots(max(1.0, states), f"read-out to {tolerance:g}: {READOUTS[readout]}")


SHARES = {"solver": 1 / 2, "entries": 1 / 6, "rhs": 1 / 6, "rotations": 1 / 6}
"""Shares of the solution state's error ε. Reading it adds its own tolerance on top."""


_MOST_OF_ENTRIES = 0.01

WIDENED = 1.0 / (1.0 - _MOST_OF_ENTRIES)
"""How much larger a κ_be the solver is promised: σ_min(A') ≥ (1 - κ_be·δ_A)·σ_min(A).

The same for every ε, so that no price falls as ε does.
"""


@dataclass(frozen=True)
class ErrorShares:
    """What each source of error may be, so that a solution state is within ε of x/‖x‖.

    With A' = A + E, ‖E‖₂ ≤ α·δ_A, and a unit b' within δ_b of b, u = A'⁻¹b' obeys
    u - x = A⁻¹(b' - b - E·u), so that ‖u - x‖ ≤ θ·‖u‖ with θ = κ_be·(δ_A + δ_b), for
    ‖u‖ ≥ 1/‖A'‖ ≥ 1/α. Unit vectors differ by at most 2‖u-x‖/(‖u‖+‖x‖) ≤ θ/(1-θ/2) (Dunkl and
    Williams 1964), which is ε_A + ε_b for θ = (ε_A+ε_b)/(1 + (ε_A+ε_b)/2). Q rotations, each off
    by δ_r, move the output of length √p by Q·δ_r, and its direction by t/(1-t/2), t = Q·δ_r/√p. A
    trace distance D of pure states is a distance c with D = c·√(1-c²/4).

    Attributes:
        epsilon: ε, in (0, 1); the four parts below add up to it, or to less where the entries are
            held to 1%.
    """

    epsilon: float

    @property
    def solver(self) -> float:
        """ε_s as a trace distance, which is what a theorem's ε is."""
        chord = SHARES["solver"] * self.epsilon
        return chord * math.sqrt(1.0 - chord**2 / 4.0)

    @property
    def entries(self) -> float:
        """κ_be·δ_A, where ‖A' - A‖₂ ≤ α·δ_A; 1% at most, so that :data:`WIDENED` is enough."""
        return min(SHARES["entries"] * self.epsilon / self._both, _MOST_OF_ENTRIES)

    @property
    def rhs(self) -> float:
        """κ_be·δ_b, where ‖b' - b‖ ≤ δ_b."""
        return SHARES["rhs"] * self.epsilon / self._both

    @property
    def rotations(self) -> float:
        """Q·δ_r/√p, where each of Q rotations is off by δ_r."""
        share = SHARES["rotations"] * self.epsilon
        return share / (1.0 + share / 2.0)

    @property
    def _both(self) -> float:
        return 1.0 + (SHARES["entries"] + SHARES["rhs"]) * self.epsilon / 2.0


AUDITED_EPSILON = 1e-2
"""Error of the solution state where nothing else is asked for: read-out is coarser than that."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audited price assumes; each field is one assumption that a quote names.

    Attributes:
        query_set: The count, a key of :data:`qnewton.queries.QUERY_SETS`.
        epsilon: Error of the solution state, shared out by
            :class:`qnewton.cost.audit.ErrorShares` to solver, entries, b and rotations.
        readout: How the vector is read, a key of :data:`qnewton.cost.audit.READOUTS`.
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

    @property
    def direction_error(self) -> float:
        """How far the vector read may be from x/‖x‖: ε and the read-out's, below 1 in any case.

        Example:
            >>> f"{Audit().direction_error:.2f}", Audit(readout="none").direction_error
            ('0.11', 0.01)
        """
        read = 0.0 if self.readout == "none" else self.readout_tolerance
        return min(self.epsilon + read, _LOOSEST)


_LOOSEST = 0.999  # an error of 1 says nothing of a direction

_CHOICES: dict[str, Collection[str]] = {"query_set": QUERY_SETS, "readout": READOUTS}
_CHOICES |= {"tables": get_args(Tables), "preparation": get_args(Preparation)}
_CHOICES |= {"error_correction": get_args(ErrorCorrection)}

DEFAULT_AUDIT = Audit()
"""What is assumed where nothing is said."""


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
