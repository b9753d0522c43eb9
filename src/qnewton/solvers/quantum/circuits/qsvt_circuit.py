"""QSVT as a circuit: b is prepared, and an inverse polynomial of A is applied to it."""

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, QuantumRegister

from qnewton.solvers.quantum.circuits.block_encoding import BlockEncoding
from qnewton.solvers.quantum.circuits.phases import inverse_phases
from qnewton.solvers.quantum.circuits.preparation import padded, preparation
from qnewton.solvers.quantum.circuits.sequence import Sequence
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit
from qnewton.solvers.quantum.qsvt import QSVT


def qsvt_circuit(solver: QSVT, encoding: BlockEncoding, unit: NDArray[np.float64]) -> SolverCircuit:
    """Return the circuit that leaves P(A/α)b̂/max|P| where every ancilla ends in 0.

    Args:
        solver: Holds P and α.
        encoding: U_A with the same α.
        unit: b̂, of unit length, shape [N].

    Cost: ``solver.queries`` calls of U_A and one of U_b; phase angles by :func:`inverse_phases`.

    Reference: Gilyén et al., arXiv:1806.01838.
    """
    system = QuantumRegister(encoding.system, "system")
    ancillas = QuantumRegister(encoding.ancillas, "ancilla")
    branch = QuantumRegister(1, "branch")
    signal = QuantumRegister(1, "signal") if encoding.ancillas > 1 else None
    registers = [system, ancillas, branch, *([] if signal is None else [signal])]
    unitary = QuantumCircuit(*registers)
    unitary.append(encoding.gate, [*system, *ancillas])
    circuit = QuantumCircuit(*registers, name="qsvt")
    circuit.append(preparation(padded(unit)), system)
    sequence = Sequence(unitary, list(ancillas), branch[0], None if signal is None else signal[0])
    sequence.apply(circuit, inverse_phases(solver.polynomial))
    return SolverCircuit(circuit, list(system), dict.fromkeys(sequence.ancillas, 0), len(unit))
