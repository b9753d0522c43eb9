"""Read-out circuits: the output state beside a known one, by a SWAP test or by interference."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import Qubit

from qnewton.solvers.quantum.circuits.oracle import append_controlled
from qnewton.solvers.quantum.circuits.preparation import padded, preparation
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReadoutCircuit:
    """A solver's circuit with a test at its end.

    Attributes:
        attempt: The gates, and what counts as success; its system is what may be read beside
            the test.
        test: The qubit whose outcome tells the overlap.
    """

    attempt: SolverCircuit
    test: Qubit


def swap_test(attempt: SolverCircuit, reference: Array) -> ReadoutCircuit:
    """Return the circuit in which ``test`` is 0 on success with probability (1 + ⟨v|x⟩²)/2.

    Args:
        attempt: The solver's circuit; x is its state on success.
        reference: v, real, of unit length, shape [N].

    Cost: one attempt, one preparation of v, one controlled swap per qubit of the system.

    Reference: Buhrman et al., quant-ph/0102001.
    """
    beside = QuantumRegister(len(attempt.system), "reference")
    test = QuantumRegister(1, "test")
    circuit = attempt.circuit.copy()
    circuit.add_register(beside, test)
    circuit.append(preparation(padded(reference), "U_v"), beside)
    circuit.h(test)
    for one, other in zip(attempt.system, beside, strict=True):
        circuit.cswap(test[0], one, other)
    circuit.h(test)
    return ReadoutCircuit(
        SolverCircuit(circuit, attempt.system, attempt.success, attempt.n), test[0]
    )


def interfered(
    attempt: SolverCircuit, reference: Array, success_probability: float = 1.0
) -> ReadoutCircuit:
    """Return the circuit that interferes y, the amplitudes on success, with a known vector.

    (√p|0⟩|v⟩ + |1⟩|y⟩)/√(1+p) and a Hadamard gate on the first qubit, the test. Success, component
    j and a test of 0 or 1 have probability (√p·v_j ± y_j)²/(2+2p). With p = ‖y‖² both halves weigh
    the same: of what succeeds the shares are ((v_j ± x_j)/2)², x = y/‖y‖. With v a basis state it
    is then the Hadamard test of one component, (1 + x_j)/2 the chance of 0; with v the magnitudes
    read before it tells every sign.

    Args:
        attempt: The solver's circuit.
        reference: v, real, of unit length, shape [N].
        success_probability: p, in (0, 1].

    Cost: one attempt with every gate controlled, and one controlled preparation of v.

    Reference: Kerenidis and Prakash, arXiv:1812.00054 (the second stage of their tomography).
    """
    test = QuantumRegister(1, "test")
    circuit = QuantumCircuit(*attempt.circuit.qregs, test, name=attempt.circuit.name)
    circuit.ry(2.0 * math.atan2(1.0, math.sqrt(success_probability)), test)
    known = preparation(padded(reference), "U_v").controlled(on=0)
    circuit.append(known, [*attempt.system, test[0]])
    for qubit, value in attempt.success.items():
        if value:
            circuit.cx(test[0], qubit, ctrl_state=0)
    append_controlled(circuit, attempt.circuit, test[0])
    circuit.h(test)
    inner = SolverCircuit(circuit, attempt.system, attempt.success, attempt.n)
    return ReadoutCircuit(inner, test[0])
