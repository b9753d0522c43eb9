"""What a quantum linear solver would output, computed without its gates.

The QSVT solver applies a polynomial of A/α to the right-hand side. Its output state is
therefore plain linear algebra: the same polynomial, with the same error, the same success
probability and the same number of queries. Nothing here solves a linear system.
"""

import math
from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, SymmetricOperator, as_operator
from qnewton.records import QuantumStats
from qnewton.solvers.options import Mode
from qnewton.solvers.quantum import promise as promises
from qnewton.solvers.quantum.amplification import amplified_queries
from qnewton.solvers.quantum.polynomials import (
    MAX_DEGREE,
    InversePolynomial,
    inverse_degree,
    inverse_polynomial,
)
from qnewton.solvers.quantum.promise import Promise, SystemRefused

ALGORITHMS = ("qsvt",)
_CHECK_EVERY = 64


@dataclass(frozen=True, kw_only=True)
class QuantumSolution:
    """The output of an emulated quantum linear solver, and what it would have cost.

    Attributes:
        direction: x with A·x ≈ rhs, shape [N], in the matrix's dtype: the state with the length
            that the normalisation gives it.
        state: The normalised output state ``direction/‖direction‖``, shape [N], float64.
        success_probability: Probability p that an attempt is post-selected.
        queries: Calls to the block-encoding U_A in one attempt, the polynomial's degree.
        expected_queries: Calls until success when attempts are repeated, ``queries / p``.
        amplified_queries: Expected calls with the best amplitude amplification for this p.
        degree: Degree of the polynomial.
        alpha: α, the block-encoding holds A/α.
        kappa: κ_be, the polynomial stands for 1/x on 1/κ_be ≤ |x| ≤ 1.
        epsilon: The polynomial error that was asked for.
        error_bound: Bound on ‖direction - A⁻¹rhs‖/‖A⁻¹rhs‖, provided the promise holds (it is
            the bound for exact arithmetic); ``None`` when the promise is known to be broken.
        promise_held: Whether σ_min(A) ≥ α/κ_be; ``None`` when σ_min is not known.
        resolved: Whether ``state`` is the algorithm's output state, not only a solution within
            the promise. Always true when the polynomial is applied term by term.
        algorithm: ``qsvt``.
        mode: How it was computed.
        products: Products with A that the emulation itself spent on the polynomial.
    """

    direction: Tensor = field(repr=False)
    state: Tensor = field(repr=False)
    success_probability: float
    queries: int
    expected_queries: float
    amplified_queries: float
    degree: int
    alpha: float
    kappa: float
    epsilon: float
    error_bound: float | None
    promise_held: bool | None
    resolved: bool
    algorithm: str
    mode: Mode
    products: int

    def stats(self) -> QuantumStats:
        """Return the figures a step record keeps."""
        return QuantumStats(
            algorithm=self.algorithm,
            success_probability=self.success_probability,
            queries=self.queries,
            expected_queries=self.expected_queries,
            degree=self.degree,
            alpha=self.alpha,
            kappa=self.kappa,
            epsilon=self.epsilon,
            promise_held=self.promise_held,
            resolved=self.resolved,
        )


