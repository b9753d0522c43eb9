"""What measuring a solver's circuit gives: each read-out by circuits of its own, on success."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Qubit

from qnewton.solvers.quantum.circuits.interference import ReadoutCircuit, interfered, swap_test
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


class Shots(Protocol):
    """Something that runs a circuit until it has succeeded so often."""

    def counts(self, attempt: SolverCircuit, kept: Sequence[Qubit], successes: int) -> Counts:
        """Return how often each value of some qubits was seen among the successes.

        Args:
            attempt: The circuit, and what counts as success.
            kept: The qubits, least significant first.
            successes: How often the circuit has to succeed.
        """
        ...


class DrawnShots:
    """Shots drawn from the exact distribution of a circuit's outcomes, however many.

    Args:
        generator: What they are drawn with.

    Cost: one exact simulation per circuit.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def counts(self, attempt: SolverCircuit, kept: Sequence[Qubit], successes: int) -> Counts:
        """Draw a multinomial number of the outcomes on success."""
        chances = distribution(attempt, kept)
        return self._generator.multinomial(successes, chances / chances.sum())


def distribution(attempt: SolverCircuit, kept: Sequence[Qubit]) -> Array:
    """Return the chance of success together with each value of some qubits, shape [2^kept].

    Args:
        attempt: The circuit, and what counts as success.
        kept: The qubits, least significant first; those that are neither kept nor part of success
            are summed over.
    """
    chances = np.abs(attempt.amplitudes) ** 2
    return on_success(attempt, kept, np.arange(len(chances)), chances)


def on_success(
    attempt: SolverCircuit, kept: Sequence[Qubit], values: Counts, weights: Array | Counts
) -> Array:
    """Add up the weights of outcomes that succeeded by the values of some qubits, shape [2^kept].

    Args:
        attempt: The circuit, and what counts as success.
        kept: The qubits, least significant first.
        values: Outcomes of all qubits; bit q is that of the circuit's qubit q.
        weights: Their chances, or how often each was seen.
    """
    place = {qubit: index for index, qubit in enumerate(attempt.circuit.qubits)}
    succeeded = np.ones(len(values), dtype=np.bool_)
    for qubit, value in attempt.success.items():
        succeeded &= (values >> place[qubit]) & 1 == value
    values = values[succeeded]
    shown = np.zeros_like(values)
    for bit, qubit in enumerate(kept):
        shown |= ((values >> place[qubit]) & 1) << bit
    return np.bincount(shown, weights[succeeded], 1 << len(kept)).astype(np.float64)


class CircuitOutcomes:
    """Outcomes of the circuits that measure a solver's state.

    Args:
        attempt: The solver's circuit; nothing is measured in it.
        shots: What runs it, and the circuits that interfere its state.
    """

    def __init__(self, attempt: SolverCircuit, shots: Shots) -> None:
        self._attempt, self._shots = attempt, shots
        self._success = float(attempt.image @ attempt.image)

    def components(self, shots: int) -> Counts:
        """Measure the system."""
        counts = self._shots.counts(self._attempt, self._attempt.system, shots)
        # What noise leaves beyond the unknowns is not read.
        return counts[: self._attempt.n]

    def interference(self, known: Array, shots: int) -> tuple[Counts, Counts]:
        """Measure the test qubit and the system, after the state has met the known vector."""
        if not known.any():
            return np.zeros_like(known, dtype=np.int64), np.zeros_like(known, dtype=np.int64)
        read = self._interfered(known / np.linalg.norm(known))
        counts = self._shots.counts(read.attempt, [*self._attempt.system, read.test], shots)
        zero, one = np.split(counts, 2)
        return zero[: self._attempt.n], one[: self._attempt.n]

    def hadamard_tests(self, shots: int) -> Counts:
        """Interfere the state with every basis state."""
        return self._zeros([self._interfered(unit) for unit in self._units()], shots)

    def swap_tests(self, shots: int) -> Counts:
        """Swap the state with every basis state."""
        return self._zeros([swap_test(self._attempt, unit) for unit in self._units()], shots)

    def _interfered(self, known: Array) -> ReadoutCircuit:
        return interfered(self._attempt, known, self._success)

    def _units(self) -> Array:
        return np.eye(self._attempt.n)

    def _zeros(self, tests: Sequence[ReadoutCircuit], shots: int) -> Counts:
        return np.array([self._shots.counts(t.attempt, [t.test], shots)[0] for t in tests])
