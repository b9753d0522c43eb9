"""Gates that stand for one call of an oracle, such as U_A or U_b."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Gate, QuantumCircuit, Qubit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import Operator

Matrix = NDArray[Any]

BLOCK_ENCODING = "block_encoding"
"""The name of the gate that encodes A; drawings call it U_A."""

PREPARATION = "state_preparation"
"""The name of the gate that prepares the right-hand side; drawings call it U_b."""

EVOLUTION = "evolution"
"""The name of the gate e^{iA·2^j·t}, before ``_j``."""

_SHOWN = {BLOCK_ENCODING: "U_A", PREPARATION: "U_b"}


class Oracle(Gate):
    """A unitary with a name of its own, so that its calls can be counted in a circuit.

    Simulators apply it by its matrix, in one product. Transpilers build it from its definition.

    Args:
        name: What ``count_ops`` calls it; the inverse is called the same with ``_dg`` behind.
        matrix: The unitary, shape [2^q, 2^q]; the first qubit is the least significant one.
        built_from: A circuit of the same unitary; ``None`` leaves its synthesis to Qiskit.

    Attributes:
        base: What a controlled oracle does where its last qubit holds ``on``; otherwise ``None``.
        on: That value.

    Example:
        >>> import numpy as np
        >>> gate = Oracle(BLOCK_ENCODING, np.diag([1.0, -1.0]))
        >>> gate.num_qubits, gate.inverse().name, gate.inverse().label
        (1, 'block_encoding_dg', 'U_A†')
        >>> gate.controlled(on=0).name, gate.controlled(on=0).label
        ('c_block_encoding', 'c-U_A')
    """

    def __init__(self, name: str, matrix: Matrix, built_from: QuantumCircuit | None = None) -> None:
        super().__init__(name, (len(matrix) - 1).bit_length(), [], label=_shown(name))
        self._matrix, self._built_from = matrix, built_from
        self.base: Oracle | None = None
        self.on = 1

    @classmethod
    def of(cls, name: str, circuit: QuantumCircuit) -> "Oracle":
        """Return the gate that a circuit builds. Cost: its matrix, 4^q entries per gate."""
        return cls(name, np.asarray(Operator(circuit)), circuit)

    def _define(self) -> None:
        if self._built_from is not None:
            self.definition = self._built_from
            return
        self.definition = QuantumCircuit(self.num_qubits)
        gate = UnitaryGate(self._matrix, check_input=False)
        self.definition.append(gate, self.definition.qubits)

    def inverse(self, annotated: bool = False) -> "Oracle":
        """Return the gate of the inverse unitary."""
        name = self.name.removesuffix(_DAGGER)
        name += "" if self.name.endswith(_DAGGER) else _DAGGER
        built = None if self._built_from is None else self._built_from.inverse()
        inverse = Oracle(name, self._matrix.conj().T, built)
        inverse.base, inverse.on = self.base and self.base.inverse(), self.on
        return inverse

    def controlled(self, *, on: int) -> "Oracle":
        """Return the gate that acts where one more qubit, the last, holds ``on`` (0 or 1)."""
        size = len(self._matrix)
        matrix = np.eye(2 * size, dtype=self._matrix.dtype)
        place = slice(on * size, (on + 1) * size)
        matrix[place, place] = self._matrix
        built = None
        if self._built_from is not None:
            built = QuantumCircuit(self.num_qubits + 1)
            gate = self._built_from.to_gate().control(1, ctrl_state=on)
            built.append(gate, [built.qubits[-1], *built.qubits[:-1]])
        gate = Oracle(_CONTROLLED + self.name, matrix, built)
        gate.base, gate.on = self, on
        return gate

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Matrix:
        """Return the matrix."""
        return np.asarray(self._matrix, dtype=dtype)


def calls(circuit: QuantumCircuit, name: str) -> int:
    """Return how often an oracle, its inverse or a controlled one of them stands in a circuit.

    Args:
        circuit: A circuit whose oracles stand in its own list of gates, as this package's do.
        name: The oracle's name.

    Example:
        >>> circuit, gate = QuantumCircuit(1), Oracle(BLOCK_ENCODING, np.eye(2))
        >>> for each in (gate, gate.inverse(), gate):
        ...     _ = circuit.append(each, [0])
        >>> calls(circuit, BLOCK_ENCODING)
        3
    """
    return sum(count for form, count in circuit.count_ops().items() if _plain(form) == name)


def append_controlled(circuit: QuantumCircuit, inner: QuantumCircuit, control: Qubit) -> None:
    """Append a circuit, each gate controlled by one more qubit, on the qubits it was built on."""
    for instruction in inner.data:
        gate, qubits = instruction.operation, list(instruction.qubits)
        if isinstance(gate, Oracle):
            circuit.append(gate.controlled(on=1), [*qubits, control])
        else:
            circuit.append(gate.control(1), [control, *qubits])
    # A global phase of the inner circuit is one of its branch here.
    circuit.p(inner.global_phase, control)


def _plain(name: str) -> str:
    """Return the name of an oracle that may be controlled, even twice, and inverted."""
    name = name.removesuffix(_DAGGER)
    while name.startswith(_CONTROLLED):
        name = name.removeprefix(_CONTROLLED)
    return name


def _shown(name: str) -> str:
    """Return what drawings call the gate."""
    controlled, inverted = name.startswith(_CONTROLLED), name.endswith(_DAGGER)
    plain = _plain(name)
    before, _, j = plain.rpartition("_")
    if before == EVOLUTION:
        times = str(2 ** int(j)) if int(j) else ""
        shown = f"exp({'-' if inverted else ''}{times}iAt)"
    else:
        shown = _SHOWN.get(plain, plain) + ("†" if inverted else "")
    return ("c-" if controlled else "") + shown


_CONTROLLED = "c_"
_DAGGER = "_dg"
