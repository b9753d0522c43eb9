"""Block-encodings: unitaries whose upper left block is A/α, when their ancillas begin and end in 0.

Each is built from the entries of A; α is what its construction needs, at least ‖A‖₂.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import UCRYGate

from qnewton.solvers.quantum.circuits.limits import check_gate
from qnewton.solvers.quantum.circuits.matchings import permutations
from qnewton.solvers.quantum.circuits.oracle import BLOCK_ENCODING, Oracle
from qnewton.solvers.quantum.circuits.preparation import preparation, system_qubits
from qnewton.solvers.quantum.circuits.signs import append_sign

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BlockEncoding:
    """U_A with ⟨0|U_A|0⟩ = A/α, in the qubit order system, ancillas.

    Attributes:
        name: How it was built.
        gate: U_A, a real unitary.
        alpha: α.
        system: Qubits of the system.
        ancillas: Qubits beside it.
    """

    name: str
    gate: Oracle
    alpha: float
    system: int
    ancillas: int


class Encoder(Protocol):
    """A way to block-encode a symmetric matrix."""

    def alpha(self, entries: Array) -> float | None:
        """Return the α that the construction gives; ``None`` where any α ≥ ‖A‖₂ does."""
        ...

    def ancillas(self, entries: Array) -> int:
        """Return the qubits beside the system's, without building anything."""
        ...

    def encode(self, entries: Array, alpha: float) -> BlockEncoding:
        """Return U_A for the entries of A, shape [N, N]."""
        ...


class DenseDilation:
    """U_A = [[Ã, √(1-Ã²)], [√(1-Ã²), -Ã]] with Ã = A/α and one ancilla: for any α ≥ ‖A‖₂.

    It is what the emulator assumes, and costs the eigenvectors of A. A machine would have to
    synthesise it from 4^q entries.

    Reference: Gilyén et al., arXiv:1806.01838, Definition 43; the dilation is Halmos's.

    Example:
        >>> import numpy as np
        >>> found = DenseDilation().encode(np.array([[1.0, 2.0], [2.0, -1.0]]), alpha=4.0)
        >>> np.asarray(found.gate)[:2, :2]
        array([[ 0.25,  0.5 ],
               [ 0.5 , -0.25]])
    """

    def alpha(self, entries: Array) -> None:
        """Return ``None``: any α does."""

    def ancillas(self, entries: Array) -> int:
        """Return 1."""
        return 1

    def encode(self, entries: Array, alpha: float) -> BlockEncoding:
        """Return U_A."""
        scaled = _padded(entries, alpha) / alpha
        values, vectors = np.linalg.eigh(scaled)
        complement = (vectors * np.sqrt(np.clip(1.0 - values**2, 0.0, None))) @ vectors.T
        matrix = np.block([[scaled, complement], [complement, -scaled]])
        gate = Oracle(BLOCK_ENCODING, matrix)
        return BlockEncoding("dense", gate, alpha, gate.num_qubits - 1, 1)


class SparseAccess:
    """U_A from an index oracle and a value oracle, with α = d·max|A_ij|.

    The positions of A's entries are covered by d permutations c_l. With l in a superposition of d
    values, the value oracle rotates an ancilla to the amplitude A_{c_l(j),j}/max|A|, the index
    oracle maps |l, j⟩ to |l, c_l(j)⟩, and the superposition is undone.

    Reference: Gilyén et al., arXiv:1806.01838, Lemma 48; Camps et al., arXiv:2203.10236.

    Example:
        >>> import numpy as np
        >>> matrix = np.array([[2.0, 1.0], [1.0, 0.0]])
        >>> SparseAccess().alpha(matrix)
        4.0
        >>> found = SparseAccess().encode(matrix, alpha=4.0)
        >>> (4.0 * np.asarray(found.gate)[:2, :2].real).round(12)
        array([[2., 1.],
               [1., 0.]])
    """

    def alpha(self, entries: Array) -> float:
        """Return d·max|A_ij|, d the most entries of a row."""
        return float(np.count_nonzero(entries, axis=1).max() * np.abs(entries).max())

    def ancillas(self, entries: Array) -> int:
        """Return ⌈log₂ d⌉ and the value oracle's."""
        return (int(np.count_nonzero(entries, axis=1).max()) - 1).bit_length() + 1

    def encode(self, entries: Array, alpha: float) -> BlockEncoding:
        """Return U_A."""
        n = system_qubits(len(entries))
        matrix = np.zeros((1 << n, 1 << n))
        matrix[: len(entries), : len(entries)] = entries
        targets, meant = permutations(matrix != 0.0)
        largest = alpha / len(targets)
        index = (len(targets) - 1).bit_length()
        check_gate(n + index + 1, "sparse")
        columns = np.arange(1 << n)
        images = np.tile(columns, (1 << index, 1))
        images[: len(targets)] = targets
        amplitudes = np.zeros((1 << index, 1 << n))
        amplitudes[: len(targets)] = np.where(meant, matrix[targets, columns] / largest, 0.0)
        angles = 2.0 * np.arccos(np.clip(amplitudes, -1.0, 1.0))

        circuit = QuantumCircuit(n + index + 1)
        system, chosen = circuit.qubits[:n], circuit.qubits[n:-1]
        spread = None
        if index:
            weights = np.zeros(1 << index)
            weights[: len(targets)] = 1.0 / math.sqrt(len(targets))
            spread = preparation(weights, "spread")
            circuit.append(spread, chosen)
        value = UCRYGate(angles.ravel().tolist())
        circuit.append(value, [circuit.qubits[-1], *system, *chosen])
        moved = np.zeros((images.size, images.size))
        moved[(images + (np.arange(1 << index) << n)[:, None]).ravel(), np.arange(images.size)] = 1
        circuit.append(Oracle("index", moved), [*system, *chosen])
        if spread is not None:
            circuit.append(spread.inverse(), chosen)
        gate = Oracle.of(BLOCK_ENCODING, circuit)
        return BlockEncoding("sparse", gate, alpha, n, index + 1)


