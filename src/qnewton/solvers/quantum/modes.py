"""Three ways to the same output state: products, eigenvalues, a Krylov space."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.operators import MatrixFreeOperator, SymmetricOperator
from qnewton.solvers.options import Mode
from qnewton.solvers.quantum.chances import Chances
from qnewton.solvers.quantum.dalzell import Dalzell
from qnewton.solvers.quantum.hhl import HHL
from qnewton.solvers.quantum.krylov import KrylovRequest, by_krylov
from qnewton.solvers.quantum.promise import alpha_too_small
from qnewton.solvers.quantum.qsvt import QSVT
from qnewton.survey.lanczos import Lanczos
from qnewton.survey.ritz import ritz_values

_ALPHA_ROUNDING = 1e-9
_MOST_OPERATIONS = 2e10
_SIGN_STEPS = 24


@dataclass(frozen=True, kw_only=True)
class Applied:
    """An output state before it is normalised.

    Attributes:
        image: y, float64, shape [N].
        chances: Success probability, and that of the last stage.
        resolved: Whether ``image`` is y, rather than a solution within the promise.
        products: Products with A.
        mode: How.
    """

    image: Tensor
    chances: Chances
    resolved: bool
    products: int
    mode: Mode


class Eigenbasis:
    """All eigenpairs of A, and a polynomial's values on them, evaluated once for many vectors.

    Args:
        values: The N eigenvalues, float64.
        vectors: Eigenvectors as columns, [N, N].
    """

    def __init__(self, values: Tensor, vectors: Tensor) -> None:
        self.values = values
        self.vectors = vectors
        self._kept: tuple[QSVT, Tensor] | None = None

    def factors(self, solver: QSVT) -> Tensor:
        """Return P(λ/α)/max|P| at every eigenvalue, from the coefficients of ``solver``'s P."""
        if self._kept is None or self._kept[0] is not solver:
            self._kept = (solver, solver.by_clenshaw(self.values))
        return self._kept[1]


def apply(
    solver: QSVT | Dalzell | HHL,
    operator: SymmetricOperator,
    start: Tensor,
    mode: Mode,
    basis: Eigenbasis | None,
    epsilon: float,
    alpha: float,
) -> Applied:
    """Return the output of ``solver`` for A and b̂.

    Args:
        solver: The algorithm with all its parameters.
        operator: A in float64.
        start: b̂.
        mode: As ``emulate`` takes it.
        basis: A's eigenpairs, for mode ``eigen``.
        epsilon: The error asked for.
        alpha: α.
    """
    if basis is not None:
        return _by_eigenvalues(solver, basis, start)
    if mode == "auto":
        cheap = 2.0 * operator.n**2 * solver.queries <= _MOST_OPERATIONS
        mode = "products" if cheap else "krylov"
    if mode == "krylov":
        return _by_krylov(solver, operator, start, epsilon, alpha)
    if isinstance(solver, Dalzell):
        image, chances, products = solver.by_products(operator, start)
    else:
        image, products = solver.by_products(operator, start)
        chances = Chances(float(image @ image))
    return Applied(image=image, chances=chances, resolved=True, products=products, mode="products")


def _by_eigenvalues(solver: QSVT | Dalzell | HHL, basis: Eigenbasis, start: Tensor) -> Applied:
    weights = basis.vectors.mT @ start
    if isinstance(solver, QSVT):
        y = basis.factors(solver) * weights
        chances = Chances(float(y @ y))
    else:
        theta = basis.values.cpu().numpy()
        found, chances = solver.coefficients(theta, weights.cpu().numpy())
        y = torch.as_tensor(found, device=start.device)
    return Applied(
        image=basis.vectors @ y, chances=chances, resolved=True, products=0, mode="eigen"
    )


def _by_krylov(
    solver: QSVT | Dalzell | HHL,
    operator: SymmetricOperator,
    start: Tensor,
    epsilon: float,
    alpha: float,
) -> Applied:
    limit = alpha * (1.0 + _ALPHA_ROUNDING)
    if isinstance(solver, QSVT) and _indefinite(operator, start):
        return _by_krylov_of_the_square(solver, operator, start, epsilon, limit)
    if isinstance(solver, QSVT):
        function, degree = solver.factors, solver.queries
    elif isinstance(solver, HHL):
        function, degree = solver.factors, None
    else:
        # y depends on b̂'s own moments, so it is no fixed function of A.
        function, degree = None, solver.queries
    request = KrylovRequest(
        coefficients=solver.coefficients,
        function=function,
        degree=degree,
        epsilon=epsilon,
        limit=limit,
        too_large=lambda norm: alpha_too_small(alpha, f"‖A‖₂ ≥ {norm:.6g}"),
    )
    found = by_krylov(operator, start, request)
    return Applied(
        image=found.image,
        chances=found.chances,
        resolved=found.resolved,
        products=found.products,
        mode="krylov",
    )


def _by_krylov_of_the_square(
    solver: QSVT, operator: SymmetricOperator, start: Tensor, epsilon: float, limit: float
) -> Applied:
    """Return y = (A/α)·h(A²/α²)b̂: Ritz values of A itself would enter the gap around 0.

    There |P| is as large as κ_be, and nothing converges before about κ_be products.
    """
    square = MatrixFreeOperator(
        operator.n,
        lambda v: operator @ (operator @ v),
        dtype=torch.float64,
        device=start.device,
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
    return Applied(
        image=image,
        chances=Chances(float(image @ image)),
        resolved=found.resolved,
        products=2 * found.products + 1,
        mode="krylov",
    )


def _indefinite(operator: SymmetricOperator, start: Tensor) -> bool:
    """Return whether Ritz values of both signs turn up in a few products.

    Where the only eigenvalues of one sign are seen later, the iteration on A takes longer but is
    as right: ``resolved`` is judged on the spectrum seen.
    """
    process = Lanczos(operator, start=start)
    while process.products < min(_SIGN_STEPS, operator.n) and not process.exhausted:
        process.advance()
    values = ritz_values(process.tridiagonal())
    return bool(values.min() < 0.0 < values.max())
