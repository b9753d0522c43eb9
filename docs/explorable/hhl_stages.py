"""HHL's whole state after each of its stages, evaluated on A's eigenvectors.

Along one eigenvector A is a number, so that every gate acts on the clock and the flag alone. The
last stage is what ``emulate`` returns and what the circuit leaves; a test says so at every stop.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from docs.explorable.register import Array, Stage
from qnewton.solvers.quantum.hhl import HHL


def hhl_stages(solver: HHL, values: Array, weights: Array) -> list[Stage]:
    """Return the state after each of seven stages, the clock's M values as rows.

    They are: b is loaded; the clock is spread; A turns the phases; the Fourier transform reads the
    eigenvalues; the flag is turned by C/λ; the clock is undone; flag and clock are measured.

    Args:
        solver: Holds M, t and C; its window is uniform.
        values: A's eigenvalues λ, in the solver's units.
        weights: β = Vᵀb̂.
    """
    size, root = solver.size, np.sqrt(solver.size)
    loaded = np.zeros((size, len(weights)), dtype=np.complex128)
    loaded[0] = weights
    spread = solver.amplitudes[:, None] * weights.astype(np.complex128)
    turns = np.exp(1j * solver.time * np.outer(np.arange(size), values))
    turned = turns * spread
    # The inverse Fourier transform of the clock: e^{-2πikτ/M}/√M.
    read = np.fft.fft(turned, axis=0) / root
    rotations = solver.rotations()[:, None]
    up, down = rotations * read, np.sqrt(1.0 - rotations**2) * read

    def undone(part: NDArray[np.complex128]) -> NDArray[np.complex128]:
        back = np.fft.ifft(part, axis=0) * root * turns.conj()
        return hadamard(size) @ back / root

    up_again, down_again = undone(up), undone(down)
    left = np.zeros_like(loaded)
    left[0] = up_again[0] / np.linalg.norm(up_again[0])
    return [
        Stage(loaded),
        Stage(spread),
        Stage(turned),
        Stage(read),
        Stage(up, down),
        Stage(up_again, down_again),
        Stage(left),
    ]
