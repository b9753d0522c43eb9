"""Three ways to the same output state: products, eigenvalues, a Krylov space.

In a Krylov space f(A)b̂ ≈ V f(T) e₁. For a polynomial this is exact beyond its degree. Before that
the solution converges as conjugate gradients would, while the polynomial's own ripple of size ε
stays unresolved; how many products resolve it is bounded by how well polynomials of lower degree
follow f on A's spectrum.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from qnewton.operators import MatrixFreeOperator, SymmetricOperator
from qnewton.operators.lanczos import Lanczos
from qnewton.operators.ritz import ritz_values, ritz_vectors
from qnewton.queries.polynomials import Array
from qnewton.records import Outcome
from qnewton.solvers.quantum.algorithm import Algorithm, Applied, Chances, Function
from qnewton.solvers.quantum.promise import SystemRefused, alpha_too_small
from qnewton.solvers.quantum.qsvt import QSVT
from qnewton.solvers.solution import Mode

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
            found: dict[str, Any] = {"image": image, "chances": chances, "products": k}
            return Applied(mode="krylov", resolved=resolved, **found)
        seen.append((k, local))
        checkpoint = min(max(k + 4, round(k * _GROWTH)), most)
        if needed is not None and k < needed < checkpoint:
            checkpoint = needed


def _moved(local: Array, seen: list[tuple[int, Array]], k: int) -> float | None:
    """Return how far y moved since the last checkpoint at or below k/2: V is orthonormal."""
    before = next((vector for count, vector in reversed(seen) if count <= k / 2), None)
    if before is None:
        return None
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


_ALPHA_ROUNDING = 1e-9
_MOST_OPERATIONS = 2e10
_SIGN_STEPS = 24


@dataclass(frozen=True)
class Eigenbasis:
    """All eigenpairs of A, and the algorithm's function at the eigenvalues where it has one.

    Attributes:
        values: The N eigenvalues, float64.
        vectors: Eigenvectors as columns, [N, N].
        factors: f(λ), worked out once for many right-hand sides.
    """

    values: Tensor
    vectors: Tensor
    factors: Tensor | None = None


def output_state(
    solver: Algorithm,
    operator: SymmetricOperator,
    start: Tensor,
    mode: Mode,
    basis: Eigenbasis | None,
    epsilon: float,
) -> Applied:
    """Return the output of ``solver`` for A in float64 and b̂; ``basis`` stands for mode eigen."""
    if basis is not None:
        return _by_eigenvalues(solver, basis, start)
    if mode == "auto":
        cheap = 2.0 * operator.n**2 * solver.queries <= _MOST_OPERATIONS
        mode = "products" if cheap and solver.multiplies else "krylov"
    if mode == "krylov":
        return _in_krylov_space(solver, operator, start, epsilon)
    image, chances, products = solver.by_products(operator, start)
    return Applied(image=image, chances=chances, products=products, mode="products")


def _by_eigenvalues(solver: Algorithm, basis: Eigenbasis, start: Tensor) -> Applied:
    weights = basis.vectors.mT @ start
    if basis.factors is not None:
        y = basis.factors * weights
        chances = Chances(float(y @ y))
    else:
        found, chances = solver.coefficients(basis.values.cpu().numpy(), weights.cpu().numpy())
        y = torch.as_tensor(found, device=start.device)
    return Applied(image=basis.vectors @ y, chances=chances, products=0, mode="eigen")


def _in_krylov_space(
    solver: Algorithm, operator: SymmetricOperator, start: Tensor, epsilon: float
) -> Applied:
    alpha = solver.alpha
    limit = alpha * (1.0 + _ALPHA_ROUNDING)
    if isinstance(solver, QSVT) and _indefinite(operator, start):
        return _in_krylov_space_of_the_square(solver, operator, start, epsilon, limit)
    request = KrylovRequest(
        coefficients=solver.coefficients,
        function=solver.function,
        degree=solver.krylov_degree,
        epsilon=epsilon,
        limit=limit,
        too_large=lambda norm: alpha_too_small(alpha, f"‖A‖₂ ≥ {norm:.6g}"),
    )
    return by_krylov(operator, start, request)


def _in_krylov_space_of_the_square(
    solver: QSVT, operator: SymmetricOperator, start: Tensor, epsilon: float, limit: float
) -> Applied:
    """Return y = (A/α)·h(A²/α²)b̂: Ritz values of A itself would enter the gap around 0."""

    # There |P| is as large as κ_be, and nothing converges before about κ_be products.
    def multiply(vector: Tensor) -> Tensor:
        return operator @ (operator @ vector)

    square = MatrixFreeOperator(operator.n, multiply, torch.float64, start.device)
    request = KrylovRequest(
        coefficients=solver.coefficients_of_squares,
        function=solver.factors_of_squares,
        degree=(solver.queries - 1) // 2,
        epsilon=epsilon,
        limit=limit**2,
        too_large=lambda norm: alpha_too_small(solver.alpha, f"‖A‖₂ ≥ {math.sqrt(norm):.6g}"),
    )
    found = by_krylov(square, start, request)
    image = (operator @ found.image) / solver.alpha
    chances, products = Chances(float(image @ image)), 2 * found.products + 1
    return replace(found, image=image, chances=chances, products=products)


def _indefinite(operator: SymmetricOperator, start: Tensor) -> bool:
    """Return whether Ritz values of both signs turn up in a few products."""
    # Where the only eigenvalues of one sign are seen later, the iteration on A takes longer but is
    # as right: ``resolved`` is judged on the spectrum seen.
    process = Lanczos(operator, start=start)
    process.advance_to(min(_SIGN_STEPS, operator.n))
    values = ritz_values(process.tridiagonal())
    return bool(values.min() < 0.0 < values.max())
