"""e^{iAτ} from calls of U_A: a polynomial of the walk W = (2Π - 1)U_A, one call per degree.

Where U_A is its own inverse, W turns the plane of |0⟩|v⟩ for an eigenvector v by θ, with
cos θ = λ/α. With w = e^{iθ}, e^{iτα cos θ} = Σ_k i^k J_k(τα) w^k (Jacobi and Anger), cut at
|k| ≤ R. One more qubit, turned between calls, makes the sum: R calls of W where it is 0, and R of
W† where it is 1.
"""

import math

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from scipy.special import jv

from qnewton.queries.clock import jacobi_anger_terms
from qnewton.solvers.quantum.circuits.block_encoding import BlockEncoding
from qnewton.solvers.quantum.circuits.phases import completed

Complex = NDArray[np.complex128]

_HEADROOM = 2.0
# The series stays this many times its own error below 1, which no unitary's corner exceeds.


def evolution_calls(length: float, error: float) -> int:
    """Return the calls of U_A for e^{iAτ}, τα = ``length``: two per term of the series.

    Example:
        >>> evolution_calls(10.0, 1e-6)
        44
    """
    return 2 * jacobi_anger_terms(length, error)


def evolution(encoding: BlockEncoding, length: float, error: float) -> QuantumCircuit:
    """Return e^{iAτ}, τα = ``length``, within three times ``error`` where its last qubits are 0.

    Args:
        encoding: U_A, its own inverse, with one ancilla, as the dense one is.
        length: τα ≥ 0.
        error: The series' own error.

    Returns:
        A circuit on the system, U_A's ancilla and one more qubit.

    Cost: :func:`evolution_calls`.

    Reference: Motlagh and Wiebe, arXiv:2308.01501; Low and Chuang, arXiv:1606.02685.
    """
    terms = jacobi_anger_terms(length, error)
    circuit = QuantumCircuit(encoding.system + 2)
    *qubits, turned = circuit.qubits
    forward = encoding.gate.controlled(on=0)
    backward = encoding.gate.inverse().controlled(on=1)
    first, *others = _turns(length, terms, error)
    circuit.append(UnitaryGate(first), [turned])
    for index, turn in enumerate(others):
        if index % 2 == 0:
            circuit.append(forward, [*qubits, turned])
            circuit.cz(turned, qubits[-1], ctrl_state=0)
        else:
            circuit.cz(turned, qubits[-1])
            circuit.append(backward, [*qubits, turned])
        circuit.append(UnitaryGate(turn), [turned])
    return circuit


def _turns(length: float, terms: int, error: float) -> list[Complex]:
    """Return A_0 … A_n with ⟨0|A_n S … S A_0|0⟩ the series in w^{k+R}, S = diag(w, 1), n = 2R."""
    order = np.arange(-terms, terms + 1)
    series = (1.0 - _HEADROOM * error) * (1j ** (order % 4)) * jv(order, length)

    def split(t: NDArray[np.float64]) -> tuple[NDArray[np.float64], Complex]:
        values = np.polynomial.polynomial.polyval(np.exp(1j * t), series)
        return 1.0 - np.abs(values) ** 2, np.ones_like(values)

    p, q = series, completed(len(series), split)
    turns = []
    while len(p) > 1:
        # The last turn is undone: then p has no constant term, and q none of the highest degree.
        p0, q0 = p[0], q[0]
        size = math.hypot(abs(p0), abs(q0))
        undone = np.array([[q0, -p0], [p0.conjugate(), q0.conjugate()]]) / size
        turns.append(undone.conj().T)
        p, q = (undone[0, 0] * p + undone[0, 1] * q)[1:], (undone[1, 0] * p + undone[1, 1] * q)[:-1]
    p0, q0 = p[0], q[0]
    size = math.hypot(abs(p0), abs(q0))
    turns.append(np.array([[p0, -q0.conjugate()], [q0, p0.conjugate()]]) / size)
    return turns[::-1]
