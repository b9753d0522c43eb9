"""State preparation by a tree of rotations, whose angles are read from tables."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Qubit

from qnewton.solvers.quantum.circuits.tables.arithmetic import append_rotation, phase_gradient
from qnewton.solvers.quantum.circuits.tables.encoding import TableEncoding
from qnewton.solvers.quantum.circuits.tables.lookup import (
    Word,
    append_erasure,
    append_lookup,
    loaded,
    swap_bits,
)
from qnewton.solvers.quantum.circuits.tables.wires import Wires

Array = NDArray[np.float64]


class RotationTree:
    """Angles, of b bits of a turn, that turn |0⟩ into one of M states of 2^n amplitudes.

    Args:
        states: The real states, shape [M, 2^n], each of unit length.
        bits: b.

    Attributes:
        rounded: The states that the rounded angles prepare, shape [M, 2^n].

    Reference: Grover and Rudolph 2002.
    """

    def __init__(self, states: Array, bits: int) -> None:
        self._bits, self._words = bits, []
        self.rounded = np.ones((len(states), 1))
        levels = (states.shape[1] - 1).bit_length()
        for level in range(levels):
            halves = states.reshape(len(states), 1 << level, 2, -1)
            last = level == levels - 1
            weights = halves[..., 0] if last else np.linalg.norm(halves, axis=3)
            angles = np.arctan2(weights[..., 1], weights[..., 0])
            turns = np.rint(angles / (2 * np.pi) * 2.0**bits)
            self._words.append((-turns).astype(int).ravel() % (1 << bits))
            exact = turns / 2.0**bits * 2 * np.pi
            found = np.stack([np.cos(exact), np.sin(exact)], axis=2) * self.rounded[:, :, None]
            self.rounded = found.reshape(len(states), -1)

    def append(
        self,
        wires: Wires,
        system: Sequence[Qubit],
        which: Sequence[Qubit],
        gradient: Sequence[Qubit],
    ) -> None:
        """Prepare the state of the number in ``which``, on a system that is 0."""
        for level in range(len(self._words)):
            self._rotate(wires, level, system, which, gradient)

    def append_inverse(
        self,
        wires: Wires,
        system: Sequence[Qubit],
        which: Sequence[Qubit],
        gradient: Sequence[Qubit],
    ) -> None:
        """Undo :meth:`append`."""
        for level in reversed(range(len(self._words))):
            self._rotate(wires, level, system, which, gradient, sign=-1)

    def _rotate(
        self,
        wires: Wires,
        level: int,
        system: Sequence[Qubit],
        which: Sequence[Qubit],
        gradient: Sequence[Qubit],
        sign: int = 1,
    ) -> None:
        top = len(system) - level
        address, target = [*system[top:], *which], system[top - 1]
        size = 1 << self._bits
        words: list[Word] = [int(sign * word) % size for word in self._words[level]]
        words += [None] * ((1 << len(address)) - len(words))
        k, occurs = 1 << swap_bits(words, self._bits), [word is not None for word in words]
        with wires.borrowed(k * self._bits) as qubits:
            registers = [qubits[r * self._bits : (r + 1) * self._bits] for r in range(k)]
            append_lookup(wires, address, registers, words)
            append_rotation(wires, registers[0], gradient, target)
            append_erasure(wires, address, registers, loaded(words, k), occurs)


def tabled_state(vector: Array, bits: int) -> TableEncoding:
    """Return U_b of a real unit vector of 2^n amplitudes; its block's first column is the vector.

    Example:
        >>> import numpy as np
        >>> found = tabled_state(np.array([0.5, -0.5, 0.5, 0.5]), bits=3)
        >>> found.block(4, seed=0)[:, 0].round(9).tolist()
        [0.5, -0.5, 0.5, 0.5]
    """
    wires = Wires()
    system = wires.fresh((len(vector) - 1).bit_length())
    gradient = phase_gradient(wires, bits)
    RotationTree(vector[None], bits).append(wires, system, [], gradient)
    return TableEncoding(wires.circuit, system, [], gradient, 1.0)


def append_constant_rotation(
    wires: Wires, angle: float, gradient: Sequence[Qubit], target: Qubit
) -> float:
    """Rotate |0⟩ to cos θ|0⟩ + sin θ|1⟩ for the nearest θ of b bits of a turn, and return it."""
    size = 1 << len(gradient)
    turns = round(angle / (2 * math.pi) * size)
    with wires.borrowed(len(gradient)) as value:
        held = [qubit for bit, qubit in enumerate(value) if (-turns) % size >> bit & 1]
        with wires.inverted(held):
            append_rotation(wires, value, gradient, target)
    return turns / size * 2 * math.pi
