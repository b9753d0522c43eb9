"""The block-encoding of known eigenvectors as its price counts it: reflections and one table."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Qubit

from qnewton.solvers.quantum.circuits.tables.arithmetic import (
    append_not_less,
    append_sign_at_zero,
    phase_gradient,
)
from qnewton.solvers.quantum.circuits.tables.encoding import TableEncoding
from qnewton.solvers.quantum.circuits.tables.lookup import (
    Word,
    append_erasure,
    append_lookup,
    loaded,
    swap_bits,
)
from qnewton.solvers.quantum.circuits.tables.preparation import RotationTree
from qnewton.solvers.quantum.circuits.tables.wires import Wires

Array = NDArray[np.float64]


def eigenbasis_by_tables(
    values: Array, left: Array, right: Array, bits: int
) -> tuple[TableEncoding, Array]:
    """Return U_A of Q diag(s) Qᵀ, Q = Q_L ⊗ Q_R, and the A' that is encoded; α = max|s|.

    Q_L and Q_R are turned into Householder reflections, each about a state that is prepared and
    undone. Signs that remain would be squared, and are left out.

    Args:
        values: s, in the shape of the unknowns, [m_L, m_R], both powers of two above 1.
        left: Q_L, orthogonal, shape [m_L, m_L].
        right: Q_R, orthogonal, shape [m_R, m_R].
        bits: b, of angles, and of eigenvalues: odd multiples of 2^-b of α.

    Reference: Low, Kliuchnikov and Schaeffer, arXiv:1812.00954 (unitaries as reflections).

    Example:
        >>> import numpy as np
        >>> turn = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)
        >>> values = np.array([[0.75, 0.25], [-0.25, -1.0]])
        >>> found, matrix = eigenbasis_by_tables(values, turn, turn, bits=3)
        >>> found.alpha, bool(np.abs(found.block(4, seed=0) - matrix).max() < 1e-10)
        (1.0, True)
    """
    alpha = float(np.abs(values).max())
    most = (1 << (bits - 1)) - 1
    magnitudes = np.minimum((np.abs(values) / alpha * (most + 1)).astype(int), most).ravel()
    negative = (values < 0.0).ravel()
    words: list[Word] = [
        int(m) | int(s) << (bits - 1) for m, s in zip(magnitudes, negative, strict=True)
    ]
    wires = Wires()
    system = wires.fresh((values.size - 1).bit_length())
    number, (flag,) = wires.fresh(bits), wires.fresh(1)
    gradient, circuit = phase_gradient(wires, bits), wires.circuit
    turns = (values.shape[1] - 1).bit_length()
    factors = [
        (system[:turns], _reflections(right, bits)),
        (system[turns:], _reflections(left, bits)),
    ]

    for qubits, reflections in factors:
        for reflection in reflections:
            _reflect(wires, reflection, qubits, gradient)
    k = 1 << swap_bits(words, bits)
    registers = [wires.fresh(bits) for _ in range(k)]
    append_lookup(wires, system, registers, words)
    circuit.z(registers[0][-1])
    circuit.h(number)
    append_not_less(wires, number, registers[0][:-1], flag)
    circuit.h(number)
    append_erasure(wires, system, registers, loaded(words, k), [True] * len(words))
    for qubits, reflections in factors:
        for reflection in reversed(reflections):
            _reflect(wires, reflection, qubits, gradient)

    turned = np.kron(*(_product(reflections) for _, reflections in reversed(factors)))
    rounded = (2 * magnitudes + 1) * 2.0**-bits * np.where(negative, -1.0, 1.0)
    encoding = TableEncoding(circuit, system, [*number, flag], gradient, alpha)
    return encoding, alpha * (turned * rounded) @ turned.T


def _reflections(matrix: Array, bits: int) -> list[RotationTree]:
    """Return H_1, H_2, … of an orthogonal matrix H_1·H_2·…·D with signs D."""
    found, left = [], matrix.copy()
    for column in range(len(matrix) - 1):
        normal = left[:, column].copy()
        normal[column] -= 1.0
        size = np.linalg.norm(normal)
        if size < 1e-12:
            continue
        normal /= size
        left -= 2.0 * np.outer(normal, normal @ left)
        found.append(RotationTree(normal[None], bits))
    return found


def _product(reflections: Sequence[RotationTree]) -> Array:
    found = np.eye(reflections[0].rounded.shape[1])
    for reflection in reflections:
        state = reflection.rounded[0]
        found = found - 2.0 * np.outer(found @ state, state)
    return found


def _reflect(
    wires: Wires, reflection: RotationTree, qubits: Sequence[Qubit], gradient: Sequence[Qubit]
) -> None:
    reflection.append_inverse(wires, qubits, [], gradient)
    append_sign_at_zero(wires, qubits)
    reflection.append(wires, qubits, [], gradient)