def emulate(
    matrix: SymmetricOperator | Tensor,
    rhs: Tensor,
    algorithm: str = "qsvt",
    epsilon: float = 1e-6,
    alpha: float | None = None,
    kappa: float | None = None,
    mode: Mode = "products",
) -> QuantumSolution:
    """Return what the QSVT linear solver outputs for A·x = rhs, definite A or not.

    With b̂ = rhs/‖rhs‖ and P the optimal inverse polynomial for κ_be and ε, the circuit leaves
    y = P(A/α)·b̂ / max|P| on success, which has probability p = ‖y‖². Then
    x = ‖rhs‖·(max|P|/α)·y, and ‖x - A⁻¹rhs‖ ≤ ε·‖A⁻¹rhs‖ if σ_min(A) ≥ α/κ_be.

    Everything runs in float64, whatever the dtype of the matrix. Gates are perfect; noise, shots
    and state preparation are not part of this.

    Args:
        matrix: A, symmetric, shape [N, N].
        rhs: b, shape [N], not zero.
        algorithm: ``qsvt``.
        epsilon: Error of the polynomial, in (0, 1).
        alpha: α ≥ ‖A‖₂; by default ‖A‖₂ plus rounding.
        kappa: κ_be ≥ 1; by default α/σ_min as measured. A smaller one breaks the promise: the
            result is what the circuit would output all the same, with ``promise_held`` false.
        mode: ``products`` applies Chebyshev's recurrence with one product a query; ``eigen``
            evaluates the polynomial on all eigenvalues, an independent check that costs about
            10·N³.

    Raises:
        ValueError: For an argument out of range, a matrix that is not symmetric, or a
            right-hand side of the wrong length. Its subclass ``SystemRefused`` is raised on
            account of the entries: not finite, a zero right-hand side, a zero matrix, a singular
            one whose κ was to be measured, an α below ‖A‖₂, a κ_be beyond ``MAX_DEGREE``.

    Cost: ``degree`` ≈ κ_be·ln(κ_be/ε) products in float64, 2N² each; up to N = 2,048 the
    eigenvalues too, about 4N³/3, so that the promise is checked (two Cholesky factorisations
    where both α and κ are given and A is definite). A float32 or non-dense matrix
    is copied to float64 entries, except a float64 matrix-free one above that size.

    Reference: Sünderhauf, arXiv:2507.15537 (as transcribed); Gilyén et al., arXiv:1806.01838;
    FORMULAS 17, 24, 28.

    Example:
        >>> matrix = torch.tensor([[2.0, 1.0], [1.0, -3.0]])
        >>> solution = emulate(matrix, torch.tensor([3.0, -2.0]))
        >>> solution.direction, solution.promise_held
        (tensor([1.0000, 1.0000]), True)
    """
    operator = matrix if isinstance(matrix, SymmetricOperator) else DenseOperator(matrix)
    _check_request(operator, rhs, algorithm, mode)
    if alpha is not None and not (0.0 < alpha < math.inf):
        raise ValueError(f"alpha is {alpha}; it must be positive and finite, at least ‖A‖₂")
    inverse_degree(1.0 if kappa is None else kappa, epsilon)  # refuses what is out of range
    length = _length(rhs)
    start = rhs.double() / length
    if operator.n <= promises.EXACT_LIMIT or mode == "eigen":
        working = _float64_entries(operator)
        if mode == "eigen":
            values, vectors = torch.linalg.eigh(working.dense())
            promise = promises.exact_promise(values, alpha, kappa, operator.dtype)
            polynomial = _polynomial(promise, epsilon)
            image = _apply_to_eigenvalues(values / promise.alpha, vectors, start, polynomial)
            return _solution(operator, image, length, polynomial, promise, mode)
        promise = None
        if alpha is not None and kappa is not None:
            promise = promises.certified_promise(working.dense(), alpha, kappa)
        if promise is None:
            values = torch.linalg.eigvalsh(working.dense())
            promise = promises.exact_promise(values, alpha, kappa, operator.dtype)
    else:
        matrix_free = operator.dtype == torch.float64 and not isinstance(operator, DenseOperator)
        working = operator if matrix_free else _float64_entries(operator)
        promise = promises.estimated_promise(working, alpha, kappa)
    polynomial = _polynomial(promise, epsilon)
    image = _apply_by_products(working, promise.alpha, start, polynomial)
    return _solution(operator, image, length, polynomial, promise, mode)


def _check_request(operator: SymmetricOperator, rhs: Tensor, algorithm: str, mode: str) -> None:
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"algorithm {algorithm!r} is not available; available: {', '.join(ALGORITHMS)}"
        )
    if mode not in get_args(Mode):
        raise ValueError(f"mode {mode!r} is not known; known: {', '.join(get_args(Mode))}")
    if rhs.shape != (operator.n,) or rhs.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"the right-hand side has shape {tuple(rhs.shape)} and dtype {rhs.dtype}; this matrix "
            f"needs [{operator.n}] in float32 or float64"
        )


