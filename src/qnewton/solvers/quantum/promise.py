"""What a block-encoding promises of α and κ, and what else a system must be to be emulated."""

import math
from dataclasses import dataclass

import torch
from scipy.linalg import blas
from torch import Tensor

from qnewton.operators import DenseOperator, SymmetricOperator, as_operator
from qnewton.operators.dense import asymmetry
from qnewton.operators.lanczos import Lanczos
from qnewton.operators.ritz import ritz_ends, ritz_values
from qnewton.operators.scaling import into_range
from qnewton.records import Outcome
from qnewton.survey import condition_number

EXACT_LIMIT = 2048
"""Largest N whose eigenvalues are computed to check the promise: two seconds on 2 cores."""

_DAMP = "add λ to its diagonal, or give kappa"
_ESTIMATE_SLACK = 0.01
_SLACK = 1e-9  # forgives a κ_be that was itself computed as α/σ_min


class SystemRefused(ValueError):
    """A system that cannot be emulated because of its entries, not of what was asked.

    Attributes:
        outcome: The reason, as a ``Solution`` reports it.
        detail: The words and numbers beside it.
    """

    def __init__(self, outcome: Outcome, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.outcome, self.detail = outcome, detail


@dataclass(frozen=True, kw_only=True)
class Promise:
    """The scaling of a block-encoding and what it is promised about A.

    Attributes:
        alpha: α, the block-encoding holds A/α.
        kappa: κ_be, the promise is σ_min(A) ≥ α/κ_be.
        held: Whether σ_min ≥ α/κ_be; ``None`` when σ_min is not known.
        definite: Whether all eigenvalues have one sign; ``None`` when they are not known.
    """

    alpha: float
    kappa: float
    held: bool | None
    definite: bool | None = None


def certified_promise(entries: Tensor, alpha: float, kappa: float) -> Promise | None:
    """Return the promise if two Cholesky factorisations certify it, else ``None``."""
    # A - (α/κ)I and αI - A both positive definite say α/κ ≤ λ_min and λ_max ≤ α, for a fifth of the
    # time the eigenvalues take. ``None`` says nothing: A may be indefinite, or the promise broken.
    # Cost: 2N³/3 operations. The factors are thrown away; no system is solved with them.
    for sign, shift in ((1.0, -alpha / kappa * (1.0 - _SLACK)), (-1.0, alpha * (1.0 + 1e-13))):
        shifted = sign * entries
        shifted.diagonal().add_(shift)
        if int(torch.linalg.cholesky_ex(shifted).info) != 0:
            return None
    return Promise(alpha=alpha, kappa=kappa, held=True, definite=True)


def exact_promise(
    eigenvalues: Tensor, alpha: float | None, kappa: float | None, dtype: torch.dtype
) -> Promise:
    """Return the promise of a matrix whose eigenvalues are known.

    Args:
        eigenvalues: All N, float64.
        alpha: α as given, or ``None`` for ‖A‖₂ plus rounding.
        kappa: κ_be as given, or ``None`` for α/σ_min.
        dtype: The dtype A came in; its rounding decides what singular means.

    Raises:
        SystemRefused: If A is zero, α is below ‖A‖₂, or κ is to be measured of a singular A.

    Example:
        >>> exact_promise(torch.tensor([-2.0, 4.0]).double(), 8.0, None, torch.float64).kappa
        4.0
    """
    sizes = eigenvalues.abs()
    norm, smallest = float(sizes.max()), float(sizes.min())
    _refuse_zero(norm)
    # eigvalsh is right to about N·eps·‖A‖; growth of T_k outside [-1, 1] starts there.
    rounding = max(len(eigenvalues), 8) * torch.finfo(torch.float64).eps
    if alpha is None:
        alpha = norm * (1.0 + rounding)
    elif alpha < norm * (1.0 - rounding):
        raise alpha_too_small(alpha, f"‖A‖₂ = {norm:.6g}")
    if kappa is None:
        noise = max(rounding, 4 * torch.finfo(dtype).eps if dtype == torch.float32 else 0.0)
        if smallest <= noise * norm:
            sizes = f"its smallest singular value is {smallest:.3g}, its norm {norm:.3g}"
            message = f"the matrix is singular to working precision: {sizes}; {_DAMP}"
            raise SystemRefused(Outcome.SINGULAR, message)
        kappa = alpha / smallest
    held = smallest * kappa >= alpha * (1.0 - _SLACK)
    definite = bool((eigenvalues > 0).all() or (eigenvalues < 0).all())
    return Promise(alpha=alpha, kappa=kappa, held=held, definite=definite)


def estimated_promise(
    operator: SymmetricOperator, alpha: float | None, kappa: float | None
) -> Promise:
    """Return the promise of a matrix too large for its eigenvalues, from Lanczos estimates."""
    # ‖A‖₂ and κ are estimated to 1% and raised by as much; neither is certified, so ``held`` stays
    # unknown.
    # Cost: tens of products for α, as many as ``condition_number`` needs for κ.
    if alpha is not None and kappa is not None:
        return Promise(alpha=alpha, kappa=kappa, held=None)
    norm = norm_from_below(operator, accuracy=_ESTIMATE_SLACK / 10)
    _refuse_zero(norm)
    if alpha is None:
        alpha = norm * (1.0 + _ESTIMATE_SLACK)
    if kappa is None:
        most = operator.n
        estimate = condition_number(operator, "lanczos", _ESTIMATE_SLACK, max_products=most)
        if estimate.value is None or not math.isfinite(estimate.value):
            message = f"the matrix is singular as far as Lanczos can tell; {_DAMP}"
            raise SystemRefused(Outcome.SINGULAR, message)
        kappa = max(1.0, alpha / norm * estimate.value * (1.0 + _ESTIMATE_SLACK))
    return Promise(alpha=alpha, kappa=kappa, held=None)


def alpha_too_small(alpha: float, norm: str) -> SystemRefused:
    """Return the error for a block-encoding that cannot hold A."""
    return SystemRefused(
        Outcome.ALPHA_TOO_SMALL,
        f"alpha={alpha:.6g} is below {norm}: a block-encoding holds A/alpha only when its norm is "
        "at most 1; raise alpha, or leave it out to have it measured",
    )


def _refuse_zero(norm: float) -> None:
    if norm == 0.0:
        message = "the matrix is zero, so no system with it has a solution"
        raise SystemRefused(Outcome.SINGULAR, message)


def norm_from_below(
    operator: SymmetricOperator, steps: int = 60, accuracy: float | None = None
) -> float:
    """Return the largest Ritz value in absolute terms: close to ‖A‖₂, never above it."""
    # Cost: at most ``steps`` products, and as many vectors kept.
    process = Lanczos(operator, seed=0)
    try:
        while process.products < steps and not process.exhausted:
            process.advance()
            if accuracy is None or process.products % 4:
                continue
            if ritz_ends(process.tridiagonal()).farthest.converged(accuracy):
                break
    except ValueError as error:
        raise SystemRefused(Outcome.NOT_FINITE, f"the matrix is not finite: {error}") from error
    return float(abs(ritz_values(process.tridiagonal())).max())


(_symv,) = blas.get_blas_funcs(("symv",), dtype="float64")


def check_rhs(operator: SymmetricOperator, rhs: Tensor) -> None:
    """Raise ``ValueError`` unless the right-hand side fits the matrix."""
    if rhs.shape != (operator.n,) or rhs.dtype not in (torch.float32, torch.float64):
        found = f"the right-hand side has shape {tuple(rhs.shape)} and dtype {rhs.dtype}"
        raise ValueError(f"{found}; this matrix needs [{operator.n}] in float32 or float64")


def near_rhs(rhs: Tensor) -> tuple[Tensor, int]:
    """Return 2^-f·b in float64, where norms are safe, and f; refuse one zero or not finite."""
    near, exponent = into_range(rhs.double())
    length = float(near.norm())
    if not math.isfinite(length):
        message = "the right-hand side has entries that are not finite"
        raise SystemRefused(Outcome.NOT_FINITE, message)
    if length == 0.0:
        message = "the right-hand side is zero, and no quantum state stands for it"
        raise SystemRefused(Outcome.ZERO_RHS, f"{message}; the solution is 0")
    return near, exponent


def float64_entries(operator: SymmetricOperator) -> tuple[DenseOperator, int]:
    """Return 2^-e·A by its entries in float64, exactly symmetric, and the e that norms need."""
    entries = operator.dense()
    # A finite sum proves finite entries in one pass; an overflowing one is looked at again.
    if not torch.isfinite(entries.sum()) and not torch.isfinite(entries).all():
        raise SystemRefused(Outcome.NOT_FINITE, "the matrix has entries that are not finite")
    as_operator(entries)  # refuses what is not symmetric
    mirrored = asymmetry(entries) == 0.0
    entries, exponent = into_range(entries.double())
    # Averaging takes two more matrices, and ours are bitwise symmetric as they come.
    if not mirrored:
        entries = (entries + entries.mT) / 2
    return half_read(DenseOperator(entries)), exponent


class HalfReadOperator(DenseOperator):
    """A float64 matrix on the CPU, multiplied by BLAS's ``symv``.

    A product is limited by memory, and ``symv`` reads each pair of mirrored entries once:
    N = 12,544 takes 20 ms in place of 53 ms on two cores.

    Example:
        >>> HalfReadOperator(torch.eye(2).double()) @ torch.tensor([1.0, 2.0]).double()
        tensor([1., 2.], dtype=torch.float64)
    """

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v; more than one column goes to the general product."""
        self.check_vector(vector)
        if vector.ndim == 2:
            return super().__matmul__(vector)
        # BLAS counts columns first; the transpose of a row-major matrix is a view of it.
        return torch.from_numpy(_symv(1.0, self.dense().numpy().T, vector.numpy(), lower=1))


def half_read(operator: DenseOperator) -> DenseOperator:
    """Return the operator that multiplies fastest: one half read where the matrix allows it."""
    entries = operator.dense()
    if entries.device.type == "cpu" and entries.dtype == torch.float64 and entries.is_contiguous():
        return HalfReadOperator(entries, operator.treatment)
    return operator
