"""What a Lanczos tridiagonal tells about the spectrum of A: Ritz pairs, singular values, κ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eig_banded, eigh_tridiagonal

from qnewton.operators.lanczos import Tridiagonal, Vector
from qnewton.records import Estimate


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
        """Return whether min(r, r²/gap) ≤ tolerance·|θ|."""
        # The error r²/gap is the Kato-Temple bound where the gap is one of the spectrum; between
        # Ritz values it is an estimate.
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
        """Return whether both ends of |A| look good to ``tolerance``, a quarter of it each."""
        # Half would do if the error estimates were bounds.
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
    return _eigenvalues(tridiagonal.alphas, tridiagonal.betas[:-1])


def _eigenvalues(diagonal: Vector, off: Vector) -> Vector:
    if len(diagonal) == 1:
        return diagonal
    return np.asarray(eigh_tridiagonal(diagonal, off, eigvals_only=True))


def ritz_vectors(tridiagonal: Tridiagonal) -> tuple[Vector, Vector]:
    """Return all k Ritz values, ascending, and their vectors in the basis as columns: O(k³)."""
    if tridiagonal.products == 1:
        return tridiagonal.alphas, np.ones((1, 1))
    values, vectors = eigh_tridiagonal(tridiagonal.alphas, tridiagonal.betas[:-1])
    return np.asarray(values), np.asarray(vectors)


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
    """Return σ_1 and σ_k of the (k+1) × k tridiagonal [T_k; β_k e_kᵀ]: O(k²)."""
    # They are the largest and smallest ‖Ay‖ over unit vectors y of the Krylov space, so that
    # σ_max(A) ≥ σ_1 and σ_min(A) ≤ σ_k for any symmetric A.
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


def condition_seen_by_cg(steps: Sequence[float], ratios: Sequence[float]) -> Estimate | None:
    """Return θ_max/θ_min of the tridiagonal that conjugate gradients leaves.

    T_jj = 1/α_j + β_{j-1}/α_{j-1}, T_j,j+1 = √β_j/α_j. Ritz values lie inside the spectrum of a
    definite matrix, so the quotient is a lower bound in exact arithmetic; started at b, it shows
    the eigenvalues that matter to this right-hand side.

    Args:
        steps: The step lengths α_1 … α_k, positive.
        ratios: The β_1 … β_k (or one fewer).

    Returns:
        The estimate, its products the k of the run; ``None`` without a step.

    Cost: O(k²), the eigenvalues of T.

    Reference: Saad, Iterative Methods, 2nd ed., section 6.7.3.

    Example:
        >>> condition_seen_by_cg([0.5], []).value
        1.0
    """
    k = len(steps)
    if k == 0:
        return None
    alphas, betas = np.array(steps), np.array(ratios[: k - 1])
    if (betas < 0.0).any():
        return None  # rounding left no descent in the preconditioner's norm
    diagonal = 1.0 / alphas
    diagonal[1:] += betas / alphas[:-1]
    off = np.sqrt(betas) / alphas[:-1]
    if not (np.isfinite(diagonal).all() and np.isfinite(off).all()):
        return None
    values = _eigenvalues(diagonal, off)
    return _estimate("cg", k, float(values[-1]), float(values[0]))


def condition_seen_by_minres(diagonal: Sequence[float], off: Sequence[float]) -> Estimate | None:
    """Return σ_1/σ_k of the (k+1) × k tridiagonal of MINRES, a lower bound on max|λ|/min|λ|.

    Args:
        diagonal: α_1 … α_k.
        off: β_1 … β_k, below the diagonal.

    Returns:
        The estimate, its products the k of the run; ``None`` without a step.

    Cost: O(k²), the two singular values.

    Reference: Paige and Saunders, SIAM J. Numer. Anal. 12 (1975) 617.

    Example:
        >>> round(condition_seen_by_minres([3.0], [4.0]).value, 12)
        1.0
    """
    k = len(diagonal)
    if k == 0 or not np.isfinite([*diagonal, *off]).all():
        return None
    seen = Tridiagonal(np.array(diagonal), np.array(off), n=k, epsilon=0.0)
    return _estimate("minres", k, *extreme_singular_values(seen))


def condition_seen_by_lsmr(diagonal: Sequence[float], off: Sequence[float]) -> Estimate | None:
    """Return θ_max/θ_min of BᵀB + λI, B the bidiagonal matrix of a factor: a lower bound on κ.

    Args:
        diagonal: α_j² + β_{j+1}² + λ of k products.
        off: α_{j+1}·β_{j+1} beside them, of which the last is not read.

    Returns:
        The estimate, its products the k of the run; ``None`` without a step.

    Cost: O(k²), the eigenvalues of the tridiagonal.

    Reference: Fong and Saunders, SIAM J. Sci. Comput. 33 (2011) 2950, section 3.4.

    Example:
        >>> condition_seen_by_lsmr([5.0], [0.0]).value
        1.0
    """
    k = len(diagonal)
    if k == 0 or not np.isfinite([*diagonal, *off]).all():
        return None
    values = _eigenvalues(np.array(diagonal), np.array(off[: k - 1]))
    return _estimate("lsmr", k, float(values[-1]), float(values[0]))


def _estimate(method: str, products: int, largest: float, smallest: float) -> Estimate | None:
    if not smallest > 0.0 or not math.isfinite(largest / smallest):
        return None
    value = max(1.0, largest / smallest)
    return Estimate(
        value=value,
        low=value,
        high=None,
        method=method,
        products=products,
        low_certificate=f"Ritz values of {method} from the right-hand side, exact arithmetic",
    )
