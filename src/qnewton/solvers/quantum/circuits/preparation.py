"""State preparation: the oracle U_b, which turns |0⟩ into a real vector of unit length."""

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import StatePreparation

from qnewton.solvers.quantum.circuits.oracle import PREPARATION, Oracle


def preparation(vector: NDArray[np.float64], name: str = PREPARATION) -> Oracle:
    """Return the gate that maps |0⟩ to Σ_j v_j|j⟩, built by Qiskit's state preparation.

    Args:
        vector: v, real, of unit length; its size is a power of two.
        name: The gate's name.

    Cost: about 2^q rotations and as many CNOT gates; as a matrix, 4^q entries.

    Reference: Iten et al., arXiv:1501.06911, as Qiskit implements it.

    Example:
        >>> import numpy as np
        >>> np.asarray(preparation(np.array([0.6, -0.8])))[:, 0].real.round(12)
        array([ 0.6, -0.8])
    """
    qubits = (len(vector) - 1).bit_length()
    circuit = QuantumCircuit(qubits)
    # The decomposition is what transpilers build; the gate itself could not be controlled.
    circuit.append(StatePreparation(vector.tolist()), circuit.qubits)
    return Oracle.of(name, circuit.decompose(reps=2))


def padded(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a vector with zeros behind it, up to a size that is a power of two, at least 2."""
    size = 1 << system_qubits(len(vector))
    return np.concatenate([vector, np.zeros(size - len(vector))])


def system_qubits(n: int) -> int:
    """Return the qubits that hold N amplitudes, at least one."""
    return max(1, (n - 1).bit_length())
