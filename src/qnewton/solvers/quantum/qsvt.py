"""What QSVT outputs: the inverse polynomial of A/α applied to the right-hand side."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from qnewton.operators import DenseOperator, SymmetricOperator
from qnewton.records import Outcome
from qnewton.solvers.quantum import promise as promises
from qnewton.solvers.quantum.algorithm import Chances, FunctionOfA
from qnewton.solvers.quantum.cks import cks_degree, cks_polynomial
from qnewton.solvers.quantum.polynomials import (
    MAX_DEGREE,
    Array,
    InversePolynomial,
    inverse_degree,
    inverse_polynomial,
)
from qnewton.solvers.quantum.promise import Promise, SystemRefused

Family = Literal["optimal", "cks"]

_CHECK_EVERY = 64


@dataclass(frozen=True)
class QSVT(FunctionOfA):
    """y = P(A/α)b̂ / max|P|: as many queries as P has degrees, and one call to U_b."""

    name: ClassVar[str] = "qsvt"
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
        raise SystemRefused(
            Outcome.DEGREE_TOO_HIGH,
            f"kappa_be = {promise.kappa:.4g} at epsilon={epsilon:.3g} needs a polynomial of degree "
            f"{degree:,}, above the limit of {MAX_DEGREE:,}; add damping, raise epsilon, or give "
            "a smaller kappa",
            f"{degree:.1e} above {MAX_DEGREE:.0e}",
        )
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
