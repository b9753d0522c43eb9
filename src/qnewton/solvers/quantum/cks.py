"""The inverse polynomial of Childs, Kothari and Somma, which most resource estimates quote."""

import math
from dataclasses import replace

import numpy as np
from scipy.fft import dct

from qnewton.solvers.quantum.polynomials import (
    Array,
    InversePolynomial,
    refuse_degree,
    refuse_range,
)

_OVERSAMPLING = 16


def cks_degree(kappa: float, epsilon: float) -> int:
    """Return 2D + 1 with b = ⌈κ² ln(κ/ε)⌉ and D = ⌊√(b ln(4b/ε))⌋.

    Raises:
        ValueError: If κ or ε is out of range.

    Reference: Childs, Kothari, Somma, arXiv:1511.02306, Lemmas 17 to 19; FORMULAS 16.

    Example:
        >>> cks_degree(1e3, 1e-2)
        32011
    """
    return 2 * _sizes(kappa, epsilon)[1] + 1


def cks_polynomial(kappa: float, epsilon: float) -> InversePolynomial:
    """Return P(x) = 4 Σ_{j≤D} (-1)^j [2^{-2b} Σ_{i>j} C(2b, b+i)] T_{2j+1}(x).

    It is the Chebyshev series of (1 - (1-x²)^b)/x, cut after degree 2D + 1. Against the optimal
    polynomial it needs about three times the degree.

    Args:
        kappa: κ ≥ 1, the promise.
        epsilon: ε in (0, 1); the error is proven below 2ε and measured about ε at most.

    Returns:
        The polynomial; ``sup_norm`` and ``error_bound`` are measured on a grid of sixteen points
        a coefficient, not taken from the proof.

    Raises:
        ValueError: If κ or ε is out of range, or the degree would exceed ``MAX_DEGREE``.

    Cost: O(D log D).

    Reference: as ``cks_degree``.

    Example:
        >>> p = cks_polynomial(kappa=10.0, epsilon=1e-3)
        >>> p.degree, bool(abs(p.evaluate(0.1) - 10.0) <= 1e-3)
        (237, True)
    """
    b, d = _sizes(kappa, epsilon)
    refuse_degree(2 * d + 1, kappa, epsilon)
    signs = np.where(np.arange(d + 1) % 2 == 0, 4.0, -4.0)
    coefficients = signs * _binomial_tails(b, d + 1)
    coefficients.setflags(write=False)
    sup_norm, error = _measured(coefficients, kappa)
    polynomial = InversePolynomial(
        kappa=float(kappa),
        epsilon=float(epsilon),
        degree=2 * d + 1,
        sup_norm=sup_norm,
        error_bound=error,
        coefficients=coefficients,
        optimal=False,
    )
    # The error is largest at the very end of the promise, which the grid misses.
    at_end = abs(float(polynomial.evaluate(1.0 / kappa)) - kappa)
    return replace(polynomial, error_bound=max(error, at_end))


def _sizes(kappa: float, epsilon: float) -> tuple[int, int]:
    refuse_range(kappa, epsilon)
    b = math.ceil(kappa**2 * math.log(kappa / epsilon))
    return b, min(math.floor(math.sqrt(b * math.log(4.0 * b / epsilon))), b - 1)


def _binomial_tails(b: int, count: int) -> Array:
    """Return 2^{-2b} Σ_{i>j} C(2b, b+i) for j = 0 … count - 1."""
    # From ratios of neighbours, summed from the far end: nothing cancels. Ratios give the terms up
    # to one factor, which the sum over all i, which is 1, fixes.
    # exp(-i²/b) underflows at i = √(745 b); terms beyond could not change a bit.
    last = min(b, math.ceil(math.sqrt(750.0 * b)))
    i = np.arange(1, last + 1, dtype=np.float64)
    logs = np.cumsum(np.log1p(-(2.0 * i - 1.0) / (b + i)))
    terms = np.exp(logs)
    tails = np.cumsum(terms[::-1])[::-1]
    return tails[:count] / (1.0 + 2.0 * tails[0])


def _measured(coefficients: Array, kappa: float) -> tuple[float, float]:
    """Return max |P| over [0, 1] and max |P - 1/x| over [1/κ, 1], on a fine grid."""
    size = _OVERSAMPLING * len(coefficients)
    # P at x = sin of the same angles at which the optimal polynomial is sampled.
    padded = np.zeros(size)
    padded[: len(coefficients)] = coefficients
    values = np.asarray(dct(padded, type=4))[::-1] / 2.0
    x = np.sin(np.pi * np.arange(1, 2 * size, 2) / (4 * size))
    best = int(np.argmax(np.abs(values)))
    first, last = max(best - 4, 0), min(best + 5, size)
    # Nine points a thirtieth of the narrowest wave apart: the polynomial through them is P to
    # about 1e-12.
    window = np.linspace(-1.0, 1.0, last - first)
    local = np.polynomial.Polynomial.fit(window, np.abs(values[first:last]), last - first - 1)
    sup_norm = float(local(np.linspace(-1.0, 1.0, 2001)).max())
    inside = x >= 1.0 / kappa
    error = float(np.abs(values[inside] - 1.0 / x[inside]).max(initial=0.0))
    return max(sup_norm, float(np.abs(values).max())), error
