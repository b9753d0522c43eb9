"""State preparation: the oracle U_b, which turns |0⟩ into a real vector of unit length."""

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import UCRYGate

from qnewton.solvers.quantum.circuits.oracle import PREPARATION, Oracle


def preparation(vector: NDArray[np.float64], name: str = PREPARATION) -> Oracle:
    """Return the gate that maps |0⟩ to Σ_j v_j|j⟩.

    Qubit after qubit, from the most significant one on, is rotated by what the halves of each
    branch weigh; the last rotations hold the signs.

    Args:
        vector: v, real, of unit length; its size is a power of two, at least 2.
        name: The gate's name.

    Cost: 2^q - 1 rotations and about as many CNOT gates; as a matrix, 4^q entries.

    Reference: Möttönen et al., quant-ph/0407010.

    Example:
        >>> import numpy as np
        >>> np.asarray(preparation(np.array([0.6, -0.8])))[:, 0].real.round(12)
        array([ 0.6, -0.8])
    """
    qubits = (len(vector) - 1).bit_length()
    circuit = QuantumCircuit(qubits)
    for level in range(qubits):
        halves = vector.reshape(1 << level, 2, -1)
        last = level == qubits - 1
        weights = halves[:, :, 0] if last else np.linalg.norm(halves, axis=2)
        angles = 2.0 * np.arctan2(weights[:, 1], weights[:, 0])
        turned = [circuit.qubits[qubits - 1 - level], *circuit.qubits[qubits - level :]]
        circuit.append(UCRYGate(angles.tolist()), turned)
    return Oracle.of(name, circuit.decompose(reps=2))


def padded(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a vector with zeros behind it, up to a size that is a power of two, at least 2."""
    size = 1 << system_qubits(len(vector))
    return np.concatenate([vector, np.zeros(size - len(vector))])


def system_qubits(n: int) -> int:
    """Return the qubits that hold N amplitudes, at least one."""
    return max(1, (n - 1).bit_length())
