"""The state of a circuit at one stage: amplitudes of its ancillas beside the eigenvectors of A."""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_STEPS = 32_767
"""Amplitudes are sent to the page as 16-bit numbers: bars are drawn no finer."""


@dataclass(frozen=True, eq=False)
class Stage:
    """All amplitudes after one stage.

    Attributes:
        up: Where the qubit that decides success shows it, shape [K, N]: K values of the other
            ancillas, and N eigenvectors of A, smallest eigenvalue first.
        down: Where it does not, of the same shape; ``None`` where it was not touched yet.
    """

    up: Complex
    down: Complex | None = None

    @property
    def amplitudes(self) -> Complex:
        """All of them, shape [K or 2K, N]."""
        return (
            self.up if self.down is None else np.concatenate([self.up, self.down])
        )

    def components(self, vectors: Array) -> tuple[Array, bool]:
        """Return what the system's N qubits show, and whether it is a state of its own.

        Where they are entangled with the ancillas, only the chance of each component is known:
        then the values are its square roots, without a sign.
        """
        state = self.amplitudes @ vectors.T
        rows = np.linalg.norm(state, axis=1)
        if np.linalg.svd(state, compute_uv=False)[1:].max(initial=0.0) > 1e-9:
            return np.linalg.norm(state, axis=0), False
        # Every row is one real vector, times an amplitude that is positive where it is largest.
        return state[np.argmax(rows)].real / rows.max() * np.linalg.norm(rows), True


def packed(amplitudes: Complex) -> str:
    """Return amplitudes of at most 1 as base64 of pairs of 16-bit integers, real part first."""
    pairs = np.stack([amplitudes.real, amplitudes.imag], axis=-1)
    numbers = np.rint(np.clip(pairs, -1.0, 1.0) * _STEPS).astype("<i2")
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def unpacked(text: str, columns: int) -> Complex:
    """Return what :func:`packed` was given, to 2·10⁻⁵, with so many columns."""
    numbers = np.frombuffer(base64.b64decode(text), dtype="<i2").reshape(
        -1, columns, 2
    )
    return (numbers[..., 0] + 1j * numbers[..., 1]) / _STEPS
