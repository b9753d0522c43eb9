"""QSVT's whole state after each of its stages and calls, evaluated on A's eigenvectors.

Along one eigenvector of A/α with eigenvalue x, a call of U_A is the reflection
[[x, √(1-x²)], [√(1-x²), -x]] of the ancilla. The branch qubit holds the sign of the phases.
"""

import numpy as np
from numpy.typing import NDArray

from docs.explorable.register import Array, Stage
from qnewton.solvers.quantum.circuits.phases import Phases
from qnewton.solvers.quantum.qsvt import QSVT


def call_states(
    phases: Phases, points: Array, weights: Array
) -> list[NDArray[np.complex128]]:
    """Return the branch with positive phases after 0, 1, … d calls, each of shape [2, N].

    The first row is where the ancilla holds 0. The other branch holds the complex conjugate.

    Args:
        phases: The angles of the sequence.
        points: x = λ/α.
        weights: β = Vᵀb̂.
    """
    off = np.sqrt((1.0 - points) * (1.0 + points))
    state = np.stack([weights, np.zeros_like(weights)]).astype(np.complex128)
    found = []
    # The rightmost factor acts first.
    for index, angle in enumerate(phases.angles[::-1]):
        if index:
            state = np.stack(
                [
                    points * state[0] + off * state[1],
                    off * state[0] - points * state[1],
                ]
            )
        state = np.exp(1j * angle * np.array([[1.0], [-1.0]])) * state
        found.append(state)
    return found


def qsvt_stages(
    solver: QSVT, phases: Phases, values: Array, weights: Array
) -> list[Stage]:
    """Return the state after each of six stages.

    They are: b is loaded; one call of U_A; the polynomial is chosen, which changes nothing; all d
    calls, in the branch of positive phases; both branches interfere, where all ways to fail are
    one row; ancilla and branch are measured.

    Args:
        solver: Holds P and α.
        phases: The angles of P/max|P|.
        values: A's eigenvalues λ, in the solver's units.
        weights: β = Vᵀb̂.
    """
    points = np.clip(values / solver.alpha, -1.0, 1.0)
    loaded = Stage(weights[None, :].astype(np.complex128))
    called = Stage(
        (points * weights)[None, :].astype(np.complex128),
        (np.sqrt(1.0 - points**2) * weights)[None, :].astype(np.complex128),
    )
    branch = np.exp(1j * phases.offset) * call_states(phases, points, weights)[-1]
    # The branch qubit's Hadamard gate adds both branches, and subtracts them where it ends in 1.
    up, down = branch.real, branch.imag
    left = up[:1] / np.linalg.norm(up[0])
    failed = np.sqrt(up[1] ** 2 + down[0] ** 2 + down[1] ** 2)
    return [
        loaded,
        called,
        loaded,
        Stage(branch[:1], branch[1:]),
        Stage(up[:1].astype(np.complex128), failed[None, :].astype(np.complex128)),
        Stage(left.astype(np.complex128)),
    ]
