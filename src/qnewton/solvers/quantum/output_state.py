"""Three ways to the same output state: products, eigenvalues, a Krylov space."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qnewton.operators import MatrixFreeOperator, SymmetricOperator
from qnewton.operators.lanczos import Lanczos
from qnewton.operators.ritz import ritz_values
from qnewton.solvers.options import Mode
from qnewton.solvers.quantum.algorithm import Algorithm, Applied, Chances
from qnewton.solvers.quantum.krylov import KrylovRequest, by_krylov
from qnewton.solvers.quantum.promise import alpha_too_small
from qnewton.solvers.quantum.qsvt import QSVT

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
        mode = "products" if cheap else "krylov"
    if mode == "krylov":
        return _by_krylov(solver, operator, start, epsilon)
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


def _by_krylov(
    solver: Algorithm, operator: SymmetricOperator, start: Tensor, epsilon: float
) -> Applied:
    alpha = solver.alpha
    limit = alpha * (1.0 + _ALPHA_ROUNDING)
    if isinstance(solver, QSVT) and _indefinite(operator, start):
        return _by_krylov_of_the_square(solver, operator, start, epsilon, limit)
    request = KrylovRequest(
        coefficients=solver.coefficients,
        function=solver.function,
        degree=solver.krylov_degree,
        epsilon=epsilon,
        limit=limit,
        too_large=lambda norm: alpha_too_small(alpha, f"‖A‖₂ ≥ {norm:.6g}"),
    )
    return by_krylov(operator, start, request)


def _by_krylov_of_the_square(
    solver: QSVT, operator: SymmetricOperator, start: Tensor, epsilon: float, limit: float
) -> Applied:
    """Return y = (A/α)·h(A²/α²)b̂: Ritz values of A itself would enter the gap around 0."""
    # There |P| is as large as κ_be, and nothing converges before about κ_be products.
    square = MatrixFreeOperator(
        operator.n, lambda v: operator @ (operator @ v), torch.float64, start.device
    )
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
