"""Comparison, rotation by a number in a register, and phases: with one Toffoli gate per bit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from qiskit.circuit import Qubit

from qnewton.solvers.quantum.circuits.tables.wires import Wires


def append_not_less(
    wires: Wires, number: Sequence[Qubit], odd: Sequence[Qubit], flag: Qubit
) -> None:
    """Flip a flag where x ≥ 2m + 1, for x of b bits and m of b - 1 bits, the lowest first.

    It takes b - 1 Toffoli gates: the carries of (2m + 1) + (2^b - 1 - x), the last of which is 1
    where x < 2m + 1. The lowest of them is the inverted lowest bit of x.
    """
    circuit = wires.circuit
    with wires.inverted(number), wires.borrowed(len(odd)) as carries:
        chain = [number[0], *carries]
        steps = list(zip(number[1:], odd, chain[:-1], carries, strict=True))
        for a, b, before, after in steps:
            circuit.cx(before, a)
            circuit.cx(before, b)
            circuit.ccx(a, b, after)
            circuit.cx(before, after)
        circuit.x(flag)
        circuit.cx(chain[-1], flag)
        for a, b, before, after in reversed(steps):
            circuit.cx(before, after)
            wires.erase(a, b, after)
            circuit.cx(before, b)
            circuit.cx(before, a)


def phase_gradient(wires: Wires, bits: int) -> list[Qubit]:
    """Return a register Σ_k e^{-2πik/2^b}|k⟩/√2^b: a number added to it becomes a phase."""
    register = wires.fresh(bits)
    for place, qubit in enumerate(register):
        wires.circuit.h(qubit)
        wires.circuit.p(-2.0 * np.pi * 2.0 ** (place - bits), qubit)
    return register


def append_rotation(
    wires: Wires, value: Sequence[Qubit], gradient: Sequence[Qubit], target: Qubit
) -> None:
    """Rotate |0⟩ to cos θ|0⟩ + sin θ|1⟩, θ = -2πv/2^b for v in a register of b bits.

    v is added to the phase gradient where the target is 0, and subtracted where it is 1, between
    two changes of basis: b - 1 Toffoli gates.

    Reference: Gidney, arXiv:1709.06648 (addition).
    """
    circuit = wires.circuit
    circuit.sdg(target)
    circuit.h(target)
    for qubit in value:
        circuit.cx(target, qubit)
    _append_addition(wires, value, gradient, target)
    for qubit in value:
        circuit.cx(target, qubit)
    circuit.h(target)
    circuit.s(target)


def _append_addition(
    wires: Wires, value: Sequence[Qubit], total: Sequence[Qubit], carry: Qubit
) -> None:
    """Add a value and a carry to a total of as many bits."""
    circuit = wires.circuit
    with wires.borrowed(len(value) - 1) as carries:
        chain = [carry, *carries]
        steps = list(zip(value[:-1], total[:-1], chain[:-1], carries, strict=True))
        for a, b, before, after in steps:
            circuit.cx(before, a)
            circuit.cx(before, b)
            circuit.ccx(a, b, after)
            circuit.cx(before, after)
        circuit.cx(chain[-1], total[-1])
        circuit.cx(value[-1], total[-1])
        for a, b, before, after in reversed(steps):
            circuit.cx(before, after)
            wires.erase(a, b, after)
            circuit.cx(before, a)
            circuit.cx(a, b)


def append_sign_at_zero(wires: Wires, qubits: Sequence[Qubit]) -> None:
    """Flip the sign where n qubits are 0: n - 2 Toffoli gates."""
    with wires.inverted(qubits):
        if len(qubits) == 1:
            wires.circuit.z(qubits[0])
        else:
            with _all(wires, qubits[:-1]) as held:
                wires.circuit.cz(held, qubits[-1])


def append_phase_at_zero(wires: Wires, qubits: Sequence[Qubit], angle: float) -> None:
    """Multiply by e^{iφ} where n qubits are 0: n - 1 Toffoli gates and a rotation.

    Between two calls of U_A and its inverse it makes a step of quantum signal processing, with the
    ancillas of U_A as its qubits.

    Reference: Gilyén et al., arXiv:1806.01838, Figure 1.
    """
    with wires.inverted(qubits), _all(wires, qubits) as held:
        wires.circuit.p(angle, held)


@contextmanager
def _all(wires: Wires, qubits: Sequence[Qubit]) -> Iterator[Qubit]:
    """Lend a qubit that is 1 where all of n are: n - 1 Toffoli gates."""
    first, *rest = qubits
    if not rest:
        yield first
        return
    with wires.conjunction(first, rest[0]) as both, _all(wires, [both, *rest[1:]]) as held:
        yield held
