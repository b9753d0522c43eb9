"""The condition number a Krylov solver has seen, from the Lanczos coefficients it made anyway."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from qnewton.records import Estimate


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
    diagonal = 1.0 / alphas
    diagonal[1:] += betas / alphas[:-1]
    off = np.sqrt(betas) / alphas[:-1]
    if not (np.isfinite(diagonal).all() and np.isfinite(off).all()):
        return None
    low, high = _ends(diagonal, off)
    return _estimate("cg", k, high / low if low > 0.0 else math.inf)


def condition_seen_by_minres(diagonal: Sequence[float], off: Sequence[float]) -> Estimate | None:
    """Return σ_1/σ_k of the (k+1) × k tridiagonal of MINRES, a lower bound on max|λ|/min|λ|.

    Args:
        diagonal: α_1 … α_k.
        off: β_1 … β_k, below the diagonal.

    Returns:
        The estimate, its products the k of the run; ``None`` without a step.

    Cost: O(k³) for the singular values: milliseconds at k = 300.

    Reference: Paige and Saunders, SIAM J. Numer. Anal. 12 (1975) 617.

    Example:
        >>> round(condition_seen_by_minres([3.0], [4.0]).value, 12)
        1.0
    """
    k = len(diagonal)
    if k == 0 or not np.isfinite([*diagonal, *off]).all():
        return None
    tall = np.zeros((k + 1, k))
    index = np.arange(k)
    tall[index, index] = diagonal
    tall[index + 1, index] = off
    tall[index[:-1], index[1:]] = off[:-1]
    values = np.linalg.svd(tall, compute_uv=False)
    return _estimate("minres", k, values[0] / values[-1] if values[-1] > 0.0 else math.inf)


def _ends(diagonal: np.ndarray, off: np.ndarray) -> tuple[float, float]:
    if len(diagonal) == 1:
        return float(diagonal[0]), float(diagonal[0])
    values = eigvalsh_tridiagonal(diagonal, off)
    return float(values[0]), float(values[-1])


def _estimate(method: str, products: int, value: float) -> Estimate | None:
    if not math.isfinite(value):
        return None
    value = max(1.0, float(value))
    return Estimate(
        value=value,
        low=value,
        high=None,
        method=method,
        products=products,
        low_certificate=f"Ritz values of {method} from the right-hand side, exact arithmetic",
    )