class LowRank:
    """U_A of A = UUᵀ + λI from the columns of U, with α = ‖U‖_F² + |λ|.

    UUᵀ/‖U‖_F² is a mixture of the projectors on the columns u_k, each ½(1 - R_k) of a reflection
    R_k about û_k, which takes a preparation of û_k and its inverse. λ joins by one more ancilla.

    λ is A's smallest eigenvalue, and U has a column for every larger one.

    Reference: Childs and Wiebe, arXiv:1202.5822 (linear combinations of unitaries).

    Example:
        >>> import numpy as np
        >>> matrix = np.array([[2.0, 1.0], [1.0, 2.0]])
        >>> LowRank().alpha(matrix)
        3.0
        >>> found = LowRank().encode(matrix, alpha=3.0)
        >>> (3.0 * np.asarray(found.gate)[:2, :2].real).round(12)
        array([[2., 1.],
               [1., 2.]])
    """

    def alpha(self, entries: Array) -> float:
        """Return ‖U‖_F² + |λ|."""
        values = np.linalg.eigvalsh(entries)
        return float((values - values[0]).sum() + abs(values[0]))

    def ancillas(self, entries: Array) -> int:
        """Return what numbers U's columns, at least 1, and two more."""
        values = np.linalg.eigvalsh(entries)
        return _numbering(_columns_kept(values - values[0])) + 2

    def encode(self, entries: Array, alpha: float) -> BlockEncoding:
        """Return U_A."""
        values, vectors = np.linalg.eigh(entries)
        shift, weights = values[0], values - values[0]
        kept = _columns_kept(weights)
        weights, columns = weights[kept], vectors[:, kept].T
        n = system_qubits(len(entries))
        index = _numbering(kept)
        check_gate(n + index + 2, "low-rank")

        circuit = QuantumCircuit(n + index + 2)
        system, k = circuit.qubits[:n], circuit.qubits[n : n + index]
        half, other = circuit.qubits[-2:]
        share = min(1.0, float(weights.sum()) / alpha)
        rotation = 2.0 * math.acos(math.sqrt(share))
        chosen = np.zeros(1 << index)
        chosen[: len(weights)] = np.sqrt(weights / weights.sum()) if len(weights) else 0.0
        chosen[0] += 0.0 if len(weights) else 1.0
        mixture = preparation(chosen, "mixture")
        table = Oracle("columns", _reflections_to(columns, n, index))
        circuit.append(mixture, k)
        circuit.ry(rotation, other)
        circuit.h(half)
        circuit.append(table, [*system, *k])
        # The mixture is meant, rather than λ, where ``other`` is 0.
        append_sign(circuit, {half: 1} | dict.fromkeys([*system, other], 0))
        circuit.append(table, [*system, *k])
        circuit.h(half)
        circuit.cx(other, half, ctrl_state=0)
        if shift < 0.0:
            circuit.z(other)
        circuit.ry(-rotation, other)
        circuit.append(mixture.inverse(), k)
        gate = Oracle.of(BLOCK_ENCODING, circuit)
        return BlockEncoding("low_rank", gate, alpha, n, index + 2)


def _columns_kept(weights: Array) -> NDArray[np.bool_]:
    """Return which eigenvalues above the smallest give U a column."""
    return weights > 1e-14 * weights.max(initial=0.0)


def _numbering(kept: NDArray[np.bool_]) -> int:
    """Return the qubits that number U's columns."""
    return max(1, (int(np.count_nonzero(kept)) - 1).bit_length())


def _reflections_to(columns: Array, n: int, index: int) -> Array:
    """Return ⊕_k P_k with P_k|0⟩ = û_k, each a Householder reflection or the identity."""
    size = 1 << n
    table = np.zeros((size << index, size << index))
    for k in range(1 << index):
        block = np.eye(size)
        if k < len(columns):
            normal = np.zeros(size)
            normal[: columns.shape[1]] = -columns[k]
            normal[0] += 1.0
            length = normal @ normal
            if length > 0.0:
                block -= (2.0 / length) * np.outer(normal, normal)
        table[k * size : (k + 1) * size, k * size : (k + 1) * size] = block
    return table


def _padded(entries: Array, alpha: float) -> Array:
    """Return A with α on the diagonal behind it: the padding is inside of every promise."""
    matrix = alpha * np.eye(1 << system_qubits(len(entries)))
    matrix[: len(entries), : len(entries)] = entries
    return matrix
