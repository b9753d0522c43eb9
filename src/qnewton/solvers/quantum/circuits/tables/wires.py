"""Qubits of a circuit that computes, and gates that are erased by measuring them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from qiskit import QuantumCircuit
from qiskit.circuit import Clbit, Qubit


class Wires:
    """A circuit that grows, with a pool of clean qubits.

    Attributes:
        circuit: What was built so far.

    Example:
        >>> wires = Wires()
        >>> a, b = wires.fresh(2)
        >>> with wires.conjunction(a, b) as both:
        ...     _ = wires.circuit.z(both)
        >>> wires.circuit.num_qubits, wires.circuit.count_ops()["ccx"]
        (3, 1)
    """

    def __init__(self) -> None:
        self.circuit = QuantumCircuit()
        self._clean: list[Qubit] = []

    def fresh(self, count: int) -> list[Qubit]:
        """Return new qubits that are kept."""
        added = [Qubit() for _ in range(count)]
        self.circuit.add_bits(added)
        return added

    @contextmanager
    def borrowed(self, count: int) -> Iterator[list[Qubit]]:
        """Lend qubits that are 0, and have to be 0 again at the end."""
        reused = min(count, len(self._clean))
        lent = [self._clean.pop() for _ in range(reused)] + self.fresh(count - reused)
        yield lent
        self._clean += reversed(lent)

    @contextmanager
    def conjunction(self, a: Qubit, b: Qubit) -> Iterator[Qubit]:
        """Lend a qubit that holds a·b: one Toffoli gate, and none to erase it.

        Reference: Gidney, arXiv:1709.06648.
        """
        with self.borrowed(1) as (both,):
            self.circuit.ccx(a, b, both)
            yield both
            self.erase(a, b, both)

    def erase(self, a: Qubit, b: Qubit, both: Qubit) -> None:
        """Erase a·b: it is measured along X, and what 1 leaves is a sign where both are 1."""
        outcome = self.measured_along_x(both)
        with self.circuit.if_test((outcome, 1)):
            self.circuit.cz(a, b)

    def measured_along_x(self, qubit: Qubit) -> Clbit:
        """Measure a qubit along X, set it to 0, and return where its outcome is."""
        outcome = Clbit()
        self.circuit.add_bits([outcome])
        self.circuit.h(qubit)
        self.circuit.measure(qubit, outcome)
        self.circuit.reset(qubit)
        return outcome

    @contextmanager
    def inverted(self, qubits: Sequence[Qubit]) -> Iterator[None]:
        """Take 0 for 1 and 1 for 0, for a while."""
        for qubit in qubits:
            self.circuit.x(qubit)
        yield
        for qubit in qubits:
            self.circuit.x(qubit)
