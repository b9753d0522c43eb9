"""Alternating sequences: U, a phase, U†, a phase …, which apply a polynomial to singular values."""

from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.circuit import Qubit

from qnewton.solvers.quantum.circuits.phases import Phases


@dataclass(frozen=True)
class Sequence:
    """What a quantum singular value transformation alternates, and on which qubits.

    U block-encodes a matrix where all of ``zeros`` are 0. With Π the projector on that and real U,
    Re[e^{iφ_0 Z} U e^{iφ_1 Z} U† …], Z = 2Π - 1, block-encodes P of the matrix; the real part is
    the mean of the sequence and its conjugate, which ``branch`` in (|0⟩ + |1⟩)/√2 controls.

    Attributes:
        unitary: U, a circuit on all qubits.
        zeros: U's ancillas.
        branch: Qubit that holds the sign of the phases; it must end in 0 as well.
        signal: A clean qubit on which Π is computed; ``None`` where U has one ancilla, which
            holds it.

    Reference: Gilyén et al., arXiv:1806.01838, Corollary 18 and Theorem 56.
    """

    unitary: QuantumCircuit
    zeros: list[Qubit]
    branch: Qubit
    signal: Qubit | None

    @property
    def ancillas(self) -> list[Qubit]:
        """The qubits that begin in 0 and, on success, end in 0."""
        return [*self.zeros, self.branch, *([] if self.signal is None else [self.signal])]

    def apply(self, circuit: QuantumCircuit, phases: Phases) -> None:
        """Append the sequence: as many calls of U and U† together as the polynomial has degrees."""
        forward, backward = self.unitary, self.unitary.inverse()
        circuit.h(self.branch)
        # The rightmost factor comes first; the first call is U for odd and even polynomials.
        for index, angle in enumerate(reversed(phases.angles)):
            if index:
                circuit.compose(forward if index % 2 else backward, inplace=True, copy=False)
            self._turn(circuit, float(angle))
        circuit.rz(-2.0 * phases.offset, self.branch)
        circuit.h(self.branch)

    def _turn(self, circuit: QuantumCircuit, angle: float) -> None:
        """Append e^{iφZ}, with the sign of φ that the branch holds."""
        if self.signal is None:
            # Z of one ancilla is 2Π - 1 itself.
            circuit.rzz(-2.0 * angle, self.branch, self.zeros[0])
            return
        # The signal is 1 where Π holds, and its Z is -1 there.
        pattern = "0" * len(self.zeros)
        circuit.mcx(self.zeros, self.signal, ctrl_state=pattern)
        circuit.rzz(2.0 * angle, self.branch, self.signal)
        circuit.mcx(self.zeros, self.signal, ctrl_state=pattern)
