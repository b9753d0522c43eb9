"""The sparse block-encoding as its price counts it: one merged table, read once and erased once."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qnewton.solvers.quantum.circuits.preparation import preparation, system_qubits
from qnewton.solvers.quantum.circuits.tables.arithmetic import append_not_less
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


@dataclass(frozen=True)
class SparseTable:
    """The words of a symmetric matrix, by addresses (i, l) of entry l of row i.

    A word holds, from its lowest bit on, the column, the place of i among the column's entries, a
    magnitude m, where |A_ij| is about (2m + 1)·2^-b of the largest, and a sign.

    Attributes:
        words: At (i, l), i in the lower bits, so that rows of i's alone fill rows of a table that
            is swapped; ``None`` where l ≥ d or i ≥ N.
        sparsity: d.
        system: Qubits of i.
        bits: b, of magnitude and sign.
    """

    words: list[Word]
    sparsity: int
    system: int
    bits: int

    @classmethod
    def of(cls, entries: Array, largest: float, bits: int) -> "SparseTable":
        """Return the table of a symmetric matrix.

        Where a row has less than d entries, an address points to itself; half of these smallest
        magnitudes are negative, so that they cancel.
        """
        rows = [[int(j) for j in np.flatnonzero(row)] for row in entries]
        d, n = max(1, *(len(row) for row in rows)), system_qubits(len(entries))
        inner, most = (d - 1).bit_length(), (1 << (bits - 1)) - 1
        words: list[Word] = [None] * (1 << (n + inner))
        for i, row in enumerate(rows):
            for place in range(d):
                if place < len(row):
                    j, entry = row[place], float(entries[i, row[place]])
                    inverse = rows[j].index(i)
                    magnitude = min(int(abs(entry) / largest * (1 << (bits - 1))), most)
                    negative = entry < 0.0
                else:
                    j, inverse, magnitude = i, place, 0
                    negative = (place - len(row)) % 2 == 1
                value = magnitude | negative << (bits - 1)
                words[i | place << n] = j | inverse << n | value << (n + inner)
        return cls(words, d, n, bits)

    @property
    def address_bits(self) -> int:
        """Bits of an address (i, l), and of the (column, inverse position) in its word."""
        return self.system + (self.sparsity - 1).bit_length()

    def partner(self, address: int) -> int | None:
        """Return the address that the word of an address points to, which points back."""
        word = self.words[address]
        return None if word is None else word & ((1 << self.address_bits) - 1)


def sparse_by_tables(entries: Array, alpha: float, bits: int) -> TableEncoding:
    """Return U_A of a symmetric matrix by sparse access, α = d‖A‖max or more.

    With l in a superposition of d values, the word of (i, l) is loaded: a column, an inverse
    position, a sign and a magnitude. The magnitude becomes an amplitude by a comparison with b
    qubits in equal superposition, and (i, l) is swapped with column and inverse position. Since A
    is symmetric, the same table at the new address says what has to be erased.

    Args:
        entries: A, symmetric, shape [N, N].
        alpha: α.
        bits: b, of a sign and a magnitude: A' has odd multiples of 2^-b of α/d.

    Reference: Gilyén et al., arXiv:1806.01838, Lemma 48.

    Example:
        >>> import numpy as np
        >>> matrix = np.array([[0.75, 0.25], [0.25, -0.75]])
        >>> found = sparse_by_tables(matrix, alpha=2.0, bits=2)
        >>> (2.0 * found.block(2, seed=0)).round(9).tolist()
        [[0.75, 0.25], [0.25, -0.75]]
    """
    counted = max(1, int(np.count_nonzero(entries, axis=1).max()))
    table = SparseTable.of(entries, alpha / counted, bits)
    wires, width = Wires(), table.address_bits + bits
    address = wires.fresh(table.address_bits)
    system, inner = address[: table.system], address[table.system :]
    number, (flag,) = wires.fresh(bits), wires.fresh(1)
    k = 1 << swap_bits(table.words, width)
    registers = [wires.fresh(width) for _ in range(k)]
    pointer, value = registers[0][: len(address)], registers[0][len(address) :]
    circuit, spread = wires.circuit, _spread(table.sparsity)

    circuit.compose(spread, inner, inplace=True)
    append_lookup(wires, address, registers, table.words)
    circuit.z(value[-1])
    circuit.h(number)
    append_not_less(wires, number, value[:-1], flag)
    circuit.h(number)
    for a, b in zip(address, pointer, strict=True):
        circuit.swap(a, b)
    append_erasure(wires, address, registers, _after_swap(table, k), _occurs(table))
    circuit.compose(spread.inverse(), inner, inplace=True)
    return TableEncoding(circuit, system, [*inner, *number, flag], [], alpha)


def _occurs(table: SparseTable) -> list[bool]:
    return [word is not None for word in table.words]


def _after_swap(table: SparseTable, k: int) -> list[list[Word]]:
    """Return what k registers hold, by the address after the swap.

    The first holds the word of that address; the others what the load left at the one before.
    """
    before = loaded(table.words, k)
    places = [table.partner(address) for address in range(len(table.words))]
    rest = [[None if p is None else held[p] for p in places] for held in before[1:]]
    return [table.words, *rest]


def _spread(count: int) -> QuantumCircuit:
    """Return what turns 0 into an equal superposition of so many values."""
    qubits = (count - 1).bit_length()
    circuit = QuantumCircuit(qubits)
    if count == 1 << qubits:
        for qubit in circuit.qubits:
            circuit.h(qubit)
        return circuit
    weights = np.zeros(1 << qubits)
    weights[:count] = 1.0 / math.sqrt(count)
    built = preparation(weights).definition
    assert built is not None
    return built
