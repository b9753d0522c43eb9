"""A circuit in the gates of a machine, each oracle built once."""

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ControlledGate, Gate, Operation
from qiskit.circuit.library import UCRYGate, UnitaryGate
from qiskit.providers import BackendV2
from qiskit.transpiler import generate_preset_pass_manager

from qnewton.solvers.quantum.circuits.backends import check_fits
from qnewton.solvers.quantum.circuits.oracle import Oracle

MOST_GATES = 1_000_000
"""Gates up to which a circuit is transpiled: a minute or so of one core."""

_BASIS = ["u", "cx"]


def check_gates(circuit: QuantumCircuit) -> None:
    """Raise ``ValueError`` if a circuit takes more gates than are transpiled; none is built yet."""
    known: dict[str, int] = {}
    total = 0
    for instruction in circuit.data:
        gate = instruction.operation
        if gate.name not in known:
            known[gate.name] = _least_gates(gate)
        total += known[gate.name]
    if total > MOST_GATES:
        raise ValueError(
            f"the circuit takes {total:,} gates of a machine or more, and {MOST_GATES:,} are "
            "transpiled at most; raise epsilon, or take fewer unknowns"
        )


def _least_gates(gate: Operation | None) -> int:
    if isinstance(gate, ControlledGate):
        return _least_gates(gate.base_gate)
    if isinstance(gate, UnitaryGate):
        return 4**gate.num_qubits
    if isinstance(gate, Oracle) or type(gate) is Gate:
        return sum(_least_gates(each.operation) for each in _definition(gate).data)
    return 1


def _definition(gate: Gate) -> QuantumCircuit:
    definition = gate.definition
    assert isinstance(definition, QuantumCircuit)
    return definition


def transpiled(circuit: QuantumCircuit, backend: BackendV2, seed: int = 0) -> QuantumCircuit:
    """Return the circuit in the gates of a machine, on its qubits and along its couplings.

    Args:
        circuit: The circuit.
        backend: Any machine of Qiskit's kind.
        seed: Of the search for a layout and a routing.

    Raises:
        ValueError: If the circuit has more qubits than the machine, or more than a million gates.

    Cost: every oracle is built once; then 0.1 ms per gate.
    """
    check_fits(circuit.num_qubits, backend)
    check_gates(circuit)
    manager = generate_preset_pass_manager(
        optimization_level=3, backend=backend, seed_transpiler=seed
    )
    return manager.run(with_oracles_built(circuit))


def in_basis(circuit: QuantumCircuit, seed: int = 0) -> QuantumCircuit:
    """Return the circuit in CNOT and one-qubit gates, between any two qubits."""
    check_gates(circuit)
    made = with_oracles_built(circuit)
    return transpile(made, basis_gates=_BASIS, optimization_level=3, seed_transpiler=seed)


def with_oracles_built(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit with its oracles as plain gates, defined by one- and two-qubit gates.

    A transpiler would build every call of an oracle anew; here each is built once. So are
    rotations that other qubits choose, and gates given by a matrix, which OpenQASM has no words
    for.
    """
    made = circuit.copy_empty_like()
    built: dict[bytes, Gate] = {}
    for instruction in circuit.data:
        gate = instruction.operation
        if not isinstance(gate, Gate) or not _is_built(gate):
            made.append(instruction)
            continue
        entries = [gate.__array__()] if isinstance(gate, Oracle) else gate.params
        key = gate.name.encode() + b"".join(np.asarray(part).tobytes() for part in entries)
        if key not in built:
            # Higher levels leave swaps out, and say in the layout where the qubits ended.
            ready = transpile(_definition(gate), basis_gates=_BASIS, optimization_level=1)
            ready.name = gate.name
            built[key] = ready.to_gate(label=gate.label)
        made.append(built[key], instruction.qubits)
    return made


def _is_built(gate: Gate) -> bool:
    matrices = any(isinstance(each, np.ndarray) for each in gate.params)
    return matrices or isinstance(gate, Oracle | UCRYGate)
