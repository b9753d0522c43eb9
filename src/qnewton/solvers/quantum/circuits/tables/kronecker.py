"""The block-encoding of a Kronecker product: both factors', side by side."""

from qnewton.solvers.quantum.circuits.tables.encoding import TableEncoding


def kronecker_product(left: TableEncoding, right: TableEncoding) -> TableEncoding:
    """Return U_L ⊗ U_R, which encodes L ⊗ R with α_L·α_R.

    Example:
        >>> import numpy as np
        >>> from qnewton.solvers.quantum.circuits.tables import sparse_by_tables
        >>> left = sparse_by_tables(np.array([[0.75, 0.25], [0.25, 0.75]]), alpha=2.0, bits=2)
        >>> right = sparse_by_tables(np.diag([0.75, -0.25]), alpha=1.0, bits=2)
        >>> found = kronecker_product(left, right)
        >>> found.alpha, found.toffoli
        (2.0, 4)
    """
    circuit = left.circuit.copy_empty_like()
    circuit.add_bits(right.circuit.qubits)
    circuit.add_bits(right.circuit.clbits)
    circuit.compose(left.circuit, left.circuit.qubits, left.circuit.clbits, inplace=True)
    circuit.compose(right.circuit, right.circuit.qubits, right.circuit.clbits, inplace=True)
    # The right factor's index runs faster.
    return TableEncoding(
        circuit,
        [*right.system, *left.system],
        [*left.ancillas, *right.ancillas],
        [*left.gradient, *right.gradient],
        left.alpha * right.alpha,
    )
