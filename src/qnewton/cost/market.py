"""What every quote of a run is made with. Torch-free."""

from dataclasses import dataclass
from typing import Any

from qnewton.cost.audit import DEFAULT_AUDIT, Audit
from qnewton.records import Calibration, QuantumHardware


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
        quantum_price: Which cost model prices the quantum solver, a name in
            :data:`qnewton.cost.QUANTUM_PRICES`.
        audit: What the audited price of the quantum solver assumes.
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
    quantum_price: str = "paper"
    audit: Audit = DEFAULT_AUDIT
    n_qpus: int = 1
