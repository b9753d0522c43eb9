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
class Pivots:
    """The pivots of one factorisation of A, enough for both bounds.

    Attributes:
        logs: Natural logarithms of the N pivots, float64; their sum is log|det A|.
        rounding: Allowance for the rounding of their sum, 8N ulp; at κ ≈ 1 it is what counts.
        definite: Whether Cholesky ran to its end, or a caller knew A positive definite.
        certificate: What guarantees that A is positive definite; ``None`` if nothing does.
        refusal: Why A is not taken for positive definite; ``None`` if it is.
    """

    logs: Tensor
    rounding: float
    definite: bool
    certificate: str | None
    refusal: str | None

    def determinant_bound(self, square: float) -> Estimate:
        """Bound κ of any nonsingular A with ‖A‖_F² = ``square`` by κ ≤ √((1+x)/(1-x)), x = √(1-y).

        y = (N/‖A‖_F²)^N det(A)².

        Reference: Merikoski, Urpala, Virtanen, Tam, Uhlig, Linear Algebra Appl. 254 (1997) 107;
        Q-Newton (arXiv:2405.00252), section IV-C.
        """
        log_y = -math.inf if square == 0.0 else 2.0 * self._against(square / len(self.logs), 0.5)
        if log_y == -math.inf:
            nothing = "none: det A = 0 in floating point, so the bound is infinite"
            return _bound("determinant", None, nothing)
        log_y = min(log_y, 0.0) - self.rounding
        # √((1+x)/(1-x)) with 1-x = y/(1+x).
        log_bound = _log_one_plus_root(log_y) - log_y / 2.0
        certificate = "determinant and Frobenius norm (Merikoski et al. 1997)"
        return _bound("determinant", log_bound, certificate)

    def trace_bound(self, trace: float) -> Estimate:
        """Bound κ of a positive definite A with tr A = ``trace`` by κ ≤ (1+x)/(1-x), x = √(1-y)."""
        # y = (N/tr A)^N det A. It is a bound, ``high``, only where definiteness is certified.
        # Reference: as for :meth:`determinant_bound`.
        if not self.definite or trace <= 0.0:
            way_out = "use 'determinant' or 'lanczos', or a larger damping"
            needed = f"the trace bound needs a positive definite matrix, and {self.refusal}"
            raise ValueError(f"{needed}; {way_out}")
        log_y = min(self._against(trace / len(self.logs), 1.0), 0.0) - self.rounding
        certificate = self.certificate
        if certificate is not None:
            certificate = f"determinant and trace (Merikoski et al. 1997); {certificate}"
        return _bound("trace", 2.0 * _log_one_plus_root(log_y) - log_y, certificate)

    def bound(self, matrix: Tensor, method: str) -> Estimate:
        """Return the ``determinant`` or the ``trace`` bound of the A they are the pivots of."""
        if method == "trace":
            return self.trace_bound(float(matrix.diagonal().sum(dtype=torch.float64)))
        squares = (rows.to(torch.float64).square() for rows in row_blocks(matrix))
        return self.determinant_bound(sum(float(square.sum()) for square in squares))

    def _against(self, scale: float, power: float) -> float:
        # Pivot by pivot: the sum of N small terms, not a difference of large ones.
        return float((self.logs - power * math.log(scale)).sum())


def factorize(matrix: Tensor, positive_definite: bool | None) -> Pivots:
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
            shifted = "Cholesky in float64 with a shift covering its rounding"
            given = "positive definite, as given" if positive_definite else None
            certificate = shifted if double else given
            pivots = factor.diagonal().to(torch.float64)
            return Pivots(2.0 * pivots.log(), rounding, True, certificate, None)
        refusal = f"Cholesky failed at pivot {int(info)} of {n}"
        del factor  # Before LU needs as much again.
    pivots = torch.linalg.lu_factor_ex(matrix.to(dtype))[0].diagonal().to(torch.float64)
    log_pivots = pivots.abs().log()
    if positive_definite:
        return Pivots(log_pivots, rounding, True, "positive definite, as given", None)
    return Pivots(log_pivots, rounding, False, None, refusal)


def _shifted(matrix: Tensor) -> Tensor:
    n = matrix.shape[0]
    shifted = matrix.to(torch.float64, copy=True)
    half_ulps = (n + 3) * torch.finfo(torch.float64).eps / 2
    shift = half_ulps / (1 - 2 * half_ulps) * max(float(shifted.trace()), 0.0)
    shifted.diagonal().sub_(shift)
    return shifted


def _log_one_plus_root(log_y: float) -> float:
    return math.log1p(math.sqrt(-math.expm1(log_y)))


def _bound(method: str, log_bound: float | None, certificate: str | None) -> Estimate:
    value = None
    if log_bound is not None and log_bound < _LOG_MAX:
        value = math.exp(log_bound)
    high = value if certificate else None
    known = {"low_certificate": "κ ≥ 1 for every matrix", "high_certificate": certificate}
    known |= {"method": method, "log_value": log_bound, "products": 0}
    return Estimate(value=value, low=1.0, high=high, **known)
