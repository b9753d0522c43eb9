"""How many products Krylov solvers take to a residual, or to an error of the step's direction.

A step moves along x/‖x‖, and a quantum solver gives that direction to an error ε. A classical one
that has to do the same needs a relative error e = ‖x_k - x‖/‖x‖ of no more than
:func:`relative_error`, which is a residual of e/κ in general, since ‖x_k - x‖ ≤ ‖A⁻¹‖·‖b - A·x_k‖
and ‖b‖ ≤ ‖A‖·‖x‖. Conjugate gradients need less: their error is bounded in the norm of A, which
bounds that of x with √κ in place of κ.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from qnewton.records.messages import check


def relative_error(direction_error: float) -> float:
    """Return the relative error of x that leaves an error ε of its direction: ε/(1 + ε/2).

    ‖x_k/‖x_k‖ - x/‖x‖‖ ≤ 2‖x_k - x‖/(‖x_k‖ + ‖x‖) ≤ e/(1 - e/2) for e = ‖x_k - x‖/‖x‖.

    Raises:
        ValueError: If ε is not between 0 and 1.

    Reference:
        Dunkl and Williams 1964.

    Example:
        >>> f"{relative_error(0.1):.4f}"
        '0.0952'
    """
    limits = "must lie between 0 and 1"
    check("direction_error", direction_error, limits, 0 < direction_error < 1)
    return direction_error / (1.0 + direction_error / 2.0)


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
    krylov_known(condition_number, tolerance)
    root = math.sqrt(condition_number)
    return max(1, math.ceil(0.5 * root * (math.log(2 * root) - math.log(tolerance))))


def minres_products(condition_number: float, tolerance: float) -> int:
    """Bound the MINRES products to a relative residual, signs unknown: ⌈κ ln(2/ε)⌉.

    Args:
        condition_number: κ = max|λ|/min|λ|, at least 1.
        tolerance: Relative residual ε, between 0 and 1.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        Greenbaum, Iterative Methods for Solving Linear Systems, 3.1: for a spectrum on both sides
        of zero, 2((κ-1)/(κ+1))^⌊k/2⌋, which is below 2·exp(-k/κ).

    Example:
        >>> minres_products(100.0, 1e-6)
        1451
    """
    krylov_known(condition_number, tolerance)
    return max(1, math.ceil(condition_number * (math.log(2) - math.log(tolerance))))


def lsmr_products(condition_number: float, tolerance: float) -> int:
    """Bound the LSMR products to a relative residual: ⌈½√κ ln(2/ε)⌉.

    Args:
        condition_number: κ of U Uᵀ + λI, at least 1.
        tolerance: Relative residual ε, between 0 and 1.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        Fong and Saunders 2011: LSMR is MINRES on a definite matrix, whose residual is at most
        2((√κ-1)/(√κ+1))^k (Greenbaum, Iterative Methods for Solving Linear Systems, 3.1).

    Example:
        >>> lsmr_products(100.0, 1e-6)
        73
    """
    krylov_known(condition_number, tolerance)
    return max(1, math.ceil(0.5 * math.sqrt(condition_number) * math.log(2.0 / tolerance)))


def pcg_products(preconditioned: float, condition_number: float, tolerance: float) -> int:
    """Bound the products of preconditioned conjugate gradients: ⌈½√κ_M ln(2√κ/ε)⌉.

    The error obeys ‖x - x_k‖_A ≤ 2((√κ_M-1)/(√κ_M+1))^k ‖x‖_A, κ_M of M^-½ A M^-½; √κ, of A, is
    what the residual ‖b - A·x_k‖/‖b‖ may be larger, and the error ‖x - x_k‖/‖x‖ as well.

    Args:
        preconditioned: κ_M, at least 1.
        condition_number: κ of A itself, at least 1.
        tolerance: Relative residual or relative error ε, between 0 and 1.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., eq. 6.128, for
        M^-½ A M^-½.

    Example:
        >>> pcg_products(4.0, 100.0, 1e-6), pcg_products(100.0, 100.0, 1e-6)
        (17, 85)
    """
    limits = "must be finite and at least 1"
    check("preconditioned", preconditioned, limits, preconditioned >= 1)
    krylov_known(condition_number, tolerance)
    rounds = math.log(2 * math.sqrt(condition_number)) - math.log(tolerance)
    return max(1, math.ceil(0.5 * math.sqrt(preconditioned) * rounds))


def krylov_known(condition_number: float, tolerance: float) -> None:
    """Refuse a condition number or a tolerance that bounds no products."""
    limits = "must be finite and at least 1"
    check("condition_number", condition_number, limits, condition_number >= 1)
    check("tolerance", tolerance, "must lie between 0 and 1", 0 < tolerance < 1)


@dataclass(frozen=True)
class Bounds:
    """What bounds the products of a Krylov solver, each as ``(condition_number, ε) -> products``.

    Attributes:
        residual: To ‖b - A·x_k‖ ≤ ε‖b‖.
        error: To ‖x - x_k‖ ≤ ε‖x‖.
    """

    residual: Callable[[float, float], int]
    error: Callable[[float, float], int]


def _through_residual(products: Callable[[float, float], int], kappa: float, error: float) -> int:
    """Return the products to a relative error by way of a residual of error/κ."""
    return products(kappa, error / kappa)


# 2√κ·ρ^k bounds the residual and the error alike: ‖x - x_k‖_A ≤ 2ρ^k·‖x‖_A.
CG_BOUNDS = Bounds(cg_products, cg_products)

MINRES_BOUNDS = Bounds(minres_products, partial(_through_residual, minres_products))

# Of a definite matrix the residual is at most 2ρ^k, as LSMR's is.
DEFINITE_MINRES_BOUNDS = Bounds(cg_products, partial(_through_residual, lsmr_products))

LSMR_BOUNDS = Bounds(lsmr_products, partial(_through_residual, lsmr_products))
