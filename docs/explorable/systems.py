"""The Newton systems that the page solves: real ones of 4 and of 16 unknowns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.circuit_systems import DAMPING, newton_systems
from qnewton.scheduler.step_angle import angle_between

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SmallSystem:
    """A·x = b of one Newton step, A the damped Hessian and b the negative gradient.

    Attributes:
        matrix: A, shape [N, N].
        rhs: b, shape [N].
        damping: λ that A contains.
    """

    matrix: Array
    rhs: Array
    damping: float

    @property
    def n(self) -> int:
        """Unknowns."""
        return len(self.rhs)

    @cached_property
    def _eigenpairs(self) -> tuple[Array, Array]:
        return np.linalg.eigh(self.matrix)

    @property
    def values(self) -> Array:
        """A's eigenvalues, the smallest first."""
        return self._eigenpairs[0]

    @property
    def vectors(self) -> Array:
        """A's eigenvectors as columns."""
        return self._eigenpairs[1]

    @property
    def unit(self) -> Array:
        """b̂ = b/‖b‖."""
        return self.rhs / np.linalg.norm(self.rhs)

    @property
    def weights(self) -> Array:
        """β = Vᵀb̂: how much of b̂ lies along each eigenvector."""
        return self.vectors.T @ self.unit

    @cached_property
    def exact(self) -> Array:
        """x/‖x‖, by LU."""
        x = np.linalg.solve(self.matrix, self.rhs)
        return x / np.linalg.norm(x)

    def degrees_off(self, direction: Array) -> float:
        """Return the angle between a direction and the exact step, in degrees."""
        angle = angle_between(
            torch.as_tensor(direction), torch.as_tensor(self.exact)
        )
        assert angle is not None
        return math.degrees(angle)


def small_systems() -> Mapping[int, SmallSystem]:
    """Return the systems of 4 and of 16 unknowns, by their size."""
    found = sorted(newton_systems().items())
    return {
        n: SmallSystem(system.matrix.numpy(), system.rhs.numpy(), DAMPING)
        for n, system in found
    }
