"""The closed form of the optimal polynomial for 1/x, and its height: numbers or arrays."""

from functools import lru_cache

import numpy as np

from qnewton.queries.arrays import Array, Numbers, highest
from qnewton.queries.degrees import log_ratio

_SMALL_KAPPA, _LARGE_KAPPA = 20.0, 1e100


def polynomial_height(kappa: Numbers, n: Numbers) -> Array:
    """Return max |P| over [-1, 1] of the optimal polynomial of degree 2n - 1, κ where n is 1.

    A circuit can only apply P over its height, so that an attempt succeeds with (gain/height)².
    It is about 0.45·κ·√ln(κ/ε).

    Args:
        kappa: κ ≥ 1, a number or an array.
        n: From the degree, at least 1; broadcast with κ.

    Returns:
        An array of their common shape.

    Cost:
        About 12 evaluations of the polynomial; 25 where κ is below 20.

    Reference:
        Sünderhauf et al., arXiv:2507.15537, as transcribed.

    Example:
        >>> round(float(polynomial_height(1e3, 5757)) / 1e3, 2)
        1.61
    """
    kappa, n = np.broadcast_arrays(
        np.asarray(kappa, dtype=np.float64), np.asarray(n, dtype=np.float64)
    )
    # Beyond any κ of use the height over κ depends on n/κ alone, and κ² would overflow.
    least = np.minimum(kappa, _LARGE_KAPPA)
    n = np.where(kappa > least, n / kappa * least, n)
    found = np.array(kappa)
    for small in (False, True):
        chosen = (n > 1.0) & ((kappa < _SMALL_KAPPA) == small)
        if chosen.any():
            scale = kappa[chosen] / least[chosen]
            found[chosen] = scale * _height(least[chosen], n[chosen], small)
    return found


def _height(kappa: Array, n: Array, small: bool) -> Array:
    def over_kappa(q: Array) -> Array:
        return closed_form(np.minimum(q / kappa, 1.0), kappa, n) / kappa

    # x = q/κ at the top depends on n·t alone for large κ; it moves up to twice that at κ = 1.
    start = np.interp(np.log(n * log_ratio(kappa)), *_tops())
    width = 0.02
    if small:
        shares = np.linspace(0.95, 2.0, 15)
        values = over_kappa(np.multiply.outer(shares, start))
        start, width = start * shares[np.argmax(values, axis=0)], 0.06
    return kappa * np.maximum(highest(over_kappa, start, width)[0], over_kappa(kappa))


@lru_cache(maxsize=1)
def _tops() -> tuple[Array, Array]:
    """Return ln(n·t) and the κ·x at which P is highest for large κ."""
    powers = np.geomspace(0.5, 2000.0, 400)[:, None]
    q = np.linspace(0.0, 1.0, 4001)[1:]
    s = np.sqrt((1.0 - q) * (1.0 + q))
    # 1 - L(z)/L(z₀) for κ → ∞ with N = n·t: L(z)/L(z₀) = [cosh(Ns) + s·sinh(Ns)]·e^{-N}.
    rising, falling = np.exp(powers * (s - 1.0)), np.exp(-powers * (s + 1.0))
    heights = (1.0 - 0.5 * ((1.0 + s) * rising + (1.0 - s) * falling)) / q
    return np.log(powers[:, 0]), q[np.argmax(heights, axis=1)]


def closed_form(x: Numbers, kappa: Numbers, n: Numbers) -> Array:
    """Return the optimal P(x) of degree 2n - 1, n ≥ 2, without its coefficients."""
    # With e^t = (κ+1)/(κ-1), L(z₀) = (-1)ⁿ e^{nt}(1 - e^{-2t})/2. For |x| ≤ 1/κ write z = -cosh s
    # and d = t - s; then 1 - L(z)/L(z₀) is 1 - e^{-nd} + (e^{-nd-2t}(e^d - 1) - e^{-n(2t-d)}(1 -
    # e^{-d}))/(1 - e^{-2t}): no term overflows, and d ∝ x² is found without subtracting s from t.
    # Beyond, z = -cos ψ and L(z) oscillates.
    # Derived here from L's definition.
    points = np.asarray(x, dtype=np.float64)
    return closed_form_beside(points, np.sqrt((1.0 - points) * (1.0 + points)), kappa, n)


def closed_form_beside(points: Array, complement: Array, kappa: Numbers, n: Numbers) -> Array:
    """Return ``closed_form`` given √(1 - x²) beside x."""
    kappa, n = np.asarray(kappa, dtype=np.float64), np.asarray(n, dtype=np.float64)
    points, complement, kappa, n = np.broadcast_arrays(points, complement, kappa, n)
    size = np.abs(points)
    q = kappa * size
    inside = q <= 1.0
    one_minus_ratio = np.empty_like(size)
    one_minus_ratio[inside] = _in_gap(q[inside], kappa[inside], n[inside])
    out = ~inside
    one_minus_ratio[out] = _beyond_gap(q[out], complement[out], kappa[out], n[out])
    return np.divide(one_minus_ratio, points, out=np.zeros_like(size), where=points != 0.0)


def _in_gap(q: Array, kappa: Array, n: Array) -> Array:
    t = log_ratio(kappa)
    u2 = 1.0 / ((kappa - 1.0) * (kappa + 1.0))  # a²/(1-a²), sinh²(t/2)
    v2 = u2 * (1.0 - q) * (1.0 + q)  # sinh²(s/2)
    denominator = np.sqrt(u2 * (1.0 + v2)) + np.sqrt(v2 * (1.0 + u2))
    d = 2.0 * np.arcsinh(u2 * q**2 / denominator)
    span = -np.expm1(-2.0 * t)
    small = np.exp(-n * d - 2.0 * t) * np.expm1(d) + np.exp(-n * (2.0 * t - d)) * np.expm1(-d)
    return -np.expm1(-n * d) + small / span


def _beyond_gap(q: Array, complement: Array, kappa: Array, n: Array) -> Array:
    t = log_ratio(kappa)
    u2 = 1.0 / ((kappa - 1.0) * (kappa + 1.0))
    sine_half = np.sqrt(u2 * (q - 1.0) * (q + 1.0))
    cosine_half = complement * np.sqrt(1.0 + u2)  # √((1-x²)/(1-a²))
    psi = 2.0 * np.arctan2(sine_half, cosine_half)
    slow = -np.expm1(-t) + 2.0 * np.exp(-t) * sine_half**2  # 1 - e^{-t} cos ψ
    oscillation = slow * np.cos(n * psi) - np.exp(-t) * np.sin(n * psi) * np.sin(psi)
    return 1.0 + 2.0 * np.exp(-n * t) / np.expm1(-2.0 * t) * oscillation
