"""The dense block-encoding as its price counts it: the angles of the rows stand in tables."""

import numpy as np
from numpy.typing import NDArray

from qnewton.solvers.quantum.circuits.preparation import system_qubits
from qnewton.solvers.quantum.circuits.tables.arithmetic import phase_gradient
from qnewton.solvers.quantum.circuits.tables.encoding import TableEncoding
from qnewton.solvers.quantum.circuits.tables.preparation import RotationTree
from qnewton.solvers.quantum.circuits.tables.wires import Wires

Array = NDArray[np.float64]


def dense_by_tables(entries: Array, bits: int) -> tuple[TableEncoding, Array]:
    """Return U_A of a symmetric matrix, and the A' that angles of b bits encode; α = ‖A‖_F.

    The lengths of the rows are prepared in the ancillas and swapped with the system; then the row
    whose number the system holds is undone.

    Args:
        entries: A, shape [N, N], no row of it 0.
        bits: b.

    Reference: Clader et al., arXiv:2206.03505.

    Example:
        >>> import numpy as np
        >>> found, matrix = dense_by_tables(np.array([[1.0, 1.0], [1.0, -1.0]]), bits=3)
        >>> matrix.round(9).tolist(), (2.0 * found.block(2, seed=0)).round(9).tolist()
        ([[1.0, 1.0], [1.0, -1.0]], [[1.0, 1.0], [1.0, -1.0]])
    """
    size, n = len(entries), system_qubits(len(entries))
    lengths = np.linalg.norm(entries, axis=1)
    alpha = float(np.linalg.norm(lengths))
    rows, norms = np.zeros((size, 1 << n)), np.zeros((1, 1 << n))
    rows[:, :size], norms[0, :size] = entries / lengths[:, None], lengths / alpha
    states, weights = RotationTree(rows, bits), RotationTree(norms, bits)

    wires = Wires()
    system, ancillas = wires.fresh(n), wires.fresh(n)
    gradient = phase_gradient(wires, bits)
    weights.append(wires, ancillas, [], gradient)
    for a, b in zip(system, ancillas, strict=True):
        wires.circuit.swap(a, b)
    states.append_inverse(wires, ancillas, system, gradient)
    found = alpha * weights.rounded[0, :size, None] * states.rounded[:, :size]
    return TableEncoding(wires.circuit, system, ancillas, gradient, alpha), found
