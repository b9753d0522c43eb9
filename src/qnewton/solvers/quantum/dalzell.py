"""What Dalzell's shortcut solver outputs: the kernel of an augmented matrix, reflected about.

With Ã = A/α, A_t = diag(Ã, 1/t), b' = (b̂; 1)/√2 and G = (I - b'b'ᵀ)A_t, the kernel of G is
spanned by (Ã⁻¹b̂; t). Reflecting e = (0; 1) about it moves e's upper part, which was zero, to
2r/(1+r²) times the solution, r = t/‖Ã⁻¹b̂‖.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.queries.arrays import Numbers
from qnewton.queries.dalzell import (
    EMULATED_GUESS_FACTOR,
    filter_degree,
    guesses,
    log_known_eta,
    log_projection_eta,
    log_reflection_eta,
)
from qnewton.queries.polynomials import Array
from qnewton.solvers.quantum.algorithm import Algorithm, Chances
from qnewton.solvers.quantum.promise import Promise

_LEAST_KAPPA = 1.0 + 1e-6  # z divides by 1 - δ²: closer to 1, the filter loses half of its digits


@dataclass(frozen=True)
class KernelFilter:
    """K(x) = -1 + 2(T_ℓ(z) + 1)/(T_ℓ(z₀) + 1), z = (1 + δ² - 2x²)/(1 - δ²), z₀ = z(0).

    K(0) = 1, and -1 ≤ K ≤ -1 + 4η for δ = 1/κ ≤ |x| ≤ 1, where η = 1/(T_ℓ(z₀) + 1): about twice
    the projector on the kernel, less one.

    Attributes:
        kappa: κ_be.
        degree: ℓ, at two queries each.
    """

    kappa: float
    degree: int

    def of_squares(self, squares: Array) -> Array:
        """Return K(x) from x² ≥ 0."""
        return 2.0 * self.root_of_squares(squares) ** 2 - 1.0

    def root_of_squares(self, squares: Array) -> Array:
        """Return r with K = 2r² - 1: r = T_ℓ(y)/T_ℓ(y₀), y² = (1 + z)/2 = (1 - x²)/(1 - δ²)."""
        # T_ℓ(y) is cos(ℓψ/2) where z = cos ψ, and cosh(ℓs/2), in logarithms, where z = cosh s.
        w = self._beyond_one(squares)
        angle = 2.0 * np.arcsin(np.sqrt(np.clip(-w / 2.0, 0.0, 1.0)))
        top = self._log_cosh(self._beyond_one(np.zeros(1)))
        inside = np.cos(self.degree * angle / 2.0) * np.exp(-top)
        return np.where(w > 0.0, np.exp(self._log_cosh(np.maximum(w, 0.0)) - top), inside)

    def _beyond_one(self, squares: Array) -> Array:
        """Return z - 1 = 2(δ² - x²)/(1 - δ²)."""
        return 2.0 * (1.0 - self.kappa**2 * squares) / ((self.kappa - 1.0) * (self.kappa + 1.0))

    def _log_cosh(self, w: Array) -> Array:
        exponent = self.degree / 2.0 * np.log1p(w + np.sqrt(w * (w + 2.0)))
        return exponent + np.log1p(np.exp(-2.0 * exponent)) - math.log(2.0)

    def apply(self, square: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
        """Return K·start by Chebyshev's recurrence in z(GᵀG): ``degree`` products with GᵀG."""
        delta2 = 1.0 / self.kappa**2

        def z(vector: Tensor) -> Tensor:
            return ((1.0 + delta2) * vector - 2.0 * square(vector)) / (1.0 - delta2)

        before, term = start, z(start)
        for _ in range(self.degree - 1):
            before, term = term, 2.0 * z(term) - before
        top = float(np.exp(self._log_cosh(self._beyond_one(np.zeros(1))))[0])
        return (term + start) / top**2 - start


def _square(
    operator: SymmetricOperator, alpha: float, start: Tensor, t: float | None
) -> Callable[[Tensor], Tensor]:
    """Return v ↦ GᵀG·v, with t; without one, for G = (I - b̂b̂ᵀ)Ã. Two products with A each."""

    def multiply(vector: Tensor) -> Tensor:
        if t is None:
            return (operator @ vector) / alpha
        return torch.cat([(operator @ vector[:-1]) / alpha, vector[-1:] / t])

    b = start if t is None else torch.cat([start, start.new_ones(1)]) / math.sqrt(2.0)

    def square(vector: Tensor) -> Tensor:
        image = multiply(vector)
        return multiply(image - b * torch.dot(b, image))

    return square


