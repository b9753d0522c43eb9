"""Upper bounds on the condition number from the determinant, with the norm or the trace."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.records import Estimate
from qnewton.treatment import row_blocks

# Up to here a float64 copy takes at most 128 MiB and the factorisation about a second.
_FLOAT64_ROWS = 4096
_LOG_MAX = math.log(torch.finfo(torch.float64).max)


@dataclass(frozen=True)
class Factorization:
    """The pivots of one factorisation of A, enough for both bounds.

    Attributes:
        log_pivots: Natural logarithms of the N pivots, float64; their sum is log|det A|.
        rounding: Allowance for the rounding of their sum, 8N ulp; at κ ≈ 1 it is what counts.
        definite: Whether Cholesky ran to its end, or a caller knew A positive definite.
        certificate: What guarantees that A is positive definite; ``None`` if nothing does.
        refusal: Why A is not taken for positive definite; ``None`` if it is.
    """

    log_pivots: Tensor
    rounding: float
    definite: bool
    certificate: str | None
    refusal: str | None


def factorize(matrix: Tensor, positive_definite: bool | None) -> Factorization:
    """Factor A by Cholesky, or by LU where that fails.

    Cholesky in float64 is run on A - cI with c = (N+3)u/(1-2(N+3)u)·tr A, u half an ulp. That it
    ends proves A positive definite, rounding included (two of the N + 3 for that of the shift),
    and the determinant it gives is not above that of A, which keeps the bounds bounds. In float32
    c would swamp the matrix: there Cholesky runs on A itself and certifies nothing.

    Args:
        matrix: Finite entries, shape [N, N].
        positive_definite: What is already known: ``True`` and ``False`` are believed.

    Cost: N³/3 operations for Cholesky, and 2N³/3 for LU where that fails. Beside the matrix there
    is one more, the factor; where float64 is to certify, the shifted matrix too.

    Reference: Rump, BIT 46 (2006) 433, for c.
    """
    n = matrix.shape[0]
    double = matrix.dtype == torch.float64 or n <= _FLOAT64_ROWS
    dtype = torch.float64 if double else matrix.dtype
    rounding = 8.0 * n * torch.finfo(dtype).eps
    refusal = "A is known not to be positive definite"
    if positive_definite is not False:
        factor, info = torch.linalg.cholesky_ex(_shifted(matrix) if double else matrix)
        if int(info) == 0:
            certificate = (
                "Cholesky in float64 with a shift covering its rounding" if double else None
            )
            if positive_definite:
                certificate = certificate or "positive definite, as given"
            pivots = factor.diagonal().to(torch.float64)
            return Factorization(2.0 * pivots.log(), rounding, True, certificate, None)
        refusal = f"Cholesky failed at pivot {int(info)} of {n}"
        del factor  # Before LU needs as much again.
    pivots = torch.linalg.lu_factor_ex(matrix.to(dtype))[0].diagonal().to(torch.float64)
    log_pivots = pivots.abs().log()
    if positive_definite:
        return Factorization(log_pivots, rounding, True, "positive definite, as given", None)
    return Factorization(log_pivots, rounding, False, None, refusal)


def _shifted(matrix: Tensor) -> Tensor:
    n = matrix.shape[0]
    shifted = matrix.to(torch.float64, copy=True)
    half_ulps = (n + 3) * torch.finfo(torch.float64).eps / 2
    shift = half_ulps / (1 - 2 * half_ulps) * max(float(shifted.trace()), 0.0)
    shifted.diagonal().sub_(shift)
    return shifted


def determinant_bound(matrix: Tensor, factorization: Factorization) -> Estimate:
    """Bound κ of any nonsingular A by κ ≤ √((1+x)/(1-x)), x = √(1-y).

    y = (N/‖A‖_F²)^N det(A)².

    Reference: Merikoski, Urpala, Virtanen, Tam, Uhlig, Linear Algebra Appl. 254 (1997) 107;
    Q-Newton (arXiv:2405.00252), section IV-C.
    """
    square = sum(float(rows.to(torch.float64).square().sum()) for rows in row_blocks(matrix))
    return determinant_bound_from(square, factorization)


def determinant_bound_from(square: float, factorization: Factorization) -> Estimate:
    """Return :func:`determinant_bound` of a matrix whose ‖A‖_F² is ``square``."""
    n = len(factorization.log_pivots)
    if square == 0.0:
        return _singular("determinant")
    # Pivot by pivot against the scale: the sum of N small terms, not a difference of large ones.
    log_y = 2.0 * float((factorization.log_pivots - 0.5 * math.log(square / n)).sum())
    if log_y == -math.inf:
        return _singular("determinant")
    log_y = min(log_y, 0.0) - factorization.rounding
    # √((1+x)/(1-x)) with 1-x = y/(1+x).
    log_bound = _log_one_plus_root(log_y) - log_y / 2.0
    return _bound(
        "determinant", log_bound, "determinant and Frobenius norm (Merikoski et al. 1997)"
    )


def trace_bound(matrix: Tensor, factorization: Factorization) -> Estimate:
    """Bound κ of a positive definite A by κ ≤ (1+x)/(1-x), x = √(1-y).

    y = (N/tr A)^N det A. It is a bound, ``high``, only where definiteness is certified.

    Raises:
        ValueError: If A is not positive definite as far as the factorisation can tell.

    Reference: as for :func:`determinant_bound`.
    """
    return trace_bound_from(float(matrix.diagonal().sum(dtype=torch.float64)), factorization)


def trace_bound_from(trace: float, factorization: Factorization) -> Estimate:
    """Return :func:`trace_bound` of a matrix whose trace is ``trace``."""
    if not factorization.definite or trace <= 0.0:
        raise ValueError(
            f"the trace bound needs a positive definite matrix, and {factorization.refusal}; "
            "use 'determinant' or 'lanczos', or a larger damping"
        )
    log_y = float(
        (factorization.log_pivots - math.log(trace / len(factorization.log_pivots))).sum()
    )
    log_y = min(log_y, 0.0) - factorization.rounding
    log_bound = 2.0 * _log_one_plus_root(log_y) - log_y
    certificate = factorization.certificate
    if certificate is not None:
        certificate = f"determinant and trace (Merikoski et al. 1997); {certificate}"
    return _bound("trace", log_bound, certificate)


def _log_one_plus_root(log_y: float) -> float:
    return math.log1p(math.sqrt(-math.expm1(log_y)))


def _bound(method: str, log_bound: float, certificate: str | None) -> Estimate:
    value = math.exp(log_bound) if log_bound < _LOG_MAX else None
    return Estimate(
        value=value,
        low=1.0,
        high=value if certificate else None,
        method=method,
        products=0,
        log_value=log_bound,
        low_certificate="κ ≥ 1 for every matrix",
        high_certificate=certificate,
    )


def _singular(method: str) -> Estimate:
    return Estimate(
        value=None,
        low=1.0,
        high=None,
        method=method,
        products=0,
        low_certificate="κ ≥ 1 for every matrix",
        high_certificate="none: det A = 0 in floating point, so the bound is infinite",
    )
