"""HHL as a circuit: the paper's Fig. 4, phase estimation, a rotation by C/λ̃, and its inverse."""

import math

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate
from qiskit.circuit.library import QFTGate, UCRYGate

from qnewton.solvers.quantum.circuits.oracle import EVOLUTION, Oracle
from qnewton.solvers.quantum.circuits.preparation import padded, preparation, system_qubits
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit
from qnewton.solvers.quantum.hhl import HHL

Array = NDArray[np.float64]


def hhl_circuit(solver: HHL, entries: Array, unit: Array) -> SolverCircuit:
    """Return the circuit that leaves Σ_k f_k w_k(A)b̂ where its clock ends in 0 and its flag in 1.

    Args:
        solver: Holds the clock's size, t, C and the window.
        entries: A, shape [N, N]; its evolutions are exact.
        unit: b̂, of unit length, shape [N].

    Cost: 2m controlled evolutions and one rotation controlled by m qubits, M = 2^m angles.

    Reference: Harrow, Hassidim, Lloyd, arXiv:0811.3171; FORMULAS 26.
    """
    clock_qubits = solver.size.bit_length() - 1
    system = QuantumRegister(system_qubits(len(unit)), "system")
    clock = QuantumRegister(clock_qubits, "clock")
    flag = QuantumRegister(1, "flag")
    circuit = QuantumCircuit(system, clock, flag, name="hhl")
    circuit.append(preparation(padded(unit)), system)
    estimation = _phase_estimation(solver, entries, system, clock)
    circuit.compose(estimation, [*system, *clock], inplace=True)
    angles = 2.0 * np.arcsin(solver.rotations())
    circuit.append(UCRYGate(angles.tolist()), [flag[0], *clock])
    circuit.compose(estimation.inverse(), [*system, *clock], inplace=True)
    success = dict.fromkeys(clock, 0) | {flag[0]: 1}
    return SolverCircuit(circuit, list(system), success, len(unit))


def _phase_estimation(
    solver: HHL, entries: Array, system: QuantumRegister, clock: QuantumRegister
) -> QuantumCircuit:
    circuit = QuantumCircuit(system, clock)
    window = _window(solver.amplitudes)
    if window is None:
        circuit.h(clock)
    else:
        circuit.append(window, clock)
    for j, evolution in enumerate(_evolutions(solver, entries, len(system), len(clock))):
        circuit.append(evolution, [*system, clock[j]])
    circuit.append(QFTGate(len(clock)).inverse(), clock)
    return circuit


def _window(amplitudes: Array) -> Gate | None:
    """Return what prepares the clock's amplitudes; ``None`` where Hadamard gates do."""
    if np.ptp(amplitudes) == 0.0:
        return None
    return preparation(amplitudes, "window")


def _evolutions(solver: HHL, entries: Array, qubits: int, count: int) -> list[Oracle]:
    """Return e^{iA·2^j·t} for j = 0 … m-1, each controlled by one qubit, from A's eigenvectors."""
    matrix = np.zeros((1 << qubits, 1 << qubits))
    matrix[: len(entries), : len(entries)] = entries
    values, vectors = np.linalg.eigh(matrix)
    gates = []
    for j in range(count):
        phases = np.exp(1j * math.ldexp(solver.time, j) * values)
        gate = Oracle(f"{EVOLUTION}_{j}", (vectors * phases) @ vectors.T)
        gates.append(gate.controlled(on=1))
    return gates