@dataclass(frozen=True)
class Dalzell(Algorithm):
    """The shortcut solver with its norm given, or guessed on a grid when it is not.

    Attributes:
        reflection: The filter of the augmented system.
        projection: The filter that cleans the outcome when the norm is unknown; else ``None``.
        guesses: t, one per run, drawn uniformly; each in [1, κ_be].
        alpha: α.
    """

    name: ClassVar[str] = "dalzell"
    reflection: KernelFilter
    projection: KernelFilter | None
    guesses: tuple[float, ...]
    alpha: float

    @property
    def queries(self) -> int:
        """Calls to U_A in one attempt, two per degree."""
        return 2 * self.reflection.degree + self._projected

    @property
    def state_preparations(self) -> int:
        """Calls to U_b in one attempt: each call to U_A brings two."""
        return 2 * self.queries

    def solution(self, image: Tensor, length: float) -> None:
        """Return nothing: a reflection about the kernel does not tell the solution's length."""

    def expected_queries(self, chances: Chances) -> float:
        """Return the calls to U_A until success: only outcomes of the reflection are projected."""
        attempt = 2 * self.reflection.degree + chances.reached * self._projected
        return attempt / chances.success

    @property
    def _projected(self) -> int:
        return 0 if self.projection is None else 2 * self.projection.degree

    def coefficients(self, values: Array, weights: Array) -> tuple[Array, Chances]:
        """Return y's coefficients at the likeliest t, and the chances over all t."""
        # Cost: a decomposition of order k + 1 for every t.
        scaled = values / self.alpha
        outcomes = []
        for t in self.guesses:
            diagonal = np.append(scaled, 1.0 / t)
            b = np.append(weights, 1.0) / math.sqrt(2.0)
            outcomes.append(_filtered(self.reflection, diagonal, b, _last(len(diagonal)))[:-1])
        if self.projection is None:
            return _likeliest(outcomes, outcomes)
        projected = [(_filtered(self.projection, scaled, weights, y) + y) / 2.0 for y in outcomes]
        return _likeliest(projected, outcomes)

    def by_products(
        self, operator: SymmetricOperator, start: Tensor
    ) -> tuple[Tensor, Chances, int]:
        """Return y at the likeliest t, the chances over all t, and the products."""
        last = torch.zeros(operator.n + 1, dtype=torch.float64, device=start.device)
        last[-1] = 1.0
        outcomes, reflected = [], []
        for t in self.guesses:
            y = self.reflection.apply(_square(operator, self.alpha, start, t), last)[:-1]
            reflected.append(y)
            if self.projection is not None:
                y = (self.projection.apply(_square(operator, self.alpha, start, None), y) + y) / 2
            outcomes.append(y)
        image, chances = _likeliest(outcomes, reflected)
        return image, chances, self.queries * len(self.guesses)


def dalzell(promise: Promise, epsilon: float, norm: float | None, length: float) -> Dalzell:
    """Return the solver for a norm that is known, guessed, or unknown."""
    # Reference: Dalzell, arXiv:2406.12086, Eq. 48 and 118 (as transcribed).
    kappa = max(promise.kappa, _LEAST_KAPPA)
    if norm is not None:
        if not (0.0 < norm < math.inf):
            raise ValueError(f"norm is {norm}; it must be a positive guess of ‖A⁻¹b‖")
        t = min(max(promise.alpha * norm / length, 1.0), kappa)
        log_eta = log_known_eta(epsilon, EMULATED_GUESS_FACTOR)
        return Dalzell(_filter(kappa, log_eta), None, (t,), promise.alpha)
    return Dalzell(
        _filter(kappa, log_reflection_eta(kappa)),
        _filter(kappa, log_projection_eta(epsilon)),
        tuple(float(t) for t in np.geomspace(1.0, kappa, int(guesses(kappa)))),
        promise.alpha,
    )


def _filter(kappa: float, log_eta: Numbers) -> KernelFilter:
    return KernelFilter(kappa, int(filter_degree(kappa, log_eta)))


def _filtered(kernel: KernelFilter, diagonal: Array, b: Array, start: Array) -> Array:
    """Return K·start for G = (I - bbᵀ)D: K acts on right singular vectors, x² on GᵀG."""
    scaled = diagonal * b
    squares, vectors = np.linalg.eigh(np.diag(diagonal**2) - np.outer(scaled, scaled))
    return vectors @ (kernel.of_squares(np.maximum(squares, 0.0)) * (vectors.T @ start))


def _last(size: int) -> Array:
    unit = np.zeros(size)
    unit[-1] = 1.0
    return unit


def _likeliest(outcomes: list, reflected: list) -> tuple:  # type: ignore[type-arg]
    """Return the longest outcome, and the mean squared lengths of all and of those reflected."""
    chances = [float((y**2).sum()) for y in outcomes]
    # An outcome without a projection is its own last stage.
    reached = [float((y**2).sum()) for y in reflected] if reflected is not outcomes else [1.0]
    found = Chances(float(np.mean(chances)), float(np.mean(reached)))
    return outcomes[int(np.argmax(chances))], found
