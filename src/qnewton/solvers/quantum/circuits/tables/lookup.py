"""Table lookup as a circuit: select and swap, and erasure by measurement with a table of signs."""

from collections.abc import Callable, Sequence

from qiskit.circuit import Qubit

from qnewton.solvers.quantum.circuits.tables.wires import Wires

Word = int | None
"""A word, its lowest bit first in a register; ``None`` at an address that does not occur."""

Write = Callable[[Qubit | None, int], None]
"""Writes the row of an index where a qubit is 1; always, without one."""


def append_lookup(
    wires: Wires,
    address: Sequence[Qubit],
    registers: Sequence[Sequence[Qubit]],
    words: Sequence[Word],
) -> None:
    """Write the word at an address into the first of k = 2^s registers that are 0.

    The upper bits of the address select a row of k words, and the lower s bits swap the one that is
    asked for to the front; the others are left in the other registers. L words of b bits take
    ⌈L/k⌉ - 2 Toffoli gates and b(k - 1) controlled swaps.

    Args:
        wires: The circuit.
        address: Its qubits, the lowest bit first.
        registers: k registers of b qubits.
        words: 2^len(address) words.

    Reference: Babbush et al., arXiv:1805.03662 (select); Low et al., arXiv:1812.00954 (swap).
    """
    circuit, k = wires.circuit, len(registers)
    low = k.bit_length() - 1

    def write(where: Qubit | None, row: int) -> None:
        for register, word in zip(registers, words[row * k : row * k + k], strict=True):
            for place, qubit in enumerate(register):
                if (word or 0) >> place & 1:
                    circuit.x(qubit) if where is None else circuit.cx(where, qubit)

    _select(wires, address[low:], _rows([word is not None for word in words], k), write)
    for bit in range(low):
        for first in range(0, k, 2 << bit):
            for a, b in zip(registers[first], registers[first + (1 << bit)], strict=True):
                circuit.cswap(address[bit], a, b)


def append_erasure(
    wires: Wires,
    address: Sequence[Qubit],
    registers: Sequence[Sequence[Qubit]],
    contents: Sequence[Sequence[Word]],
    occurs: Sequence[bool],
) -> None:
    """Set registers to 0 whose contents follow from an address.

    Each qubit is measured along X. An outcome of 1 leaves a sign wherever its bit was 1, which a
    table of signs takes back: k = 2^s qubits show which of k addresses is meant, and the upper
    bits select a row of signs. L words take ⌈L/k⌉ + k - 4 Toffoli gates, whatever their bits.

    Args:
        wires: The circuit.
        address: Its qubits, the lowest bit first.
        registers: Registers to erase.
        contents: For each of them, its words by address.
        occurs: Which addresses occur.

    Reference: Berry et al., arXiv:1902.02134, Appendix C.
    """
    low = _one_hot_bits(occurs)
    circuit, k = wires.circuit, 1 << low
    signs = [
        (wires.measured_along_x(qubit), [(word or 0) >> place & 1 for word in words])
        for register, words in zip(registers, contents, strict=True)
        for place, qubit in enumerate(register)
    ]

    def write(where: Qubit | None, row: int) -> None:
        for outcome, bits in signs:
            flipped = [shown[r] for r in range(k) if bits[row * k + r]]
            if flipped:
                with circuit.if_test((outcome, 1)):
                    for qubit in flipped:
                        circuit.z(qubit) if where is None else circuit.cz(where, qubit)

    with wires.borrowed(k) as shown:
        _show(wires, address[:low], shown)
        _select(wires, address[low:], _rows(occurs, k), write)
        _hide(wires, address[:low], shown)


def swap_bits(words: Sequence[Word], bits: int) -> int:
    """Return the lower bits of an address by which :func:`append_lookup` best swaps."""
    occurs = [word is not None for word in words]
    lows = range((len(words) - 1).bit_length() + 1)
    return min(lows, key=lambda low: sum(_rows(occurs, 1 << low)) + bits * ((1 << low) - 1))


def loaded(words: Sequence[Word], k: int) -> list[list[Word]]:
    """Return what :func:`append_lookup` leaves in each of k registers, by address."""
    found: list[list[Word]] = [[] for _ in range(k)]
    for address in range(len(words)):
        row = list(words[address - address % k : address - address % k + k])
        for bit in range(k.bit_length() - 1):
            if address >> bit & 1:
                for first in range(0, k, 2 << bit):
                    other = first + (1 << bit)
                    row[first], row[other] = row[other], row[first]
        for register, word in zip(found, row, strict=True):
            register.append(word)
    return found


def _one_hot_bits(occurs: Sequence[bool]) -> int:
    """Return the lower bits of an address that :func:`append_erasure` best shows one-hot."""
    lows = range((len(occurs) - 1).bit_length() + 1)
    return min(lows, key=lambda low: sum(_rows(occurs, 1 << low)) + (1 << low))


def _rows(occurs: Sequence[bool], k: int) -> list[bool]:
    """Return which rows of k addresses occur."""
    return [any(occurs[start : start + k]) for start in range(0, len(occurs), k)]


def _select(wires: Wires, address: Sequence[Qubit], occurs: Sequence[bool], write: Write) -> None:
    """Write the row of an address: L rows that occur take L - 2 Toffoli gates."""

    def below(where: Qubit | None, bits: int, first: int) -> None:
        if not bits:
            write(where, first)
            return
        top, half = address[bits - 1], 1 << (bits - 1)
        lower, upper = (
            any(occurs[first : first + half]),
            any(occurs[first + half : first + 2 * half]),
        )
        if not (lower and upper):
            below(where, bits - 1, first if lower else first + half)
        elif where is None:
            with wires.inverted([top]):
                below(top, bits - 1, first)
            below(top, bits - 1, first + half)
        else:
            with wires.borrowed(1) as (both,):
                with wires.inverted([top]):
                    wires.circuit.ccx(where, top, both)
                below(both, bits - 1, first)
                wires.circuit.cx(where, both)
                below(both, bits - 1, first + half)
                wires.erase(where, top, both)

    below(None, len(address), 0)


def _show(wires: Wires, address: Sequence[Qubit], shown: Sequence[Qubit]) -> None:
    """Set one of 2^s qubits to 1, that of the address: 2^s - 2 Toffoli gates."""
    circuit = wires.circuit
    circuit.x(shown[0])
    for bit, qubit in enumerate(address):
        for place in range(1 << bit):
            other = shown[place + (1 << bit)]
            circuit.cx(qubit, other) if not bit else circuit.ccx(qubit, shown[place], other)
            circuit.cx(other, shown[place])


def _hide(wires: Wires, address: Sequence[Qubit], shown: Sequence[Qubit]) -> None:
    """Undo ``_show``, without Toffoli gates."""
    circuit = wires.circuit
    for bit, qubit in reversed(list(enumerate(address))):
        for place in range(1 << bit):
            other = shown[place + (1 << bit)]
            circuit.cx(other, shown[place])
            circuit.cx(qubit, other) if not bit else wires.erase(qubit, shown[place], other)
    circuit.x(shown[0])
