"""Dense symmetric matrices whose condition number is known without an eigendecomposition."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.operators.symmetric import mirror_upper_
from qnewton.treatment import row_blocks

REFLECTIONS = 4


@dataclass(frozen=True)
class KnownMatrix:
    """A matrix with its condition number.

    Attributes:
        matrix: Positive definite entries, shape [N, N], bitwise symmetric.
        condition_number: κ of the matrix before its entries were rounded.
        rounding: How far, relatively, rounding the entries may have moved κ.
    """

    matrix: Tensor
    condition_number: float
    rounding: float


def damped_spectrum(n: int, condition_number: float) -> Tensor:
    """Return a spectrum like that of a damped Hessian: a heavy tail on top of 1.

    λ_i = 1 + (κ-1)·(1/i - 1/N)/(1 - 1/N) for i = 1…N: from κ down to 1, most of it near 1.

    Args:
        n: Number of eigenvalues N, at least 2.
        condition_number: κ, at least 1.

    Example:
        >>> [round(value, 6) for value in damped_spectrum(4, 10.0).tolist()]
        [10.0, 4.0, 2.0, 1.0]
    """
    inverse = 1.0 / torch.arange(1, n + 1, dtype=torch.float64)
    return 1.0 + (condition_number - 1.0) * (inverse - 1.0 / n) / (1.0 - 1.0 / n)


def known_matrix(
    spectrum: Tensor, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> KnownMatrix:
    """Return Q diag(λ) Qᵀ, Q a product of four random Householder reflections.

    A reflection I - 2vvᵀ takes A to A - vwᵀ - wvᵀ with w = 2Av - 2(vᵀAv)v, so the result is the
    diagonal less a product of N × 8 matrices. It is formed in float64 and rounded once; rounding
    by u = ulp/2 moves eigenvalues by at most u·‖A‖_F.

    Args:
        spectrum: λ, positive, float64, shape [N].
        generator: Draws the reflections.
        dtype: float32 or float64.

    Cost: 16N² operations, one matrix of the given dtype.

    Example:
        >>> known = known_matrix(damped_spectrum(50, 10.0), torch.Generator().manual_seed(0))
        >>> round(float(torch.linalg.cond(known.matrix)), 4), known.condition_number
        (10.0, 10.0)
    """
    n = len(spectrum)
    left, right = spectrum.new_empty(n, 0), spectrum.new_empty(n, 0)
    for _ in range(REFLECTIONS):
        v = torch.randn(n, 1, generator=generator, dtype=torch.float64)
        v /= v.norm()
        image = spectrum[:, None] * v - left @ (right.mT @ v) - right @ (left.mT @ v)
        w = 2.0 * image - 2.0 * (v.mT @ image) * v
        left, right = torch.cat([left, v], dim=1), torch.cat([right, w], dim=1)
    matrix = torch.empty(n, n, dtype=dtype)
    start = 0
    for rows in row_blocks(matrix):
        stop = start + len(rows)
        entries = left[start:stop] @ right.mT
        entries += right[start:stop] @ left.mT
        rows.copy_(-entries)
        rows.diagonal(start).copy_(spectrum[start:stop] - entries.diagonal(start))
        start = stop
    mirror_upper_(matrix)  # Sums in another order leave entries an ulp from their mirror.
    largest, smallest = float(spectrum.max()), float(spectrum.min())
    moved = torch.finfo(dtype).eps / 2 * float(spectrum.norm())
    return KnownMatrix(matrix, largest / smallest, moved / smallest + moved / largest)
