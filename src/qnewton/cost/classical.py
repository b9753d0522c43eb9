"""What the classical solvers cost: one quote a solver, priced from fitted kernels.

A quote's terms add up to its seconds. Quotes are refused, never raised, for what a calibration
or a survey does not know.
"""

import math

from qnewton.cost.kernels import cubic_work, matvec_work, missing_fit, price
from qnewton.records import Calibration, Facts, PriceTerm, Quote

CG_VECTOR_PASSES = 5
"""Passes over N-vectors beside each CG product: two inner products and three updates."""

_SOLVES_AS_PRODUCT = (
    "the two triangular solves are priced as one matrix-vector product: both read N² entries"
)


def lu_inverse_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price LU inversion exactly as the paper does: C·N³.

    Args:
        calibration: The classical machine; C is its ``lu_inverse`` rate.
        facts: Facts of the system; only N is read.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``lu_inverse``, refused if the calibration has no rate.

    Cost:
        A few scalar operations; on the machine priced, 2N³ flops.

    Reference:
        Li et al., arXiv:2405.00252, IV-C ("Classical Solver Cost Estimation").

    Example:
        >>> from qnewton.cost import load_classical
        >>> quote = lu_inverse_quote(load_classical("paper-h100"), Facts(n=12_544))
        >>> f"{quote.seconds:.2f}"
        '0.92'
    """
    model = "C·N³ (paper IV-C)"
    if calibration.fit("lu_inverse", dtype) is None:
        reason = missing_fit(calibration, "lu_inverse", dtype)
        return _refusal("lu_inverse", calibration, model, reason)
    seconds = price(calibration, "lu_inverse", cubic_work(facts.n), dtype)
    return _quote(
        "lu_inverse",
        calibration,
        model,
        (PriceTerm(name="invert", seconds=seconds),),
        ("the inverse times the gradient is not charged, as in the paper",),
    )


def lu_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price an LU factorisation (2N³/3 flops) and its two triangular solves.

    Args:
        calibration: The classical machine.
        facts: Facts of the system; only N is read.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``lu`` with terms ``factor`` and ``solve``, refused if the calibration
        lacks a rate.

    Cost:
        A few scalar operations.

    Reference:
        Golub and Van Loan, Matrix Computations, 4th ed., 3.4.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> [term.name for term in lu_quote(nominal_calibration(), Facts(n=100)).terms]
        ['factor', 'solve']
    """
    return _factorisation("lu", calibration, facts, dtype, ())


def cholesky_quote(calibration: Calibration, facts: Facts, dtype: str = "float32") -> Quote:
    """Price a Cholesky factorisation (N³/3 flops) and its two triangular solves.

    Args:
        calibration: The classical machine.
        facts: Facts of the system; N and the definiteness are read.
        dtype: ``float32`` or ``float64``.

    Returns:
        The quote of solver ``cholesky`` with terms ``factor`` and ``solve``; refused if A is
        known to be indefinite or the calibration lacks a rate.

    Cost:
        A few scalar operations.

    Reference:
        Golub and Van Loan, Matrix Computations, 4th ed., 4.2.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> facts = Facts(n=100, definiteness="indefinite")
        >>> cholesky_quote(nominal_calibration(), facts).refused
        'A is indefinite; Cholesky needs a positive definite matrix'
    """
    if facts.definiteness == "indefinite":
        return _refusal(
            "cholesky",
            calibration,
            _factorisation_model("cholesky"),
            "A is indefinite; Cholesky needs a positive definite matrix",
        )
    assumptions = ()
    if facts.definiteness is None:
        assumptions = ("positive definite, checked by the factorisation itself",)
    return _factorisation("cholesky", calibration, facts, dtype, assumptions)


def cg_products(condition_number: float, tolerance: float) -> int:
    """Bound the conjugate-gradient products to a relative residual: ⌈½√κ ln(2√κ/ε)⌉.

    Args:
        condition_number: κ of a positive definite matrix, at least 1.
        tolerance: Relative residual ε, between 0 and 1.

    Returns:
        Products with the matrix, at least 1. Exact arithmetic; starts at x = 0.

    Raises:
        ValueError: If an argument is out of range.

    Cost:
        A few scalar operations.

    Reference:
        Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., eq. 6.128, whose A-norm error
        bound 2((√κ-1)/(√κ+1))^k loses √κ when turned into a residual.

    Example:
        >>> cg_products(100.0, 1e-6)
        85
    """
    if not 1 <= condition_number < math.inf:
        raise ValueError(
            f"condition_number is {condition_number!r}; it must be finite and at least 1"
        )
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is {tolerance!r}; it must lie between 0 and 1")
    root = math.sqrt(condition_number)
    return max(1, math.ceil(0.5 * root * (math.log(2 * root) - math.log(tolerance))))


