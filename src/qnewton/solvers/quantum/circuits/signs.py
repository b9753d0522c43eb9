"""A sign where some qubits hold some values: what every reflection of a circuit comes down to."""

from collections.abc import Mapping

from qiskit import QuantumCircuit
from qiskit.circuit import Qubit


def append_sign(circuit: QuantumCircuit, pattern: Mapping[Qubit, int]) -> None:
    """Append a factor -1 where every qubit of a pattern holds its value, one qubit at least.

    Example:
        >>> from qiskit.quantum_info import Operator
        >>> circuit = QuantumCircuit(2)
        >>> append_sign(circuit, {circuit.qubits[0]: 0, circuit.qubits[1]: 1})
        >>> Operator(circuit).data.diagonal().real.round(12).tolist()
        [1.0, 1.0, -1.0, 1.0]
    """
    # The sign is that of a qubit at 1, the others being its controls.
    target = next((qubit for qubit, value in pattern.items() if value), next(iter(pattern)))
    controls = [qubit for qubit in pattern if qubit is not target]
    if not pattern[target]:
        circuit.x(target)
    circuit.h(target)
    if controls:
        # Qiskit's patterns name the first control last.
        held = "".join(str(pattern[qubit]) for qubit in reversed(controls))
        circuit.mcx(controls, target, ctrl_state=held)
    else:
        circuit.x(target)
    circuit.h(target)
    if not pattern[target]:
        circuit.x(target)
