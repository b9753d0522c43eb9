"""What a Lanczos tridiagonal guarantees of the spectrum of A."""

import math
from dataclasses import dataclass

import numpy as np

from qnewton.operators.lanczos import Tridiagonal, Vector
from qnewton.operators.ritz import ritz_values

FAILURE_PROBABILITY = 1e-6
"""Chance, over the random start, that a probabilistic end of a bracket is wrong."""


@dataclass(frozen=True)
class SpectrumBounds:
    """Bounds that hold with probability 1 - 1e-6 over the start; ``None`` where there is none.

    Attributes:
        lowest: No eigenvalue is below it.
        highest: No eigenvalue is above it.
        smallest: Every |λ| is at least this; ``None`` if zero cannot be excluded.
    """

    lowest: float
    highest: float
    smallest: float | None


def spectrum_bounds(tridiagonal: Tridiagonal) -> SpectrumBounds:
    """Bound the spectrum of A by its Lanczos polynomial."""
    # With p_k the characteristic polynomial of T_k, p_k(A) v_1 = β_1⋯β_k v_{k+1}; hence
    # |p_k(λ)|·|uᵀv_1| ≤ β_1⋯β_k for every eigenpair (λ, u). A given u meets a uniformly random v_1
    # with |uᵀv_1| ≥ t but for a probability of at most t√(2n/π), so the eigenvalues next to and
    # farthest from zero all lie where |p_k| ≤ β_1⋯β_k/t. Products are taken as exact up to
    # ``rounding``, by which the bounds are widened.
    # Reference: van Dorsselaer, Hochstenbach, van der Vorst, SIAM J. Matrix Anal. Appl. 22 (2000)
    # 837, for the ends of the spectrum; the same inequality serves around zero.
    values = ritz_values(tridiagonal)
    first, last = float(values[0]), float(values[-1])
    rounding = tridiagonal.rounding
    if tridiagonal.complete:
        # There is no chance in a complete basis.
        smallest = float(np.abs(values).min()) - rounding
        return SpectrumBounds(first - rounding, last + rounding, smallest if smallest > 0 else None)
    # Four eigenvectors share the failure probability: both ends, and both neighbours of zero.
    overlap = FAILURE_PROBABILITY / 4.0 / math.sqrt(2.0 * tridiagonal.n / math.pi)
    floor = max(tridiagonal.ulp, np.finfo(np.float64).tiny)
    ceiling = float(np.log(np.maximum(tridiagonal.betas, floor)).sum()) - math.log(overlap)
    excluded = _Excluded(values, ceiling)
    lowest = excluded.beyond(first, -1.0) - rounding
    highest = excluded.beyond(last, 1.0) + rounding
    smallest = 0.0
    if first > 0.0:
        smallest = lowest
    elif last < 0.0:
        smallest = -highest
    elif excluded.at(np.zeros(1))[0]:
        # Between two Ritz values log|p_k| is concave, so the excluded points are one interval.
        right = excluded.edge(0.0, float(values[values > 0.0][0]))
        left = excluded.edge(0.0, float(values[values < 0.0][-1]))
        smallest = min(right, -left) - rounding
    return SpectrumBounds(lowest, highest, smallest if smallest > 0.0 else None)


@dataclass(frozen=True, eq=False)
class _Excluded:
    """The points where |p_k| is too large for an eigenvalue. Many are tried at once.

    Attributes:
        values: The Ritz values, the zeros of p_k.
        ceiling: log|p_k| above it excludes.
    """

    values: Vector
    ceiling: float

    def at(self, points: Vector) -> Vector:
        """Return which of the points are excluded."""
        distances = np.abs(self.values - points[:, None])
        with np.errstate(divide="ignore"):
            return np.log(distances).sum(axis=1) > self.ceiling

    def beyond(self, end: float, direction: float) -> float:
        """Return an excluded point near ``end``, looking outwards, where |p_k| only grows."""
        # From below the last place of the norm to where |p_k| exceeds any product of norms.
        norm = max(float(np.abs(self.values).max()), 1e-280)
        steps = norm * 2.0 ** np.arange(-75.0, 65.0)
        step = steps[int(np.argmax(self.at(end + direction * steps)))]
        return self.edge(end + direction * float(step), end)

    def edge(self, inside: float, outside: float) -> float:
        """Return the excluded point next to the boundary between the two, to 2⁻³⁰ of its place."""
        fractions = np.linspace(0.0, 1.0, 33)
        for _ in range(6):
            points = inside + (outside - inside) * fractions
            last = int(np.flatnonzero(self.at(points))[-1])
            inside, outside = float(points[last]), float(points[min(last + 1, 32)])
        return inside
