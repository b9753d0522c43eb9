"""QSVT: an inverse polynomial of A, the optimal one or that of Childs, Kothari and Somma."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from qnewton.operators import DenseOperator, SymmetricOperator
from qnewton.queries.degrees import cks_degree, cks_sizes, inverse_degree
from qnewton.queries.polynomials import (
    MAX_DEGREE,
    Array,
    InversePolynomial,
    inverse_polynomial,
    refuse_degree,
)
from qnewton.records import Outcome
from qnewton.solvers.quantum import promise as promises
from qnewton.solvers.quantum.algorithm import Chances, FunctionOfA
from qnewton.solvers.quantum.promise import Promise, SystemRefused

_OVERSAMPLING = 16


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

    Reference: as :func:`~qnewton.queries.degrees.cks_degree`.

    Example:
        >>> p = cks_polynomial(kappa=10.0, epsilon=1e-3)
        >>> p.degree, bool(abs(p.evaluate(0.1) - 10.0) <= 1e-3)
        (237, True)
    """
    b, d = cks_sizes(kappa, epsilon)
    refuse_degree(2 * d + 1, kappa, epsilon)
    signs = np.where(np.arange(d + 1) % 2 == 0, 4.0, -4.0)
    coefficients = signs * _binomial_tails(b, d + 1)
    coefficients.setflags(write=False)
    sup_norm, error = _measured(coefficients, kappa)
    known = {"sup_norm": sup_norm, "error_bound": error, "coefficients": coefficients}
    asked = {"kappa": float(kappa), "epsilon": float(epsilon)}
    polynomial = InversePolynomial(degree=2 * d + 1, optimal=False, **asked, **known)
    # The error is largest at the very end of the promise, which the grid misses.
    at_end = abs(float(polynomial.evaluate(1.0 / kappa)) - kappa)
    return replace(polynomial, error_bound=max(error, at_end))


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
    # The grid ends before x = 1, where a short polynomial is largest.
    last = float(coefficients.sum())
    return max(sup_norm, float(np.abs(values).max()), abs(last)), max(error, abs(last - 1.0))


Family = Literal["optimal", "cks"]

_CHECK_EVERY = 64


@dataclass(frozen=True)
class QSVT(FunctionOfA):
    """y = P(A/α)b̂ / max|P|: as many queries as P has degrees, and one call to U_b."""

    name: ClassVar[str] = "qsvt"
    bounds_residual: ClassVar[bool] = True  # |λP(λ) - 1| ≤ ε
    polynomial: InversePolynomial
    alpha: float

    @property
    def queries(self) -> int:
        """Calls to U_A of one attempt: the degree."""
        return self.polynomial.degree

    @property
    def error_bound(self) -> float:
        """The polynomial's."""
        return self.polynomial.error_bound

    def factors(self, values: Array) -> Array:
        """Return P(λ/α)/max|P| by the closed form."""
        return self.polynomial.at(values / self.alpha) / self.polynomial.sup_norm

    def factors_of_squares(self, squares: Array) -> Array:
        """Return h(λ²/α²)/max|P| with h(s) = P(√s)/√s, so that y = (A/α)·h(A²/α²)b̂."""
        x = np.sqrt(np.maximum(squares, 0.0)) / self.alpha
        # h is even and smooth at 0, where the quotient is 0/0.
        x = np.maximum(x, 1e-8 / self.polynomial.kappa)
        return self.polynomial.at(x) / x / self.polynomial.sup_norm

    def coefficients_of_squares(self, squares: Array, weights: Array) -> tuple[Array, Chances]:
        """Return those of h(A²/α²)b̂ in a basis where A² is diagonal, and ‖y‖²."""
        h = self.factors_of_squares(squares) * weights
        return h, Chances(float((np.maximum(squares, 0.0) / self.alpha**2) @ h**2))

    def at_eigenvalues(self, values: Tensor) -> Tensor:
        """Return P(λ/α)/max|P| from P's own coefficients, never the closed form."""
        factors = self.polynomial.evaluate((values / self.alpha).cpu().numpy())
        return torch.as_tensor(factors, device=values.device) / self.polynomial.sup_norm

    def by_products(
        self, operator: SymmetricOperator, start: Tensor
    ) -> tuple[Tensor, Chances, int]:
        """Return y, ‖y‖², and the products spent: one per query."""
        image = _apply_by_products(operator, self.alpha, start, self.polynomial)
        image = image / self.polynomial.sup_norm
        return image, Chances(float(image @ image)), self.polynomial.degree

    def solution(self, image: Tensor, length: float) -> Tensor:
        """Return y with the length that the normalisation gives it."""
        return image * (length * self.polynomial.sup_norm / self.alpha)


def qsvt(promise: Promise, epsilon: float, family: Family = "optimal") -> QSVT:
    """Return the solver for a promise."""
    degrees = {"optimal": inverse_degree, "cks": cks_degree}
    degree = degrees[family](promise.kappa, epsilon)
    if degree > MAX_DEGREE:
        message = f"kappa_be = {promise.kappa:.4g} at epsilon={epsilon:.3g} needs a polynomial of "
        message += f"degree {degree:,}, above the limit of {MAX_DEGREE:,}; add damping, raise "
        message += "epsilon, or give a smaller kappa"
        detail = f"{degree:.1e} above {MAX_DEGREE:.0e}"
        raise SystemRefused(Outcome.DEGREE_TOO_HIGH, message, detail)
    build = {"optimal": inverse_polynomial, "cks": cks_polynomial}[family]
    return QSVT(build(promise.kappa, epsilon), promise.alpha)


def _apply_by_products(
    operator: SymmetricOperator, alpha: float, start: Tensor, polynomial: InversePolynomial
) -> Tensor:
    """Return P(A/α)·start through T_{k+1} = 2(A/α)T_k - T_{k-1}: ``degree`` products."""
    # P ripples by ε with slope up to degree²·ε at ±1, so one ulp of A already moves the output by
    # about 1e-16·degree²·ε there: 1e-8 at degree 8,113 and ε = 0.3, for a start without any
    # component on the small eigenvalues; 1e-13 at degree 10⁵ for ordinary ones.
    entries = operator.dense() if type(operator) is DenseOperator else None

    def following(term: Tensor, before: Tensor) -> Tensor:
        if entries is not None:
            return torch.addmv(before, entries, term, beta=-1.0, alpha=2.0 / alpha)
        return (operator @ term) * (2.0 / alpha) - before

    even, odd = start, (operator @ start) / alpha
    if not torch.isfinite(odd).all():
        raise SystemRefused(Outcome.NOT_FINITE, "a product with the matrix is not finite")
    coefficients = polynomial.coefficients.tolist()
    total = coefficients[0] * odd
    for index, coefficient in enumerate(coefficients[1:], start=1):
        even = following(odd, even)
        odd = following(even, odd)
        total.add_(odd, alpha=coefficient)
        if index % _CHECK_EVERY == 0:
            _check_growth(operator, odd, alpha)
    _check_growth(operator, odd, alpha)
    return total


def _check_growth(operator: SymmetricOperator, term: Tensor, alpha: float) -> None:
    """Refuse an α below ‖A‖₂: ‖T_k(A/α)b̂‖ ≤ 1 inside [-1, 1] and grows without limit outside."""
    # A growth below 1e-3 changes the result by no more than that, and is mostly rounding of α.
    if not float(term.norm()) <= 1.001:
        raise promises.alpha_too_small(alpha, f"‖A‖₂ ≥ {promises.norm_from_below(operator):.6g}")
