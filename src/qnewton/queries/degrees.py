"""Degrees of the polynomials that stand for 1/x on [1/κ, 1]: how often QSVT calls its matrix."""

import math

import numpy as np

from qnewton.queries.arrays import Array, Numbers, check_all
from qnewton.records.messages import check


def inverse_degree(kappa: float, epsilon: float) -> int:
    """Return the least degree 2n - 1 of an odd polynomial within ε of 1/x on [1/κ, 1].

    n = ⌈ln((κ+1)/ε) / ln((κ+1)/(κ-1))⌉, and 1 where κ - 1 ≤ ε.

    Args:
        kappa: κ ≥ 1.
        epsilon: Largest absolute error, in (0, 1).

    Raises:
        ValueError: If κ or ε is out of range.

    Reference: Sünderhauf, arXiv:2507.15537, as transcribed.

    Example:
        >>> inverse_degree(1e3, 1e-2)
        11513
    """
    refuse_range(kappa, epsilon)
    return int(inverse_degrees(kappa, epsilon))


def inverse_degrees(kappa: Numbers, epsilon: Numbers) -> Array:
    """Return :func:`inverse_degree` of every κ and ε, broadcast, as float64.

    Raises:
        ValueError: If one is out of range.

    Cost: three logarithms per element.

    Example:
        >>> inverse_degrees(np.array([1.0, 1e3]), 1e-2)
        array([1.0000e+00, 1.1513e+04])
    """
    kappa = check_all("kappa", kappa, "must be finite and at least 1", 1.0, _MOST)
    epsilon = check_all("epsilon", epsilon, "must lie between 0 and 1", _LEAST, 1.0)
    linear = kappa - 1.0 <= epsilon
    t = log_ratio(np.where(linear, 3.0, kappa))
    n = np.ceil((np.log(kappa + 1.0) - np.log(epsilon)) / t)
    return np.where(linear, 1.0, 2.0 * np.maximum(n, 2.0) - 1.0)


_MOST = np.finfo(np.float64).max
_LEAST = 5e-324


def log_ratio(kappa: Numbers) -> Array:
    """Return t = ln((κ+1)/(κ-1))."""
    return np.log1p(2.0 / (np.asarray(kappa) - 1.0))


def cks_degree(kappa: float, epsilon: float) -> int:
    """Return 2D + 1 with b = ⌈κ² ln(κ/ε)⌉ and D = ⌊√(b ln(4b/ε))⌋.

    Raises:
        ValueError: If κ or ε is out of range.

    Reference: Childs, Kothari, Somma, arXiv:1511.02306, Lemmas 17 to 19.

    Example:
        >>> cks_degree(1e3, 1e-2)
        32011
    """
    return 2 * cks_sizes(kappa, epsilon)[1] + 1


def cks_sizes(kappa: float, epsilon: float) -> tuple[int, int]:
    """Return b and D of :func:`cks_degree`."""
    refuse_range(kappa, epsilon)
    b = math.ceil(kappa**2 * (math.log(kappa) - math.log(epsilon)))
    return b, min(math.floor(math.sqrt(b * (math.log(4 * b) - math.log(epsilon)))), b - 1)


def refuse_range(kappa: float, epsilon: float) -> None:
    """Raise ``ValueError`` for a κ or an ε that no inverse polynomial is for."""
    limits = "must be a finite number of at least 1, since it is alpha divided by the smallest"
    check("kappa", kappa, f"{limits} singular value", kappa >= 1.0)
    check("epsilon", epsilon, "must lie strictly between 0 and 1", 0.0 < epsilon < 1.0)
