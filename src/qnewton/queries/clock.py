"""The clock of HHL's phase estimation: how large it is, and what its evolutions query."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnewton.queries.arrays import Array, Numbers

TURN = 0.9 * math.pi
"""‖A‖t that the clock is run at, where π is the most that tells signs apart."""


def clock_qubits(kappa: Numbers, epsilon: Numbers, turn: float = TURN) -> Array:
    """Return m, at least 2, of a clock whose spacing 2π/(2^m·t) is at most ε·α/κ_be.

    Args:
        kappa: κ_be.
        epsilon: ε.
        turn: α·t.

    Example:
        >>> float(clock_qubits(1e3, 1e-2))
        18.0
    """
    needed = math.log2(2.0 * math.pi / turn) + np.log2(kappa) - np.log2(epsilon)
    return np.maximum(2.0, np.ceil(needed))


def rotation_constant(kappa: float, qubits: int, turn: float = TURN) -> float:
    """Return C/α of the rotation C/λ: the clock's spacing, or half of 1/κ_be where that is more.

    With the clock of :func:`clock_qubits` it is half of 1/κ_be.

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


def clocks_queries(qubits: Array, epsilon: Numbers) -> Array:
    """Return :func:`clock_queries` of every m and ε, at α·t = :data:`TURN`.

    Args:
        qubits: m, whole numbers.
        epsilon: ε in (0, 0.5], broadcast with m.

    Cost: a look into a table per element; the table of an m takes a tenth of a second once.

    Example:
        >>> clocks_queries(np.array([18.0, 2.0]), 1e-2)
        array([2.969688e+06, 7.200000e+01])
    """
    qubits, epsilon = np.broadcast_arrays(qubits, np.asarray(epsilon, dtype=np.float64))
    found = np.empty(qubits.shape)
    for m in np.unique(qubits):
        chosen = qubits == m
        least, tails = _tails_of_all(min(int(m), _COUNTED))
        share = epsilon[chosen] / (2.0 * m)
        terms = least + len(tails) - np.searchsorted(tails, share, side="right")
        found[chosen] = 4.0 * (terms + _longer(int(m), share))
    return found


_COUNTED = 26
"""Evolutions whose orders are counted one by one; longer ones follow from Airy's function."""


@lru_cache(maxsize=64)
def _tails_of_all(qubits: int) -> tuple[float, Array]:
    """Return Σ_j R_j of the fewest terms looked at, and every tail above, ascending."""
    # R_j is the fewest plus how many of its tails are above the share: the tails of all
    # evolutions, sorted together, answer for their sum.
    starts, tails = zip(*(_tails(math.ldexp(TURN, j)) for j in range(qubits)), strict=True)
    return float(sum(starts)), np.sort(np.concatenate(tails))


@lru_cache(maxsize=64)
def _tails(length: float) -> tuple[int, Array]:
    """Return an R, at least 1, and 2 Σ_{j>r} |J_j(length)| for r = R, R + 1, …, to nothing."""
    first = max(1, math.floor(length))
    last = math.ceil(length + _width(length))
    tails = 2.0 * np.cumsum(np.abs(_bessel(np.arange(last, first, -1), length)))[::-1]
    return first, tails


def _longer(qubits: int, share: Array) -> Array:
    """Return Σ_j R_j of the evolutions beyond :data:`_COUNTED`: L + (L/2)^{1/3}·ζ, L = 2^j·αt.

    2 Σ_{j>R} J_j(L) → 2 ∫_ζ^∞ Ai at R = L + (L/2)^{1/3}·ζ, which holds to 1e-5 of R - L here.
    """
    if qubits <= _COUNTED:
        return np.zeros_like(share)
    powers = np.arange(_COUNTED, qubits, dtype=np.float64)
    lengths = TURN * np.exp2(powers)
    log_tail, zeta = _airy_tails()
    places = np.interp(-np.log(share), log_tail, zeta)
    return np.sum(lengths) + np.sum(np.cbrt(lengths / 2.0)) * places + len(powers)


@lru_cache(maxsize=1)
def _airy_tails() -> tuple[Array, Array]:
    """Return -ln 2∫_ζ^∞ Ai, ascending, and ζ."""
    from scipy.special import airy  # loaded where HHL is counted, and by nobody else

    zeta = np.linspace(0.0, 30.0, 30_001)
    values = airy(zeta)[0]
    steps = (values[1:] + values[:-1]) * (zeta[1] - zeta[0])  # twice the trapezia
    tails = np.cumsum(np.append(steps, 0.0)[::-1])[::-1]
    return -np.log(tails[:-1]), zeta[:-1]


def _width(length: float) -> float:
    return 20.0 * (length + 1.0) ** (1.0 / 3.0) + 40.0


def _bessel(orders: NDArray[Any], length: float) -> Array:
    from scipy.special import jv  # loaded where HHL is counted, and by nobody else

    return np.asarray(jv(orders, length))


@lru_cache(maxsize=256)
def jacobi_anger_terms(length: float, epsilon: float) -> int:
    """Return the least R with 2 Σ_{j>R} |J_j(length)| ≤ ε: the degree of e^{ix·length} on [-1, 1].

    Example:
        >>> jacobi_anger_terms(10.0, 1e-6)
        22
    """
    last = math.ceil(length + _width(length))
    # The orders above the length add up to 2/3, so that few of those below are ever needed.
    first = math.floor(length)
    while True:
        tails = 2.0 * np.cumsum(np.abs(_bessel(np.arange(last, first, -1), length)))
        # tails[i] is the sum over j ≥ last - i, and R must leave out j ≥ R + 1.
        terms = last - int(np.searchsorted(tails, epsilon, side="right"))
        if first == 0 or terms > first:
            return max(1, terms)
        first = max(0, first - (last - first))
