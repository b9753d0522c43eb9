"""Timing estimators of the condition number on matrices whose κ is known."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from qnewton.operators import DenseOperator
from qnewton.operators.symmetric import mirror_upper_
from qnewton.records import Estimate
from qnewton.survey import condition_number
from qnewton.survey.condition import Method
from qnewton.treatment import row_blocks

METHODS: tuple[Method, ...] = ("determinant", "trace", "lanczos")
"""The paper's estimator by norm and by trace, and Lanczos to 1%."""

Repeats = Mapping[int, tuple[int, int]]

LARGEST_EXACT = 1000
"""Largest N at which all eigenvalues are computed as well."""


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


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One method on one matrix, or LU inversion beside it.

    Attributes:
        n: Number of rows.
        condition_number: The matrix's κ.
        method: ``determinant``, ``trace``, ``lanczos`` or ``lu_inverse``.
        runs: Measured wall-clock seconds of each run.
        estimate: What it said; ``None`` for the inversion.
        rounding: Relative uncertainty of κ itself.
    """

    n: int
    condition_number: float
    method: str
    runs: tuple[float, ...]
    estimate: Estimate | None
    rounding: float

    @classmethod
    def of(
        cls, method: str, known: KnownMatrix, runs: tuple[float, ...], estimate: Estimate | None
    ) -> "Measurement":
        """Return what a method took on a matrix, and said of it."""
        return cls(
            n=len(known.matrix),
            condition_number=known.condition_number,
            method=method,
            runs=runs,
            estimate=estimate,
            rounding=known.rounding,
        )

    @property
    def seconds(self) -> float:
        """Median of the runs."""
        return statistics.median(self.runs)

    @property
    def digits_off(self) -> float | None:
        """log10 of estimate over κ, which exists where the estimate overflows, too."""
        if self.estimate is None:
            return None
        if self.estimate.value is not None:
            return math.log10(self.estimate.value / self.condition_number)
        if self.estimate.log_value is None:
            return None
        return self.estimate.log_value / math.log(10.0) - math.log10(self.condition_number)

    @property
    def inside(self) -> bool:
        """Whether κ lies in the estimate's bracket, but for rounding."""
        assert self.estimate is not None
        low, high = self.estimate.low or 1.0, self.estimate.high or math.inf
        return low * (1 - self.rounding) <= self.condition_number <= high * (1 + self.rounding)


def measure(
    condition_numbers: Sequence[float], repeats: Repeats, seed: int, progress: Callable[[str], None]
) -> list[Measurement]:
    """Time every method on a matrix of each size and κ, in float32 as training has them.

    LU inversion, whose time does not depend on κ, is timed on the first κ's matrix.

    Args:
        condition_numbers: Every κ.
        repeats: Timed runs by N: of the estimators at the first κ, and of everything else.
        seed: Draws the matrices and the starting vectors.
        progress: Told of every matrix.

    Cost: at N = 10⁴, 1.2 GB and some ten factorizations.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for n, (many, few) in repeats.items():
        for kappa in condition_numbers:
            progress(f"κ = {kappa:g}, N = {n:,}")
            known = known_matrix(damped_spectrum(n, kappa), generator)
            first = kappa == condition_numbers[0]
            for method in METHODS:
                estimate = partial(
                    condition_number, DenseOperator(known.matrix), method, seed=seed, max_products=n
                )
                runs, result = _time(estimate, many if first else few)
                found.append(Measurement.of(method, known, runs, result))
            if first:
                runs, _ = _time(partial(torch.linalg.inv, known.matrix), few)
                found.append(Measurement.of("lu_inverse", known, runs, None))
            if n <= LARGEST_EXACT:
                exact = condition_number(known.matrix, "exact")
                found.append(Measurement.of("exact", known, (), exact))
    return found


def _time(run: Callable[[], Any], repeats: int) -> tuple[tuple[float, ...], Any]:
    """Return the seconds of each run but a first one, where runs are short, and its result."""
    if repeats > 3:
        run()
    seconds, result = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return tuple(seconds), result
