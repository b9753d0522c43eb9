"""A function of A applied to b from a small part of the space: f(A)b̂ ≈ V f(T) e₁.

For a polynomial this is exact beyond its degree. Before that the solution converges as conjugate
gradients would, while the polynomial's own ripple of size ε stays unresolved; how many products
resolve it is bounded by how well polynomials of lower degree follow f on A's spectrum.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.lanczos import Lanczos
from qnewton.operators.ritz import ritz_vectors
from qnewton.records import Outcome
from qnewton.solvers.quantum.algorithm import Applied, Chances, Function
from qnewton.solvers.quantum.polynomials import Array
from qnewton.solvers.quantum.promise import SystemRefused

RESOLUTION = 1e-10
"""Distance from the output state, relative to its length, that counts as having it."""

MAX_PRODUCTS = 1024
"""Most Lanczos steps: 100 MB of basis at N = 12,544."""

_FIRST = 8
_GROWTH = 1.15
_WIDEN = 0.01


@dataclass(frozen=True, kw_only=True)
class KrylovRequest:
    """What is to be applied, and to what accuracy.

    Attributes:
        coefficients: From values θ_i and weights w_i = u_iᵀb̂ in a basis where A is diagonal,
            returns y's coefficients in that basis and the chances of success.
        function: f as a function of the eigenvalue, where y = f(A)b̂; ``None`` where y is no
            fixed function of A.
        degree: Degree of y as a polynomial in A; ``None`` if it is none.
        epsilon: Where the resolution is out of reach, changes below it end the iteration.
        limit: Largest |eigenvalue| allowed.
        too_large: Makes the error for a larger one.
    """

    coefficients: Callable[[Array, Array], tuple[Array, Chances]]
    function: Function | None
    degree: int | None
    epsilon: float
    limit: float
    too_large: Callable[[float], SystemRefused]


def by_krylov(operator: SymmetricOperator, start: Tensor, request: KrylovRequest) -> Applied:
    """Return y from the Krylov space of A and b̂, grown until y is resolved or has settled."""
    # ``resolved`` means one of: the space is exhausted; it exceeds the degree; polynomials of
    # degree k follow f on the spectrum to ``RESOLUTION``, by the Chebyshev series of f on the Ritz
    # interval widened by 1%; or y has not moved by more over the last half of the products.
    # Cost: k products and 4Nk² operations for the reorthogonalised basis.
    process = Lanczos(operator, start=start)
    most = min(MAX_PRODUCTS, operator.n)
    seen: list[tuple[int, Array]] = []
    checkpoint = min(_FIRST, most)
    while True:
        try:
            process.advance_to(checkpoint)
        except ValueError as error:
            message = f"the matrix is not finite: {error}"
            raise SystemRefused(Outcome.NOT_FINITE, message) from error
        values, vectors = ritz_vectors(process.tridiagonal())
        if max(abs(values[0]), abs(values[-1])) > request.limit:
            raise request.too_large(max(abs(values[0]), abs(values[-1])))
        coefficients, chances = request.coefficients(values, vectors[0])
        local = vectors @ coefficients
        size = float(np.linalg.norm(local))
        k = process.products
        exact = process.exhausted or (request.degree is not None and k > request.degree)
        needed = None
        if not exact and request.function is not None:
            needed = _needed(request.function, values, request, RESOLUTION * size)
            exact = needed <= k
        moved = _moved(local, seen, k)
        settled = moved is not None and moved <= RESOLUTION * size
        # With N products in reach the space is exhausted before anything is hopeless.
        hopeless = needed is not None and needed > most and most < operator.n
        enough = hopeless and moved is not None and moved <= request.epsilon * size / 2
        if exact or settled or enough or k >= most:
            image = process.combination(torch.as_tensor(local, dtype=torch.float64))
            resolved = exact or settled
            return Applied(
                image=image, chances=chances, products=k, mode="krylov", resolved=resolved
            )
        seen.append((k, local))
        checkpoint = min(max(k + 4, round(k * _GROWTH)), most)
        if needed is not None and k < needed < checkpoint:
            checkpoint = needed


def _moved(local: Array, seen: list[tuple[int, Array]], k: int) -> float | None:
    """Return how far y moved since the last checkpoint at or below k/2: V is orthonormal."""
    earlier = [vector for count, vector in seen if count <= k / 2]
    if not earlier:
        return None
    before = earlier[-1]
    moved = local.copy()
    moved[: len(before)] -= before
    return float(np.linalg.norm(moved))


def _needed(function: Function, values: Array, request: KrylovRequest, accuracy: float) -> int:
    """Return the k from which ‖y_k - f(A)b̂‖ ≤ 2 min_{deg q < k} max |f - q| is below accuracy."""
    # The minimum is at most the tail of f's Chebyshev series on an interval that holds the
    # spectrum; the Ritz values' own interval, widened, stands for it.
    low, high = float(values[0]), float(values[-1])
    margin = _WIDEN * (high - low) + 1e-14 * request.limit
    low, high = max(low - margin, -request.limit), min(high + margin, request.limit)
    if low <= 0.0 < float(values[0]):
        low = float(values[0]) / 2.0
    count = 2 * MAX_PRODUCTS + 2
    nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    samples = function((high + low) / 2.0 + (high - low) / 2.0 * nodes)
    series = np.abs(np.asarray(dct(samples, type=2))) / count
    tails = 2.0 * np.cumsum(series[::-1])[::-1]
    # Rounding of the transform itself is not f's.
    noise = 3e-16 * float(np.abs(samples).max()) * count
    beyond = np.flatnonzero(tails > max(accuracy, noise))
    return int(beyond[-1]) + 1 if len(beyond) else 0
