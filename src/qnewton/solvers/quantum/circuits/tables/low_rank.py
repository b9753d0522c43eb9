"""The block-encoding of a factor as its price counts it: the columns' angles stand in tables."""

import math

import numpy as np
from numpy.typing import NDArray

from qnewton.solvers.quantum.circuits.preparation import system_qubits
from qnewton.solvers.quantum.circuits.tables.arithmetic import append_sign_at_zero, phase_gradient
from qnewton.solvers.quantum.circuits.tables.encoding import TableEncoding
from qnewton.solvers.quantum.circuits.tables.preparation import (
    RotationTree,
    append_constant_rotation,
)
from qnewton.solvers.quantum.circuits.tables.wires import Wires

Array = NDArray[np.float64]


def low_rank_by_tables(factor: Array, shift: float, bits: int) -> tuple[TableEncoding, Array]:
    """Return U_A of UUᵀ + λI, and the A' that angles of b bits encode; α = ‖U‖_F² + λ.

    The mixture Σ_j ‖u_j‖²/‖U‖_F² |j⟩⟨j| is prepared and undone, and so is column j; the sign of
    |0…0⟩, flipped in between, makes a reflection about column j. One ancilla makes that a
    projector, one more brings λ in.

    Args:
        factor: U, shape [N, k], no column of it 0.
        shift: λ ≥ 0.
        bits: b.

    Reference: Childs and Wiebe, arXiv:1202.5822.

    Example:
        >>> import numpy as np
        >>> found, matrix = low_rank_by_tables(np.array([[1.0], [1.0]]), shift=2.0, bits=3)
        >>> matrix.round(9).tolist(), (4.0 * found.block(2, seed=0)).round(9).tolist()
        ([[3.0, 1.0], [1.0, 3.0]], [[3.0, 1.0], [1.0, 3.0]])
    """
    n, k = system_qubits(len(factor)), factor.shape[1]
    lengths = np.linalg.norm(factor, axis=0)
    square = float(lengths @ lengths)
    alpha = square + shift
    columns = np.zeros((k, 1 << n))
    columns[:, : len(factor)] = (factor / lengths).T
    weights = np.zeros((1, 1 << (k - 1).bit_length()))
    weights[0, :k] = lengths / math.sqrt(square)
    mixture, states = RotationTree(weights, bits), RotationTree(columns, bits)

    wires = Wires()
    system, which = wires.fresh(n), wires.fresh((k - 1).bit_length())
    half, other = wires.fresh(2)
    gradient, circuit = phase_gradient(wires, bits), wires.circuit
    mixture.append(wires, which, [], gradient)
    angle = math.acos(math.sqrt(square / alpha))
    rounded = append_constant_rotation(wires, angle, gradient, other)
    circuit.h(half)
    states.append_inverse(wires, system, which, gradient)
    # Where ``half`` is 1 and the rest 0: the mixture is meant, rather than λ, where ``other`` is 0.
    circuit.x(half)
    append_sign_at_zero(wires, [*system, other, half])
    circuit.x(half)
    states.append(wires, system, which, gradient)
    circuit.h(half)
    with wires.inverted([other]):
        circuit.cx(other, half)
    append_constant_rotation(wires, -angle, gradient, other)
    mixture.append_inverse(wires, which, [], gradient)

    found = (states.rounded.T * mixture.rounded[0, :k] ** 2) @ states.rounded
    found = alpha * (math.cos(rounded) ** 2 * found + math.sin(rounded) ** 2 * np.eye(1 << n))
    encoding = TableEncoding(circuit, system, [*which, half, other], gradient, alpha)
    return encoding, found[: len(factor), : len(factor)]
