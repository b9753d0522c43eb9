"""What an emulated quantum linear solver leaves."""

from dataclasses import dataclass, field

from torch import Tensor

from qnewton.records import QuantumStats
from qnewton.solvers.options import Mode
from qnewton.solvers.quantum.readout import Measurement


@dataclass(frozen=True, kw_only=True)
class QuantumSolution:
    """The output of an emulated quantum linear solver, and what it would have cost.

    Attributes:
        direction: x with A·x ≈ rhs, shape [N], in the matrix's dtype. QSVT and HHL: the state with
            the length that the normalisation gives it. Dalzell, or a read-out with shots: along
            the state or what was measured of it, with length and sign from one classical product.
        state: The normalised output state, shape [N], float64.
        success_probability: Probability p that an attempt is post-selected.
        queries: Calls to the block-encoding U_A in one attempt.
        state_preparations: Calls to U_b in one attempt.
        expected_queries: Calls to U_A until success when attempts are repeated: ``queries / p``;
            for Dalzell with an unknown norm less, since only a success of the reflection is
            projected.
        amplified_queries: Expected calls with the best amplitude amplification for this p.
        degree: Degree of the polynomial; for HHL, of the evolutions together.
        alpha: α, the block-encoding holds A/α.
        kappa: κ_be, the promise is σ_min(A) ≥ α/κ_be.
        epsilon: The error that was asked for.
        error_bound: Bound on ‖direction - A⁻¹rhs‖/‖A⁻¹rhs‖ of QSVT before read-out, provided the
            promise holds (for exact arithmetic); ``None`` when the promise is known to be broken
            and for the other algorithms, which have no such bound here.
        promise_held: Whether σ_min(A) ≥ α/κ_be; ``None`` when σ_min is not known.
        resolved: Whether ``state`` is the algorithm's output state. If not, it is only a solution
            within the promise: the error the algorithm itself would make is not in it.
        algorithm: ``qsvt``, ``dalzell`` or ``hhl``.
        mode: How it was computed.
        products: Products with A that the emulation itself spent.
        measurement: What was read of the state; ``None`` for the ideal read-out.
    """

    direction: Tensor = field(repr=False)
    state: Tensor = field(repr=False)
    success_probability: float
    queries: int
    state_preparations: int
    expected_queries: float
    amplified_queries: float
    degree: int
    alpha: float
    kappa: float
    epsilon: float
    error_bound: float | None
    promise_held: bool | None
    resolved: bool
    algorithm: str
    mode: Mode
    products: int
    measurement: Measurement | None = field(default=None, repr=False)

    def stats(self) -> QuantumStats:
        """Return the figures a step record keeps."""
        measured = self.measurement
        return QuantumStats(
            algorithm=self.algorithm,
            success_probability=self.success_probability,
            queries=self.queries,
            expected_queries=self.expected_queries,
            degree=self.degree,
            alpha=self.alpha,
            kappa=self.kappa,
            epsilon=self.epsilon,
            promise_held=self.promise_held,
            resolved=self.resolved,
            readout=None if measured is None else measured.method,
            shots=None if measured is None else measured.shots,
        )
