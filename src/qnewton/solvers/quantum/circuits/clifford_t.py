"""A circuit's gates as a fault-tolerant machine counts them: rotations, T gates and CNOT gates."""

import math
from dataclasses import dataclass

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Gate

from qnewton.solvers.quantum.circuits.oracle import BLOCK_ENCODING, PREPARATION
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit

_BASIS = ["cx", "h", "s", "sdg", "t", "tdg", "rz", "x", "z"]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class CliffordT:
    """What is not free of error correction's point of view, and the CNOT gates.

    Attributes:
        rotations: Rotations about Z by angles that no Clifford or T gate makes.
        t_gates: T gates.
        cnot_gates: CNOT gates.
    """

    rotations: float
    t_gates: float
    cnot_gates: float

    def t_count(self, per_rotation: float) -> float:
        """Return the T gates in all, with so many for every rotation."""
        return self.t_gates + per_rotation * self.rotations


def clifford_t(circuit: QuantumCircuit) -> CliffordT:
    """Return the counts of a circuit, transpiled by Qiskit to Clifford gates, T and rotations.

    Example:
        >>> circuit = QuantumCircuit(3)
        >>> _ = circuit.ccx(0, 1, 2)
        >>> _ = circuit.ry(0.3, 0)
        >>> clifford_t(circuit)
        CliffordT(rotations=1, t_gates=7, cnot_gates=6)
    """
    gates = transpile(circuit, basis_gates=_BASIS, optimization_level=2)
    rotations = t_gates = 0
    for instruction in gates.data:
        gate = instruction.operation
        if gate.name == "rz":
            eighths = float(gate.params[0]) / (math.pi / 4.0)
            nearest = round(eighths)
            if abs(eighths - nearest) > _ROUNDING:
                rotations += 1
            else:
                t_gates += nearest % 2
        elif gate.name in ("t", "tdg"):
            t_gates += 1
    return CliffordT(rotations, t_gates, gates.count_ops().get("cx", 0))


def of_gate(gate: Gate) -> CliffordT:
    """Return the counts of one gate."""
    circuit = QuantumCircuit(gate.num_qubits)
    circuit.append(gate, circuit.qubits)
    return clifford_t(circuit)


def by_part(attempt: SolverCircuit) -> dict[str, CliffordT]:
    """Return the counts of one call of U_b, and of all but the oracles per call of U_A."""
    rest, oracles = attempt.circuit.copy_empty_like(), {}
    for instruction in attempt.circuit.data:
        gate = instruction.operation
        if BLOCK_ENCODING in gate.name or PREPARATION in gate.name:
            oracles.setdefault(gate.name, gate)
            # What stands on its two sides must not be merged.
            rest.barrier()
        else:
            rest.append(gate, instruction.qubits)
    found, queries = clifford_t(rest), attempt.queries
    per_query = (x / queries for x in (found.rotations, found.t_gates, found.cnot_gates))
    return {
        "state preparation": of_gate(oracles[PREPARATION]),
        "solver": CliffordT(*per_query),
    }
