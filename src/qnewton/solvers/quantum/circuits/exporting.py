"""A circuit as OpenQASM 3, which other programs and machines read."""

from qiskit import QuantumCircuit, qasm3

from qnewton.solvers.quantum.circuits.transpiling import check_gates, with_oracles_built


def exported(circuit: QuantumCircuit) -> str:
    """Return a circuit as OpenQASM 3; an oracle is a gate that the text defines once.

    Args:
        circuit: The circuit.

    Raises:
        ValueError: If the circuit has more than a million gates once its oracles are built.

    Cost: every oracle is built from one- and two-qubit gates, 4^q of them for q qubits.

    Reference: Cross et al., arXiv:2104.14722.

    Example:
        >>> circuit = QuantumCircuit(2)
        >>> _ = circuit.h(0), circuit.cx(0, 1)
        >>> print(exported(circuit))
        OPENQASM 3.0;
        include "stdgates.inc";
        qubit[2] q;
        h q[0];
        cx q[0], q[1];
    """
    check_gates(circuit)
    return qasm3.dumps(with_oracles_built(circuit)).rstrip()