def cg_quote(
    calibration: Calibration, facts: Facts, dtype: str = "float32", *, tolerance: float = 1e-6
) -> Quote:
    """Price conjugate gradients on the dense matrix: :func:`cg_products` products and vectors.

    Args:
        calibration: The classical machine.
        facts: Facts of the system; N, the condition number and the definiteness are read.
        dtype: ``float32`` or ``float64``.
        tolerance: Relative residual to reach.

    Returns:
        The quote of solver ``cg`` with terms ``products`` and ``vectors``; refused if A is known
        to be indefinite, its condition number is unknown, or the calibration lacks a rate.

    Raises:
        ValueError: If the tolerance or the condition number is out of range.

    Cost:
        A few scalar operations.

    Reference:
        See :func:`cg_products`.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> cg_quote(nominal_calibration(), Facts(n=100)).refused
        'the condition number is unknown; survey it to price CG'
    """
    model = "⌈½√κ ln(2√κ/ε)⌉ products of N²"
    if facts.definiteness == "indefinite":
        return _refusal(
            "cg", calibration, model, "A is indefinite; CG needs a positive definite matrix"
        )
    condition = facts.condition
    if condition is None:
        return _refusal(
            "cg", calibration, model, "the condition number is unknown; survey it to price CG"
        )
    if condition.value is None and condition.log_value is None:
        reason = f"the condition number is not known, {condition.describe()}, so CG has no price"
        return _refusal("cg", calibration, model, reason)
    if condition.value is None or not math.isfinite(condition.value):
        reason = f"the condition number is {condition.describe()}, too large to price CG"
        return _refusal("cg", calibration, model, reason)
    for kernel in ("matvec", "elementwise"):
        if calibration.fit(kernel, dtype) is None:
            return _refusal("cg", calibration, model, missing_fit(calibration, kernel, dtype))
    products = cg_products(condition.value, tolerance)
    passes = CG_VECTOR_PASSES * products
    assumptions = [
        f"{products} products, the most exact arithmetic needs at κ = {condition.describe()} "
        f"for a residual of {tolerance:.2g}"
    ]
    if facts.definiteness is None:
        assumptions.append("positive definite, which nobody has certified")
    return _quote(
        "cg",
        calibration,
        model,
        (
            PriceTerm(
                name="products",
                seconds=price(
                    calibration, "matvec", matvec_work(facts.n, products), dtype, calls=products
                ),
            ),
            PriceTerm(
                name="vectors",
                seconds=price(
                    calibration, "elementwise", float(passes) * facts.n, dtype, calls=passes
                ),
            ),
        ),
        tuple(assumptions),
        condition_number=condition.value,
        epsilon=tolerance,
    )


def _factorisation_model(kernel: str) -> str:
    return f"{kernel} factorisation (N³) and two triangular solves (N²)"


def _factorisation(
    kernel: str, calibration: Calibration, facts: Facts, dtype: str, assumptions: tuple[str, ...]
) -> Quote:
    model = _factorisation_model(kernel)
    for needed in (kernel, "matvec"):
        if calibration.fit(needed, dtype) is None:
            return _refusal(kernel, calibration, model, missing_fit(calibration, needed, dtype))
    factor = price(calibration, kernel, cubic_work(facts.n), dtype)
    solve = price(calibration, "matvec", matvec_work(facts.n), dtype)
    return _quote(
        kernel,
        calibration,
        model,
        (PriceTerm(name="factor", seconds=factor), PriceTerm(name="solve", seconds=solve)),
        (*assumptions, _SOLVES_AS_PRODUCT),
    )


def _quote(
    solver: str,
    calibration: Calibration,
    model: str,
    terms: tuple[PriceTerm, ...],
    assumptions: tuple[str, ...],
    condition_number: float | None = None,
    epsilon: float | None = None,
) -> Quote:
    # Rates that nobody timed here say so in every quote made from them.
    timed = any(fit.samples for fit in calibration.fits)
    return Quote(
        solver=solver,
        machine="classical",
        seconds=math.fsum(term.seconds for term in terms),
        model=model,
        hardware=calibration.name,
        terms=terms,
        assumptions=assumptions if timed else (*assumptions, calibration.source),
        condition_number=condition_number,
        epsilon=epsilon,
    )


def _refusal(solver: str, calibration: Calibration, model: str, reason: str) -> Quote:
    return Quote(
        solver=solver,
        machine="classical",
        seconds=None,
        model=model,
        hardware=calibration.name,
        refused=reason,
    )
