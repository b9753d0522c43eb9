"""A quantum linear solver as a circuit, and what it leaves on success."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Qubit
from qiskit.circuit.library import MCXGate, UnitaryGate
from qiskit.quantum_info import Statevector

from qnewton.solvers.quantum.circuits.oracle import BLOCK_ENCODING, PREPARATION, calls

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SolverCircuit:
    """One attempt of a solver, before anything is measured.

    Attributes:
        circuit: The gates, from |0…0⟩ on.
        system: The qubits whose basis states number the components, least significant first.
        success: What every other qubit has to be measured as: the attempt has failed otherwise.
        n: Unknowns; the basis states beyond them stay empty.
    """

    circuit: QuantumCircuit
    system: list[Qubit]
    success: Mapping[Qubit, int]
    n: int

    @property
    def queries(self) -> int:
        """Calls to U_A, its inverse and its controlled forms in the circuit."""
        return calls(self.circuit, BLOCK_ENCODING)

    @property
    def state_preparations(self) -> int:
        """Calls to U_b, its inverse and its controlled forms in the circuit."""
        return calls(self.circuit, PREPARATION)

    @cached_property
    def amplitudes(self) -> NDArray[np.complex128]:
        """The amplitudes of all qubits, shape [2^q].

        Simulating the circuit costs 2^q amplitudes per gate.
        """
        return simulated(self.circuit).data

    @property
    def image(self) -> Array:
        """The amplitudes on success, not normalised: y, shape [N]."""
        return self.on_success(self.amplitudes).real[: self.n]

    def on_success(
        self, amplitudes: NDArray[np.complex128], beside: Mapping[Qubit, int] | None = None
    ) -> NDArray[np.complex128]:
        """Return the amplitudes of the system where every other qubit shows success.

        Args:
            amplitudes: Those of all qubits, shape [2^q].
            beside: Qubits that are neither, and their values.
        """
        place = {qubit: index for index, qubit in enumerate(self.circuit.qubits)}
        wanted = {**self.success, **(beside or {})}
        base = sum(value << place[qubit] for qubit, value in wanted.items())
        component = np.arange(1 << len(self.system))
        index = np.full(len(component), base)
        for bit, qubit in enumerate(self.system):
            index += ((component >> bit) & 1) << place[qubit]
        return amplitudes[index]


def simulated(circuit: QuantumCircuit) -> Statevector:
    """Return the state that a circuit makes of |0…0⟩, exactly."""
    # Qiskit would take a NOT with five controls or more apart into dozens of gates.
    joined, known = circuit.copy_empty_like(), {}
    for instruction in circuit.data:
        gate = instruction.operation
        if isinstance(gate, MCXGate) and _TAKEN_APART <= gate.num_qubits <= _MATRIX_QUBITS:
            key = gate.num_ctrl_qubits, gate.ctrl_state
            if key not in known:
                known[key] = UnitaryGate(_controlled_not(*key), check_input=False)
            gate = known[key]
        joined.append(gate, instruction.qubits)
    return Statevector(joined)


def _controlled_not(controls: int, state: int) -> Array:
    """Return the matrix that flips the last qubit where the others hold ``state``."""
    order = np.arange(2 << controls)
    order[[state, state | 1 << controls]] = order[[state | 1 << controls, state]]
    return np.eye(len(order))[order]


_TAKEN_APART, _MATRIX_QUBITS = 5, 10
