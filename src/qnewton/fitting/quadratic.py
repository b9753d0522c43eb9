"""The quadratic model of a step in scaled variables y = Dp, and its minimum in a ball."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qnewton.fitting.lapack import gesdd, syevd

_EPS = float(np.finfo(float).eps)
# A step may miss the radius by this share: another λ would cost more than it gains (Moré 1978).
_SLACK = 0.1
_MOST_TRIES = 30


@dataclass(frozen=True, eq=False)
class Quadratic:
    """m(y) = cᵀŷ + ½ Σ eᵢŷᵢ², ŷ = Vy: eigenvalues e, gradient c in their basis, rows of V.

    Attributes:
        eigenvalues: Of the scaled matrix, shape [K]; below zero only with second derivatives.
        gradient: In the basis, shape [K].
        basis: Rows are eigenvectors, shape [K, N].
        floor: Below this share of the largest, an eigenvalue is rounding.
    """

    eigenvalues: np.ndarray
    gradient: np.ndarray
    basis: np.ndarray
    floor: float

    @cached_property
    def _newton(self) -> np.ndarray | None:
        """The minimum in the basis, with no part along flat directions; None if unbounded."""
        e, largest = self.eigenvalues, float(self.eigenvalues.max())
        lowest = float(e.min())
        floor = self.floor * largest
        if lowest > floor:
            return -self.gradient / e
        if lowest < -floor:
            return None
        flat = e <= floor
        return np.where(flat, 0.0, -self.gradient / np.where(flat, 1.0, e))

    def step(self, radius: float, start: float = 0.0) -> "BallStep":
        """Return the minimum over ‖y‖ ≤ radius, up to a tenth of the radius.

        Solves ‖(B + λ)⁻¹c‖ = radius by Newton's method on the inverse norm, which is nearly linear
        in λ, inside a bracket (Moré 1978; Moré and Sorensen 1983).
        """
        e, c = self.eigenvalues, self.gradient
        newton = self._newton
        if newton is not None:
            norm = math.sqrt(newton.dot(newton))
            if norm <= (1 + _SLACK) * radius:
                return self._made(newton, 0.0, norm)
        low = max(0.0, -float(e.min()))
        high = low + math.sqrt(c.dot(c)) / radius
        shift = start if low < start < high else max(1e-3 * high, math.sqrt(low * high))
        step, norm = c, 0.0
        for _ in range(_MOST_TRIES):
            shifted = e + shift
            step = c / shifted
            square = float(step.dot(step))
            norm = math.sqrt(square)
            if abs(norm - radius) <= _SLACK * radius:
                break
            if norm > radius:
                low = shift
            else:
                high = shift
            slope = float(step.dot(step / shifted))
            shift += square / slope * (norm - radius) / radius
            if not low < shift < high:
                shift = max(1e-3 * high, math.sqrt(low * high))
        return self._made(-step, shift, norm)

    def free(self) -> np.ndarray:
        """Return the minimum without a ball, in the basis; nothing along flat directions."""
        if self._newton is not None:
            return self._newton
        # Below zero: where a Newton step of the same gradient would lead, were it above.
        return -self.gradient / np.maximum(np.abs(self.eigenvalues), _EPS)

    def solved(self, vector: np.ndarray, shift: float) -> np.ndarray:
        """Return (B + shift)⁻¹·vector, within the basis."""
        return ((self.basis @ vector) / (self.eigenvalues + shift)) @ self.basis

    def _made(self, step: np.ndarray, shift: float, norm: float) -> "BallStep":
        predicted = -float(self.gradient.dot(step) + 0.5 * (self.eigenvalues * step).dot(step))
        return BallStep(step @ self.basis, shift, norm, predicted)


@dataclass(frozen=True, eq=False)
class BallStep:
    """A step in scaled variables.

    Attributes:
        y: The step, shape [N].
        shift: λ; 0 where the ball does not bind.
        norm: ‖y‖.
        predicted: How far the model falls.
        cut: Whether something else than the ball cut it short.
    """

    y: np.ndarray
    shift: float
    norm: float
    predicted: float
    cut: bool = False

    @property
    def free(self) -> bool:
        """Whether it is the minimum of the model without any bound."""
        return self.shift == 0 and not self.cut


def least_squares_model(triangle: np.ndarray, rotated: np.ndarray) -> Quadratic:
    """Return the model ½‖Ry + q‖² by an SVD of R, which does not square the condition number."""
    left, values, right, info = gesdd(triangle, full_matrices=0)
    if info:
        raise np.linalg.LinAlgError(f"LAPACK's dgesdd returned {info}")
    floor = (len(values) * _EPS) ** 2
    return Quadratic(values * values, values * (rotated @ left), right, floor)


def general_model(matrix: np.ndarray, gradient: np.ndarray) -> Quadratic:
    """Return the model gᵀy + ½yᵀBy by the eigenvalues of B."""
    values, vectors, info = syevd(matrix)
    if info:
        raise np.linalg.LinAlgError(f"LAPACK's dsyevd returned {info}")
    return Quadratic(values, gradient @ vectors, vectors.T, len(values) * _EPS)
