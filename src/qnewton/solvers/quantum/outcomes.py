"""Outcomes of the measurements that a read-out makes, and their draw from a known state."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


class Outcomes(Protocol):
    """What measures a real unit state x of N components; each shot takes a fresh state."""

    def components(self, shots: int) -> Counts:
        """Measure the state itself; return how often each component was seen, shape [N]."""
        ...

    def interference(self, known: Array, shots: int) -> tuple[Counts, Counts]:
        """Measure (|0⟩x + |1⟩a)/√2 after a Hadamard gate; return the counts of (0, j) and (1, j).

        Args:
            known: a, a real unit vector, shape [N].
            shots: Shots in all.
        """
        ...

    def hadamard_tests(self, shots: int) -> Counts:
        """Test every component so often; return how often 0 was seen, chance (1 + x_j)/2."""
        ...

    def swap_tests(self, shots: int) -> Counts:
        """Test every component so often; return how often 0 was seen, chance (1 + x_j²)/2."""
        ...


class DrawnOutcomes:
    """Outcomes drawn from the exact distributions of a known state.

    Args:
        state: x, of any length but 0, shape [N].
        generator: What they are drawn with.

    Cost: N binomial draws per measurement, whatever the number of shots.
    """

    def __init__(self, state: Tensor, generator: np.random.Generator) -> None:
        x = state.double().cpu().numpy()
        x = np.ldexp(x, -np.frexp(np.abs(x).max())[1])  # its squares stay in range
        self._state = x / np.linalg.norm(x)
        self._generator = generator

    def components(self, shots: int) -> Counts:
        """Draw from x_j²."""
        chances = self._state**2
        return self._generator.multinomial(shots, chances / chances.sum())

    def interference(self, known: Array, shots: int) -> tuple[Counts, Counts]:
        """Draw from ((x_j + a_j)/2)² and ((x_j - a_j)/2)²."""
        x = self._state
        both = np.concatenate([((x + known) / 2.0) ** 2, ((x - known) / 2.0) ** 2])
        counts = self._generator.multinomial(shots, both / both.sum())
        return counts[: len(x)], counts[len(x) :]

    def hadamard_tests(self, shots: int) -> Counts:
        """Draw N binomial numbers."""
        return self._zeros(self._state, shots)

    def swap_tests(self, shots: int) -> Counts:
        """Draw N binomial numbers."""
        return self._zeros(self._state**2, shots)

    def _zeros(self, overlap: Array, shots: int) -> Counts:
        return self._generator.binomial(shots, np.clip((1.0 + overlap) / 2.0, 0.0, 1.0))