def _length(rhs: Tensor) -> float:
    length = float(rhs.double().norm())
    if not math.isfinite(length):
        raise SystemRefused("not finite", "the right-hand side has entries that are not finite")
    if length == 0.0:
        raise SystemRefused(
            "zero right-hand side",
            "the right-hand side is zero, and no quantum state stands for it; the solution is 0",
        )
    return length


def _float64_entries(operator: SymmetricOperator) -> DenseOperator:
    """Return the operator's entries in float64, exactly symmetric."""
    entries = operator.dense()
    if not torch.isfinite(entries).all():
        raise SystemRefused("not finite", "the matrix has entries that are not finite")
    as_operator(entries)  # refuses what is not symmetric
    entries = entries.double()
    # Averaging takes two more matrices, and ours are bitwise symmetric as they come.
    if not torch.equal(entries, entries.mT):
        entries = (entries + entries.mT) / 2
    return DenseOperator(entries)


def _polynomial(promise: Promise, epsilon: float) -> InversePolynomial:
    degree = inverse_degree(promise.kappa, epsilon)
    if degree > MAX_DEGREE:
        raise SystemRefused(
            f"degree {degree:.1e} above {MAX_DEGREE:.0e}",
            f"kappa_be = {promise.kappa:.4g} at epsilon={epsilon:.3g} needs a polynomial of degree "
            f"{degree:,}, above the limit of {MAX_DEGREE:,}; add damping, raise epsilon, or give "
            "a smaller kappa",
        )
    return inverse_polynomial(promise.kappa, epsilon)


def _apply_by_products(
    operator: SymmetricOperator, alpha: float, start: Tensor, polynomial: InversePolynomial
) -> Tensor:
    """Return P(A/α)·start through T_{k+1} = 2(A/α)T_k - T_{k-1}: ``degree`` products.

    P ripples by ε with slope up to degree²·ε at ±1, so one ulp of A already moves the output by
    about 1e-16·degree²·ε there: 1e-8 at degree 8,113 and ε = 0.3, for a start without any
    component on the small eigenvalues; 1e-13 at degree 10⁵ for ordinary ones.
    """
    entries = operator.dense() if isinstance(operator, DenseOperator) else None

    def following(term: Tensor, before: Tensor) -> Tensor:
        if entries is not None:
            return torch.addmv(before, entries, term, beta=-1.0, alpha=2.0 / alpha)
        return (operator @ term) * (2.0 / alpha) - before

    even, odd = start, (operator @ start) / alpha
    if not torch.isfinite(odd).all():
        raise SystemRefused("not finite", "a product with the matrix is not finite")
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


def _apply_to_eigenvalues(
    scaled: Tensor, vectors: Tensor, start: Tensor, polynomial: InversePolynomial
) -> Tensor:
    """Return P(A/α)·start from A/α's eigenvalues and A's eigenvectors."""
    factors = torch.as_tensor(polynomial.evaluate(scaled.cpu().numpy()), device=start.device)
    return vectors @ (factors * (vectors.mT @ start))


def _solution(
    operator: SymmetricOperator,
    image: Tensor,
    length: float,
    polynomial: InversePolynomial,
    promise: Promise,
    mode: Mode,
) -> QuantumSolution:
    size = float(image.norm())
    # |P|/max|P| ≤ 1 bounds p; rounding alone can put it a few ulps above.
    probability = min(1.0, (size / polynomial.sup_norm) ** 2)
    return QuantumSolution(
        direction=(image * (length / promise.alpha)).to(operator.dtype),
        state=image / size,
        success_probability=probability,
        queries=polynomial.degree,
        expected_queries=polynomial.degree / probability,
        amplified_queries=amplified_queries(polynomial.degree, probability),
        degree=polynomial.degree,
        alpha=promise.alpha,
        kappa=polynomial.kappa,
        epsilon=polynomial.epsilon,
        error_bound=None if promise.held is False else polynomial.error_bound,
        promise_held=promise.held,
        resolved=True,
        algorithm="qsvt",
        mode=mode,
        products=polynomial.degree if mode == "products" else 0,
    )
