"""Dalzell's kernel reflection as a circuit, and the projection where the norm is unknown.

The augmented system lives on the system and one more qubit, ``lower``: b' = (b̂; 1)/√2 is
(|0⟩|b̂⟩ + |1⟩|0⟩)/√2, and e = (0; 1) is |1⟩|0⟩.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import Qubit

from qnewton.solvers.quantum.circuits.block_encoding import BlockEncoding
from qnewton.solvers.quantum.circuits.phases import kernel_phases, projector_phases
from qnewton.solvers.quantum.circuits.preparation import padded, preparation
from qnewton.solvers.quantum.circuits.sequence import Sequence
from qnewton.solvers.quantum.circuits.signs import append_sign
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit
from qnewton.solvers.quantum.dalzell import Dalzell

Array = NDArray[np.float64]


def dalzell_circuit(
    solver: Dalzell, t: float, encoding: BlockEncoding, unit: Array
) -> SolverCircuit:
    """Return the circuit of one attempt with one guess t of the norm.

    Args:
        solver: Holds the filters; its projection is applied where there is one.
        t: The guess α‖A⁻¹b̂‖, one of ``solver.guesses``.
        encoding: U_A with the same α.
        unit: b̂, of unit length, shape [N].

    Cost: ``solver.queries`` calls of U_A, with two of U_b each.

    Reference: Dalzell, arXiv:2406.12086.
    """
    system = QuantumRegister(encoding.system, "system")
    lower = QuantumRegister(1, "lower")
    reflected = _Workspace.named("reflection", encoding)
    projected = None if solver.projection is None else _Workspace.named("projection", encoding)
    spaces = [reflected, *([] if projected is None else [projected])]
    registers = [system, lower, *(r for space in spaces for r in space.registers)]
    circuit = QuantumCircuit(*registers, name="dalzell")
    prepared = preparation(padded(unit))

    circuit.x(lower)
    augmented = QuantumCircuit(*registers)
    ancillas = list(reflected.encoding)
    augmented.append(encoding.gate.controlled(on=0), [*system, *ancillas, lower[0]])
    augmented.cry(2.0 * math.acos(1.0 / t), lower[0], ancillas[0])
    both = QuantumCircuit(*registers)
    both.h(lower)
    both.append(prepared.controlled(on=0), [*system, lower[0]])
    _leave_out(augmented, both, reflected.half[0], [*system, lower[0]])
    sequence = reflected.sequence(augmented)
    sequence.apply(circuit, kernel_phases(solver.reflection))
    success = dict.fromkeys([*lower, *sequence.ancillas], 0)

    if projected is not None and solver.projection is not None:
        plain = QuantumCircuit(*registers)
        plain.append(encoding.gate, [*system, *projected.encoding])
        alone = QuantumCircuit(*registers)
        alone.append(prepared, system)
        _leave_out(plain, alone, projected.half[0], list(system))
        sequence = projected.sequence(plain)
        sequence.apply(circuit, projector_phases(solver.projection))
        success |= dict.fromkeys(sequence.ancillas, 0)
    return SolverCircuit(circuit, list(system), success, len(unit))


@dataclass(frozen=True)
class _Workspace:
    """The ancillas of one filter: the encoding's, those of 1 - bbᵀ, and the sequence's own."""

    encoding: QuantumRegister
    half: QuantumRegister
    branch: QuantumRegister
    signal: QuantumRegister

    @classmethod
    def named(cls, name: str, encoding: BlockEncoding) -> "_Workspace":
        sizes = {"ancilla": encoding.ancillas, "half": 1, "branch": 1, "signal": 1}
        return cls(*(QuantumRegister(size, f"{name}_{part}") for part, size in sizes.items()))

    @property
    def registers(self) -> list[QuantumRegister]:
        return [self.encoding, self.half, self.branch, self.signal]

    def sequence(self, unitary: QuantumCircuit) -> Sequence:
        zeros = [*self.encoding, *self.half]
        return Sequence(unitary, zeros, self.branch[0], self.signal[0])


def _leave_out(
    circuit: QuantumCircuit, prepared: QuantumCircuit, half: Qubit, register: list[Qubit]
) -> None:
    """Append 1 - bbᵀ, the mean of the identity and the reflection 1 - 2bbᵀ, where ``half`` is 0."""
    circuit.h(half)
    circuit.compose(prepared.inverse(), inplace=True)
    append_sign(circuit, {half: 1} | dict.fromkeys(register, 0))
    circuit.compose(prepared, inplace=True)
    circuit.h(half)
