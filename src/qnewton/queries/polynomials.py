"""The polynomial a quantum linear solver applies in place of 1/x, and what it costs.

Everything is computed from the closed form of the optimal polynomial with logarithms and
``expm1``: nothing overflows and nothing cancels, so the coefficients keep full precision up to
``MAX_DEGREE``.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import dct

from qnewton.queries.arrays import Array
from qnewton.queries.degrees import inverse_degree, log_ratio
from qnewton.queries.heights import closed_form, closed_form_beside, polynomial_height

MAX_DEGREE = 1_000_000
"""Largest degree built: the range the numerics were checked in."""


@dataclass(frozen=True, kw_only=True)
class InversePolynomial:
    """An odd polynomial P close to 1/x on 1/κ ≤ |x| ≤ 1, as Chebyshev coefficients.

    P(x) = Σ_j ``coefficients[j]`` · T_{2j+1}(x).

    Attributes:
        kappa: κ, the promise: P stands for 1/x where |x| ≥ 1/κ.
        epsilon: The error that was asked for.
        degree: Degree of P, the number of queries to the block-encoding.
        sup_norm: max |P| over [-1, 1]: a circuit can only apply P / sup_norm.
        error_bound: max |P(x) - 1/x| over 1/κ ≤ |x| ≤ 1, at most ``epsilon``.
        coefficients: The (degree + 1) / 2 odd Chebyshev coefficients, float64.
        optimal: Whether it is the polynomial of least degree, which has a closed form.

    Example:
        >>> inverse_polynomial(kappa=1e3, epsilon=1e-2).degree
        11513
    """

    kappa: float
    epsilon: float
    degree: int
    sup_norm: float
    error_bound: float
    coefficients: Array = field(repr=False, compare=False)
    optimal: bool = True

    def at(self, x: ArrayLike) -> Array:
        """Return P(x) by the closed form where there is one, else as ``evaluate`` does.

        Args:
            x: Points, any shape; rounding beyond ±1 is cut off.

        Cost: a few operations per point, against ``degree`` of them.

        Example:
            >>> p = inverse_polynomial(kappa=10.0, epsilon=1e-3)
            >>> bool(abs(p.at(0.3) - p.evaluate(0.3)) < 1e-14)
            True
        """
        points = np.clip(np.asarray(x, dtype=np.float64), -1.0, 1.0)
        if not self.optimal or self.degree == 1:
            return self.evaluate(points)
        return closed_form(points, self.kappa, (self.degree + 1) // 2)

    def evaluate(self, x: ArrayLike) -> Array:
        """Return P(x) for x in [-1, 1] from the coefficients, by Clenshaw's recurrence.

        Above |x| = 1/2 in Reinsch's form, which stays accurate at ±1.

        Args:
            x: Points, any shape.

        Returns:
            float64 array of x's shape.

        Cost: ``degree`` multiplications per point.

        Example:
            >>> float(inverse_polynomial(kappa=1.0, epsilon=1e-6).evaluate(0.25))
            0.25
        """
        points = np.asarray(x, dtype=np.float64)
        size = np.abs(points)
        result = np.empty_like(size)
        high = size > 0.5
        result[high] = self._clenshaw_near_one(size[high])
        result[~high] = self._clenshaw_near_zero(size[~high])
        return np.copysign(1.0, points) * result

    def _clenshaw_near_zero(self, x: Array) -> Array:
        twice = 2.0 * x
        # An odd polynomial has every second coefficient zero. Substituting 2x² - 1 would halve
        # the steps but lose 2·log10(κ) digits near x = 0, where 2x² - 1 rounds to -1.
        even, odd = np.zeros_like(x), np.zeros_like(x)
        for coefficient in self.coefficients[::-1]:
            odd = coefficient + twice * even - odd
            even = twice * odd - even
        return even - x * odd

    def _clenshaw_near_one(self, x: Array) -> Array:
        # Reinsch's form carries the differences of Clenshaw's terms: near x = 1 the terms grow
        # like degree² and would lose as much.
        shift = 2.0 * (x - 1.0)
        term, difference = np.zeros_like(x), np.zeros_like(x)
        for coefficient in self.coefficients[::-1]:
            difference = difference + shift * term + coefficient
            term = term + difference
            difference = difference + shift * term
            term = term + difference
        return difference - shift / 2.0 * (term - difference)


def inverse_polynomial(kappa: float, epsilon: float) -> InversePolynomial:
    """Return the odd polynomial of least degree within ``epsilon`` of 1/x on [1/κ, 1].

    With a = 1/κ: P(x) = (1 - L(z)/L(z₀))/x, L = T_n + ((1-a)/(1+a)) T_{n-1},
    z = (2x² - 1 - a²)/(1 - a²), z₀ = z(0), n = ⌈ln((κ+1)/ε) / ln((κ+1)/(κ-1))⌉, degree 2n - 1,
    error (1-a)ⁿ/(a(1+a)^{n-1}).

    Args:
        kappa: κ ≥ 1, the ratio of the block-encoding's α to the smallest singular value.
        epsilon: Largest absolute error, in (0, 1).

    Returns:
        The polynomial with its sup-norm computed, not estimated.

    Raises:
        ValueError: If κ or ε is out of range, or the degree would exceed ``MAX_DEGREE``.

    Cost: O(n log n): a cosine transform of n closed-form values.

    Reference: Sünderhauf, Matrix inversion polynomials for the QSVT, arXiv:2507.15537 (as
    transcribed).

    Example:
        >>> p = inverse_polynomial(kappa=10.0, epsilon=1e-3)
        >>> p.degree, bool(abs(p.evaluate(0.1) - 10.0) <= 1e-3)
        (93, True)
    """
    degree = inverse_degree(kappa, epsilon)
    refuse_degree(degree, kappa, epsilon)
    n = (degree + 1) // 2
    if n == 1:
        # P(x) = κx, where the closed form of κ = 1 would be 0/0.
        coefficients = np.array([kappa], dtype=np.float64)
        sup_norm, error_bound = float(kappa), kappa - 1.0
    else:
        # The zeros of T_{2n}: x = cos θ = sin(π/2 - θ), to full relative precision near 0 with the
        # sine, and with sin θ at hand near 1, where x alone has forgotten half of θ's digits.
        angles = np.pi * np.arange(1, 2 * n, 2) / (4 * n)
        values = closed_form_beside(np.sin(angles[::-1]), np.sin(angles), kappa, n)
        coefficients = np.asarray(dct(values, type=4)) / n
        sup_norm = float(polynomial_height(kappa, n))
        error_bound = math.exp(math.log(kappa + 1) - n * float(log_ratio(kappa)))
    coefficients.setflags(write=False)
    return InversePolynomial(
        kappa=float(kappa),
        epsilon=float(epsilon),
        degree=degree,
        sup_norm=sup_norm,
        error_bound=error_bound,
        coefficients=coefficients,
    )


def refuse_degree(degree: int, kappa: float, epsilon: float) -> None:
    """Raise ``ValueError`` for a degree above ``MAX_DEGREE``."""
    if degree > MAX_DEGREE:
        needed = f"kappa={kappa:.6g} at epsilon={epsilon:.3g} needs degree {degree:,}"
        way_out = "lower kappa (more damping) or raise epsilon"
        raise ValueError(f"{needed}, above the limit of {MAX_DEGREE:,}; {way_out}")
