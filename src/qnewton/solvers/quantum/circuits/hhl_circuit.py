"""HHL as a circuit: the paper's Fig. 4, phase estimation, a rotation by C/λ̃, and its inverse."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate
from qiskit.circuit.library import QFTGate, UCRYGate

from qnewton.solvers.quantum.circuits.block_encoding import BlockEncoding
from qnewton.solvers.quantum.circuits.evolution import evolution
from qnewton.solvers.quantum.circuits.oracle import EVOLUTION, Oracle, append_controlled
from qnewton.solvers.quantum.circuits.preparation import padded, preparation, system_qubits
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit
from qnewton.solvers.quantum.hhl import HHL

Array = NDArray[np.float64]


def hhl_circuit(
    solver: HHL, entries: Array, unit: Array, encoding: BlockEncoding | None = None
) -> SolverCircuit:
    """Return the circuit that leaves Σ_k f_k w_k(A)b̂ where its clock ends in 0 and its flag in 1.

    Args:
        solver: Holds the clock's size, t, C and the window.
        entries: A, shape [N, N].
        unit: b̂, of unit length, shape [N].
        encoding: U_A with the solver's α, which its evolutions then call ``solver.queries`` times,
            within ``solver.epsilon`` together; ``None`` for exact evolutions.

    Cost: 2m controlled evolutions and one rotation controlled by m qubits, M = 2^m angles.

    Reference: Harrow, Hassidim, Lloyd, arXiv:0811.3171.
    """
    system = QuantumRegister(system_qubits(len(unit)), "system")
    clock = QuantumRegister(solver.clock_qubits, "clock")
    flag = QuantumRegister(1, "flag")
    walk = [] if encoding is None else [QuantumRegister(2, "walk")]
    walking = [qubit for register in walk for qubit in register]
    evolved = [*system, *walking]
    circuit = QuantumCircuit(system, clock, flag, *walk, name="hhl")
    estimation = circuit.copy_empty_like()
    window = _window(solver.amplitudes)
    if window is None:
        estimation.h(clock)
    else:
        estimation.append(window, clock)
    if encoding is None:
        for control, exact in zip(clock, _exact_evolutions(solver, entries), strict=True):
            estimation.append(exact.controlled(on=1), [*evolved, control])
    else:
        for j, control in enumerate(clock):
            length, share = solver.evolution_length(j), solver.evolution_error
            inner = QuantumCircuit(evolved)
            inner.compose(evolution(encoding, length, share), inplace=True)
            append_controlled(estimation, inner, control)
    estimation.append(QFTGate(len(clock)).inverse(), clock)

    circuit.append(preparation(padded(unit)), system)
    circuit.compose(estimation, inplace=True)
    angles = 2.0 * np.arcsin(solver.rotations())
    circuit.append(UCRYGate(angles.tolist()), [flag[0], *clock])
    circuit.compose(estimation.inverse(), inplace=True)
    success = dict.fromkeys([*clock, *walking], 0) | {flag[0]: 1}
    return SolverCircuit(circuit, list(system), success, len(unit))


def _window(amplitudes: Array) -> Gate | None:
    """Return what prepares the clock's amplitudes; ``None`` where Hadamard gates do."""
    if np.ptp(amplitudes) == 0.0:
        return None
    return preparation(amplitudes, "window")


def _exact_evolutions(solver: HHL, entries: Array) -> Iterator[Oracle]:
    """Yield e^{iA·2^j·t} for j = 0 … m-1, from A's eigenvectors."""
    size = 1 << system_qubits(len(entries))
    matrix = np.zeros((size, size))
    matrix[: len(entries), : len(entries)] = entries
    values, vectors = np.linalg.eigh(matrix)
    for j in range(solver.clock_qubits):
        phases = np.exp(1j * math.ldexp(solver.time, j) * values)
        yield Oracle(f"{EVOLUTION}_{j}", (vectors * phases) @ vectors.T)
