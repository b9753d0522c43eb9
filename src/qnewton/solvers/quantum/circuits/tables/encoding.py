"""A block-encoding of Clifford and Toffoli gates: its circuit, its block, and what it counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Qubit

Array = NDArray[np.float64]

_FREE = frozenset({"x", "z", "h", "s", "sdg", "cx", "cz", "swap", "measure", "reset", "if_else"})
_TOFFOLI = frozenset({"ccx", "cswap"})
_ROTATIONS = frozenset({"ry", "p"})


@dataclass(frozen=True, eq=False)
class TableEncoding:
    """U_A with ⟨0|U_A|0⟩ = A'/α, whose data stand in tables.

    Attributes:
        circuit: U_A; it measures what it erases.
        system: Qubits of the system, the lowest first.
        ancillas: Qubits that show success by 0; the rest are 0 after every call.
        gradient: The phase gradient that rotations add to, which every call leaves as it was.
        alpha: α.
    """

    circuit: QuantumCircuit
    system: Sequence[Qubit]
    ancillas: Sequence[Qubit]
    gradient: Sequence[Qubit]
    alpha: float

    @property
    def toffoli(self) -> int:
        """Toffoli gates and controlled swaps; what is erased by measurement takes none."""
        return self._count(_TOFFOLI)

    @property
    def rotations(self) -> int:
        """Rotations by angles of their own, those of the phase gradient left out."""
        return self._count(_ROTATIONS) - len(self.gradient)

    def _count(self, names: frozenset[str]) -> int:
        counted = self.circuit.count_ops()
        unknown = set(counted) - _FREE - _TOFFOLI - _ROTATIONS
        assert not unknown, f"gates without a price: {sorted(unknown)}"
        return sum(count for name, count in counted.items() if name in names)

    def block(self, n: int, seed: int) -> Array:
        """Return the encoded n × n block A'/α, by exact simulation.

        Args:
            n: Unknowns.
            seed: Of the outcomes that are measured on the way; none of them changes the block.

        Cost: n simulations of all qubits.
        """
        from qiskit_aer import AerSimulator

        simulator = AerSimulator(method="statevector", seed_simulator=seed)
        places = {qubit: place for place, qubit in enumerate(self.circuit.qubits)}
        rows = [
            sum(1 << places[qubit] for bit, qubit in enumerate(self.system) if row >> bit & 1)
            for row in range(n)
        ]
        columns = []
        for column in range(n):
            whole = self.circuit.copy_empty_like()
            for bit, qubit in enumerate(self.system):
                if column >> bit & 1:
                    whole.x(qubit)
            whole.compose(self.circuit, inplace=True)
            for place, qubit in enumerate(self.gradient):
                whole.p(2.0 * np.pi * 2.0 ** (place - len(self.gradient)), qubit)
                whole.h(qubit)
            whole.save_statevector()  # pyright: ignore[reportAttributeAccessIssue]  # Aer adds it
            state = np.asarray(simulator.run(whole, shots=1).result().get_statevector())
            columns.append(state[rows])
        found = np.stack(columns, axis=1)
        assert float(np.abs(np.imag(found)).max()) < 1e-9
        return np.real(found)
