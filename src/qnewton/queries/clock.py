"""The clock of HHL's phase estimation: how large it is, and what its evolutions query."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import jv

TURN = 0.9 * math.pi
"""‖A‖t that the clock is run at, where π is the most that tells signs apart."""


def clock_qubits(kappa: float, epsilon: float, turn: float = TURN) -> int:
    """Return m, at least 2, of a clock whose spacing 2π/(2^m·t) is at most ε·α/κ_be.

    Args:
        kappa: κ_be.
        epsilon: ε.
        turn: α·t.

    Example:
        >>> clock_qubits(1e3, 1e-2)
        18
    """
    return max(2, math.ceil(math.log2(2.0 * math.pi * kappa / (turn * epsilon))))


def rotation_constant(kappa: float, qubits: int, turn: float = TURN) -> float:
    """Return C/α of the rotation C/λ: the clock's spacing, or half of 1/κ_be where that is more.

    Example:
        >>> rotation_constant(1e3, 18)
        0.0005
    """
    return max(math.ldexp(2.0 * math.pi / turn, -qubits), 0.5 / kappa)


def clock_queries(qubits: int, epsilon: float, turn: float = TURN) -> int:
    """Return the calls of U_A of phase estimation and of undoing it, whose error is ε together.

    Each of the m evolutions of length 2^j·αt, and the same again backwards, is a Jacobi-Anger
    series with an error of ε/(2m), at two queries per term.

    Args:
        qubits: m.
        epsilon: ε.
        turn: αt.

    Reference: Motlagh and Wiebe, arXiv:2308.01501.

    Example:
        >>> clock_queries(18, 1e-2)
        2969688
    """
    share = epsilon / (2 * qubits)
    lengths = (math.ldexp(turn, j) for j in range(qubits))
    return 2 * sum(2 * jacobi_anger_terms(length, share) for length in lengths)


@lru_cache(maxsize=256)
def jacobi_anger_terms(length: float, epsilon: float) -> int:
    """Return the least R with 2 Σ_{j>R} |J_j(length)| ≤ ε: the degree of e^{ix·length} on [-1, 1].

    Example:
        >>> jacobi_anger_terms(10.0, 1e-6)
        22
    """
    wide = 20.0 * (length + 1.0) ** (1.0 / 3.0) + 40.0
    last = math.ceil(length + wide)
    # The orders above the length add up to 2/3, so that few of those below are ever needed.
    first = math.floor(length)
    while True:
        tails = 2.0 * np.cumsum(np.abs(jv(np.arange(last, first, -1), length)))
        # tails[i] is the sum over j ≥ last - i, and R must leave out j ≥ R + 1.
        terms = last - int(np.searchsorted(tails, epsilon, side="right"))
        if first == 0 or terms > first:
            return max(1, terms)
        first = max(0, first - (last - first))
