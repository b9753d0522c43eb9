"""Phase angles for polynomials that reach ±1, the inverse's and the kernel filter's.

A sequence of phases block-encodes the polynomial f where a second polynomial a completes it,
|a|² + f² = 1 on the circle w = e^{2iθ}, x = cos θ. Where f reaches ±1, a has zeros on the circle
itself, at which iterations and transforms that know nothing of them slow down or fail. They are
known here: a is a polynomial with just these zeros, times the outer function of what is left,
whose logarithm is smooth. Stripping one factor after the other off (a, f) then gives the angles.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnewton.queries.polynomials import InversePolynomial
from qnewton.records import Outcome
from qnewton.solvers.quantum.dalzell import KernelFilter
from qnewton.solvers.quantum.promise import SystemRefused

Array = NDArray[np.float64]
Complex = NDArray[Any]

# Both are functions of t = 2θ at the points of a grid: |a|² over the known zeros' share of it,
# and the polynomial in w with these zeros.
Split = Callable[[Array], tuple[Array, Complex]]


@dataclass(frozen=True, eq=False)
class Phases:
    """The angles of a sequence with reflections, R(x) = [[x, √(1-x²)], [√(1-x²), -x]].

    f(x) = Re[e^{i·offset} ⟨0|e^{iφ_0 Z} R e^{iφ_1 Z} R … e^{iφ_d Z}|0⟩].

    Attributes:
        angles: φ, shape [d + 1].
        offset: A phase of the whole sequence.
    """

    angles: Array
    offset: float


def inverse_phases(polynomial: InversePolynomial) -> Phases:
    """Return the angles for P/max|P|, P odd.

    Raises:
        SystemRefused: If |P| comes to its maximum more than once on [0, 1].

    Cost: 2d² operations and Fourier transforms of some tens of d points; at degree
    10,001 a fifth of a second, and an error of 4e-13.

    Example:
        >>> from qnewton.solvers.quantum import inverse_polynomial
        >>> inverse_phases(inverse_polynomial(kappa=2.0, epsilon=0.1)).angles.shape
        (8,)
    """
    half = polynomial.coefficients / (2.0 * polynomial.sup_norm)
    laurent = np.concatenate([half[::-1], half])
    peak, top = _peak(polynomial)
    laurent /= top / polynomial.sup_norm

    def split(t: Array) -> tuple[Array, Complex]:
        f, x, w = _on_circle(laurent, t), np.cos(t / 2.0), np.exp(1j * t)
        rest = (1.0 - f) * (1.0 + f)
        if peak == 1.0:
            return rest / (4.0 * (1.0 - x) * (1.0 + x)), 1.0 - w
        turn = np.exp(2j * math.acos(peak))
        share = 16.0 * ((x - peak) * (x + peak)) ** 2
        return rest / share, (1.0 - turn * w) * (1.0 - turn.conjugate() * w)

    return _phases(laurent, split)


@lru_cache(maxsize=8)
def kernel_phases(kernel: KernelFilter) -> Phases:
    """Return the angles for K, of degree 2ℓ. Cost: as :func:`inverse_phases`.

    K = 2r² - 1 and 1 - K² = 4r²(1 - r²), for the filter's root r. All zeros of r lie on the circle,
    and so does that of 1 - r², at x = 0.
    """

    def split(t: Array) -> tuple[Array, Complex]:
        r = kernel.root_of_squares(np.cos(t / 2.0) ** 2)
        # r is a polynomial in sin θ, which is real in w once it is turned.
        turned = np.exp(0.5j * kernel.degree * t) * (1j if kernel.degree % 2 else 1.0)
        known = 2.0 * r * turned * (1.0 + np.exp(1j * t))
        return (1.0 - r) * (1.0 + r) / _share_of_minus_one(t), known

    return _phases(_laurent(kernel.of_squares, kernel.degree), split)


@lru_cache(maxsize=8)
def projector_phases(kernel: KernelFilter) -> Phases:
    """Return the angles for (K + 1)/2 = r², of degree 2ℓ; see :func:`kernel_phases`."""

    def values(squares: Array) -> Array:
        return kernel.root_of_squares(squares) ** 2

    def split(t: Array) -> tuple[Array, Complex]:
        f = values(np.cos(t / 2.0) ** 2)
        return (1.0 - f) * (1.0 + f) / _share_of_minus_one(t), 1.0 + np.exp(1j * t)

    return _phases(_laurent(values, kernel.degree), split)


def _share_of_minus_one(t: Array) -> Array:
    """Return |1 + w|² = 4cos²(t/2)."""
    return 4.0 * np.cos(t / 2.0) ** 2


def _laurent(values: Callable[[Array], Array], degree: int) -> Array:
    """Return the coefficients of w^-ℓ … w^ℓ of a function of x², a polynomial of degree ℓ in it."""
    size = 2 * degree + 2
    t = 2.0 * math.pi * np.arange(size) / size
    found = np.fft.fft(values(np.cos(t / 2.0) ** 2)).real / size
    return np.concatenate([found[-degree:], found[: degree + 1]])


def _peak(polynomial: InversePolynomial) -> tuple[float, float]:
    """Return where |P| is largest on [0, 1], to rounding, and its value."""
    count = 16 * (polynomial.degree + 1)
    x = np.sin(0.5 * math.pi * np.arange(count + 1) / count)
    best = int(np.argmax(np.abs(polynomial.at(x))))
    if best == count:
        return 1.0, abs(float(polynomial.evaluate(1.0)))
    place, width = x[best], x[best] - x[best - 1]
    local = np.linspace(-3.0, 3.0, 9)
    for _ in range(3):
        # The polynomial through nine points is P to rounding; its slope vanishes at the peak.
        fit = np.polynomial.Polynomial.fit(local, polynomial.evaluate(place + width * local), 8)
        roots = fit.deriv().roots()
        roots = roots[np.abs(roots.imag) < 1e-9].real
        place += width * roots[np.argmin(np.abs(roots))]
    return float(place), abs(float(polynomial.evaluate(place)))


def _on_circle(laurent: Array, t: Array) -> Array:
    """Return f at w = e^{it} for the midpoints t of an even grid, longer than ``laurent``."""
    size, centre = len(t), (len(laurent) - 1) / 2.0
    k = np.arange(len(laurent))
    padded = np.zeros(size, dtype=np.complex128)
    padded[: len(laurent)] = laurent * np.exp(1j * math.pi * k / size)
    return (np.fft.ifft(padded) * size * np.exp(-1j * centre * t)).real


_OVERSAMPLING = 16
_MOST_OVERSAMPLING = 512
_TAIL = 1e-13
_MOST_TAIL = 1e-10


def _phases(laurent: Array, split: Split) -> Phases:
    n = len(laurent)
    wx = _stripped(np.real(completed(n, split)), laurent)
    # R(x) = -i e^{iπZ/4} W(x) e^{iπZ/4} for the W(x) = e^{i arccos(x) X} of the angles; f is the
    # imaginary part there.
    angles = wx - math.pi / 2.0
    angles[[0, -1]] += math.pi / 4.0
    angles.setflags(write=False)
    return Phases(angles, (n - 1) * math.pi / 2.0 - math.pi / 2.0)


def completed(n: int, split: Split) -> Complex:
    """Return the n coefficients of a, whose |a|² ``split`` tells.

    Raises:
        SystemRefused: If a has more coefficients, or |a|² is not positive beside its known zeros.

    Cost: Fourier transforms of 16n points, and of more where the logarithm is less smooth.
    """
    size = 1 << (_OVERSAMPLING * n - 1).bit_length()
    a, tail = _completion(n, size, split)
    while not tail <= _TAIL and size < _MOST_OVERSAMPLING * n:
        size *= 2
        a, tail = _completion(n, size, split)
    if not tail <= _MOST_TAIL:
        message = f"no phase angles were found: the polynomial is completed to {tail:.1e}"
        raise SystemRefused(Outcome.NOT_CONVERGED, message, f"completed to {tail:.1e}")
    return a


def _completion(n: int, size: int, split: Split) -> tuple[Complex, float]:
    """Return a's n coefficients, and the largest one behind them, which should be none."""
    k = np.arange(size)
    t = 2.0 * math.pi * (k + 0.5) / size
    rest, known = split(t)
    if not (rest > 0.0).all():
        return np.zeros(n), math.inf
    # log a is half of log|a|² and its conjugate function: its own series has powers k ≥ 0 only.
    shift = np.exp(1j * math.pi * k / size)
    series = np.fft.fft(np.log(rest)) / size / shift
    series[size // 2 :] = 0.0
    series[0] /= 2.0
    outer = np.exp(np.fft.ifft(series * shift) * size)
    found = np.fft.fft(outer * known) / size / shift
    return found[:n], float(np.abs(found[n : size // 2]).max())


def _stripped(a: Array, f: Array) -> Array:
    """Return the angles whose tangents are the nonlinear Fourier coefficients of (a, f)."""
    count = len(f)
    angles = np.empty(count)
    for k in range(count):
        angle = math.atan2(f[0], a[0])
        cosine, sine = math.cos(angle), math.sin(angle)
        a, f = (cosine * a + sine * f)[: len(f) - 1], (cosine * f - sine * a)[1:]
        angles[k] = angle
    return angles
