"""What a circuit takes: qubits, depth and gates, as it was written and on a machine."""

from collections.abc import Mapping
from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2

from qnewton.solvers.quantum.circuits.transpiling import transpiled


@dataclass(frozen=True, kw_only=True)
class CircuitCounts:
    """The size of one circuit.

    Attributes:
        qubits: Qubits that some gate acts on.
        registers: Qubits of every register, by its name.
        depth: Gates in a row, on the longest way through the circuit.
        gates: Gates in all; an oracle is one.
        two_qubit_gates: Gates on two qubits.
        larger_gates: Gates on more than two qubits, which no machine has.
        by_name: Gates by what they are called, the most frequent first.
    """

    qubits: int
    registers: Mapping[str, int]
    depth: int
    gates: int
    two_qubit_gates: int
    larger_gates: int
    by_name: Mapping[str, int]


def counted(circuit: QuantumCircuit, backend: BackendV2 | None = None) -> CircuitCounts:
    """Count what a circuit takes, as it is, or on the machine that it is transpiled to.

    Args:
        circuit: The circuit.
        backend: The machine; ``None`` counts the circuit itself.

    Raises:
        ValueError: If the machine has too few qubits, or the circuit would have too many gates.

    Cost: without a machine, a look at every gate; with one, :func:`transpiled`.

    Example:
        >>> circuit = QuantumCircuit(3)
        >>> _ = circuit.h(0), circuit.cx(0, 1), circuit.ccx(0, 1, 2)
        >>> found = counted(circuit)
        >>> found.qubits, found.depth, found.gates, found.two_qubit_gates, found.larger_gates
        (3, 3, 3, 1, 1)
    """
    if backend is not None:
        circuit = transpiled(circuit, backend)
    gates = [each for each in circuit.data if each.operation.name not in _NO_GATES]
    widths = [len(each.qubits) for each in gates]
    names = circuit.count_ops()
    return CircuitCounts(
        qubits=len({qubit for each in gates for qubit in each.qubits}),
        registers={register.name: len(register) for register in circuit.qregs},
        depth=circuit.depth(lambda each: each.operation.name not in _NO_GATES),
        gates=len(gates),
        two_qubit_gates=widths.count(2),
        larger_gates=sum(width > 2 for width in widths),
        by_name={name: count for name, count in names.items() if name not in _NO_GATES},
    )


_NO_GATES = frozenset({"barrier", "measure", "delay", "reset"})
