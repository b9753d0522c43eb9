"""A circuit as it is drawn: every gate one box under its label, every control a dot."""

from qiskit import QuantumCircuit
from qiskit.circuit import ControlledGate, Gate, Operation
from qiskit.circuit.library import UCRYGate

from qnewton.solvers.quantum.circuits.oracle import Oracle


def with_boxes(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return a circuit that is drawn clearly, and that nothing else should be done with.

    An oracle becomes a box. If it is controlled, its last qubit becomes a dot, open where the
    oracle acts on 0. A gate with more than four parameters is shown without them.

    Args:
        circuit: The circuit of a solver, or any other.

    Cost: a look at every gate.

    Example:
        >>> import numpy as np
        >>> circuit, gate = QuantumCircuit(2), Oracle("block_encoding", np.eye(2))
        >>> _ = circuit.append(gate.controlled(on=0), [0, 1])
        >>> print(with_boxes(circuit).draw("text"))
             ┌─────┐
        q_0: ┤ U_A ├
             └──┬──┘
        q_1: ───o───
        <BLANKLINE>
    """
    drawn = circuit.copy_empty_like()
    for instruction in circuit.data:
        gate, qubits = instruction.operation, list(instruction.qubits)
        if isinstance(gate, Oracle) and gate.base is not None:
            # Qiskit's controls come first, an oracle's last.
            qubits = [qubits[-1], *qubits[:-1]]
        drawn.append(_box(gate), qubits)
    return drawn


def _box(gate: Operation) -> Operation:
    if isinstance(gate, Oracle):
        return _oracle(gate)
    if isinstance(gate, UCRYGate):
        # Its first qubit turns by an angle that the others choose.
        return Gate(gate.name, gate.num_qubits, [], label=" Ry(2·asin(C/λ))")
    if gate.name in _LABELS:
        return Gate(gate.name, gate.num_qubits, [], label=_LABELS[gate.name])
    if isinstance(gate, Gate) and len(gate.params) > _PARAMETERS:
        return Gate(gate.name, gate.num_qubits, [])
    return gate


def _oracle(gate: Oracle) -> Gate:
    if gate.base is None:
        return Gate(gate.name, gate.num_qubits, [], label=gate.label)
    inner = _oracle(gate.base)
    return ControlledGate(gate.name, gate.num_qubits, [], None, 1, None, gate.on, inner)


_LABELS = {"qft": "QFT", "qft_dg": "QFT†"}
_PARAMETERS = 4  # that a gate is drawn with
