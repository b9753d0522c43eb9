"""What a Lanczos tridiagonal tells about the spectrum of A, and what it guarantees."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eig_banded, eigh_tridiagonal

from qnewton.survey.tridiagonal import Tridiagonal, Vector

FAILURE_PROBABILITY = 1e-6
"""Chance, over the random start, that a probabilistic end of a bracket is wrong."""


@dataclass(frozen=True)
class RitzPair:
    """A Ritz value θ with its residual r = ‖Ay - θy‖: some eigenvalue lies within r of θ.

    Attributes:
        value: θ.
        residual: r.
        gap: Distance to the nearest other Ritz value; 0 when there is none to tell.
    """

    value: float
    residual: float
    gap: float

    @property
    def reach(self) -> float:
        """Return ‖Ay‖ = √(θ² + r²) for the unit Ritz vector y, which is at least min|λ|."""
        return math.hypot(self.value, self.residual)

    def converged(self, tolerance: float) -> bool:
        """Return whether min(r, r²/gap) ≤ tolerance·|θ|.

        The error r²/gap is the Kato-Temple bound where the gap is one of the spectrum; between
        Ritz values it is an estimate.
        """
        error = self.residual
        if self.gap > 0.0:
            error = min(error, error**2 / self.gap)
        return error <= tolerance * abs(self.value)


@dataclass(frozen=True)
class RitzEnds:
    """The Ritz pairs that estimate the ends of the spectrum of |A|.

    Attributes:
        lowest: The smallest Ritz value.
        highest: The largest Ritz value.
        nearest: The pair with the smallest ‖Ay‖: ``lowest`` or ``highest`` of a matrix that
            looks definite, else one beside zero.
    """

    lowest: RitzPair
    highest: RitzPair
    nearest: RitzPair

    @property
    def farthest(self) -> RitzPair:
        """Return the pair of largest |θ|."""
        return max(self.lowest, self.highest, key=lambda pair: abs(pair.value))

    def converged(self, tolerance: float) -> bool:
        """Return whether both ends of |A| look good to ``tolerance``, a quarter of it each.

        Half would do if the error estimates were bounds.
        """
        return self.farthest.converged(tolerance / 4) and self.nearest.converged(tolerance / 4)

    @property
    def one_sign(self) -> bool:
        """Whether every Ritz value has the same sign, as they must for a definite matrix."""
        return self.lowest.value > 0.0 or self.highest.value < 0.0


def ritz_ends(tridiagonal: Tridiagonal) -> RitzEnds:
    """Return the Ritz pairs at the ends of the spectrum: O(k), or O(k²) if T_k is indefinite."""
    last = tridiagonal.products - 1
    lowest = _pairs(tridiagonal, 0, min(1, last))[0]
    highest = _pairs(tridiagonal, max(last - 1, 0), last)[-1]
    if lowest.value > 0.0 or last == 0:
        return RitzEnds(lowest, highest, lowest)
    if highest.value < 0.0:
        return RitzEnds(lowest, highest, highest)
    # Beside zero: of the two Ritz values on each side, one may be passing through the gap, with a
    # residual that tells.
    crossing = int(np.searchsorted(ritz_values(tridiagonal), 0.0))
    beside = _pairs(tridiagonal, max(crossing - 2, 0), min(crossing + 1, last))
    return RitzEnds(lowest, highest, min(beside, key=lambda pair: pair.reach))


def ritz_values(tridiagonal: Tridiagonal) -> Vector:
    """Return all k Ritz values, ascending: O(k²)."""
    if tridiagonal.products == 1:
        return tridiagonal.alphas
    values = eigh_tridiagonal(tridiagonal.alphas, tridiagonal.betas[:-1], eigvals_only=True)
    return np.asarray(values)


def _pairs(tridiagonal: Tridiagonal, first: int, last: int) -> list[RitzPair]:
    alphas, betas = tridiagonal.alphas, tridiagonal.betas
    if tridiagonal.products == 1:
        return [RitzPair(float(alphas[0]), float(betas[0]), 0.0)]
    values, vectors = eigh_tridiagonal(alphas, betas[:-1], select="i", select_range=(first, last))
    residuals = betas[-1] * np.abs(vectors[-1])
    spacings = np.concatenate([[np.inf], np.diff(values), [np.inf]])
    gaps = np.minimum(spacings[:-1], spacings[1:])
    return [
        RitzPair(float(value), float(residual), float(gap))
        for value, residual, gap in zip(values, residuals, gaps, strict=True)
    ]


def extreme_singular_values(tridiagonal: Tridiagonal) -> tuple[float, float]:
    """Return σ_1 and σ_k of the (k+1) × k tridiagonal [T_k; β_k e_kᵀ]: O(k²).

    They are the largest and smallest ‖Ay‖ over unit vectors y of the Krylov space, so that
    σ_max(A) ≥ σ_1 and σ_min(A) ≤ σ_k for any symmetric A.
    """
    k = tridiagonal.products
    # Eigenvalues ±σ_i and 0 of [[0, T], [Tᵀ, 0]], its rows and columns shuffled into a band of
    # three, which keeps the small ones as accurate as the large: row i of T goes to 2i, column i
    # to 2i + 1.
    band = np.zeros((4, 2 * k + 1))
    band[1, 0::2][:k] = tridiagonal.alphas
    band[1, 1::2] = tridiagonal.betas
    band[3, 0::2][: k - 1] = tridiagonal.betas[:-1]
    smallest, largest = (
        float(eig_banded(band, lower=True, eigvals_only=True, select="i", select_range=(i, i))[0])
        for i in (k + 1, 2 * k)
    )
    return largest, max(smallest, 0.0)


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
    """Bound the spectrum of A by its Lanczos polynomial.

    With p_k the characteristic polynomial of T_k, p_k(A) v_1 = β_1⋯β_k v_{k+1}; hence
    |p_k(λ)|·|uᵀv_1| ≤ β_1⋯β_k for every eigenpair (λ, u). A given u meets a uniformly random v_1
    with |uᵀv_1| ≥ t but for a probability of at most t√(2n/π), so the eigenvalues next to and
    farthest from zero all lie where |p_k| ≤ β_1⋯β_k/t. Products are taken as exact up to
    ``rounding``, by which the bounds are widened.

    Reference: van Dorsselaer, Hochstenbach, van der Vorst, SIAM J. Matrix Anal. Appl. 22 (2000)
    837, for the ends of the spectrum; the same inequality serves around zero.
    """
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
