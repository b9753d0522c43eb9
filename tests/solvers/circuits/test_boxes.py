"""How circuits are drawn: labels instead of parameters, dots for controls, the paper's Fig. 4."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit

from qnewton.solvers.quantum import Clock
from qnewton.solvers.quantum.circuits import solver_circuit, with_boxes
from qnewton.solvers.quantum.circuits.oracle import BLOCK_ENCODING, EVOLUTION, Oracle

MATRIX = torch.tensor([[2.0, 1.0], [1.0, -3.0]]).double()
RHS = torch.tensor([3.0, -2.0]).double()


def shown(circuit):
    """Return name, label and control value of every gate as it is drawn."""
    gates = [each.operation for each in with_boxes(circuit).data]
    bases = [getattr(gate, "base_gate", gate) for gate in gates]
    return [
        (base.label or base.name, getattr(gate, "ctrl_state", None))
        for gate, base in zip(gates, bases, strict=True)
    ]


def test_hhl_is_drawn_as_in_the_paper_s_figure():
    circuit = solver_circuit(MATRIX, RHS, "hhl", 0.1, clock=Clock(qubits=2)).circuit
    estimation = [("exp(iAt)", 1), ("exp(2iAt)", 1), ("QFT†", None)]
    undone = [("QFT", None), ("exp(-2iAt)", 1), ("exp(-iAt)", 1)]
    found = [gate for gate in shown(circuit) if gate[0] != "h"]
    assert found == [("U_b", None), *estimation, (" Ry(2·asin(C/λ))", None), *undone]


def test_a_control_stays_on_its_qubit():
    circuit = solver_circuit(MATRIX, RHS, "hhl", 0.1, clock=Clock(qubits=2)).circuit
    clock = circuit.qregs[1]
    controls = [
        each.qubits[0] for each in with_boxes(circuit).data if each.operation.name.startswith("c_")
    ]
    assert controls == [clock[0], clock[1], clock[1], clock[0]]


@pytest.mark.parametrize("on", [0, 1])
def test_an_inverse_is_controlled_by_the_same_value(on):
    gate = Oracle(f"{EVOLUTION}_3", np.diag([1.0, 1j])).controlled(on=on).inverse()
    circuit = QuantumCircuit(2)
    circuit.append(gate, [0, 1])
    assert shown(circuit) == [("exp(-8iAt)", on)]
    assert gate.base is not None
    block = np.asarray(gate)[2 * on : 2 * on + 2, 2 * on : 2 * on + 2]
    assert np.array_equal(np.asarray(gate.base), block)


def test_every_gate_of_dalzell_s_circuit_is_drawn():
    circuit = solver_circuit(MATRIX, RHS, "dalzell", 0.3, norm=1.5).circuit
    found = shown(circuit)
    assert len(found) == len(circuit.data)
    assert ("U_A", 0) in found
    assert BLOCK_ENCODING not in {label for label, _ in found}
