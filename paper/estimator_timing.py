"""Timing estimators of the condition number on matrices whose κ is known."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from paper.known_spectrum import KnownMatrix, damped_spectrum, known_matrix
from qnewton.operators import DenseOperator
from qnewton.records import Estimate
from qnewton.survey import condition_number
from qnewton.survey.condition import Method

METHODS: tuple[Method, ...] = ("determinant", "trace", "lanczos")
"""The paper's estimator by norm and by trace, and Lanczos to 1%."""

Repeats = Mapping[int, tuple[int, int]]

LARGEST_EXACT = 1000
"""Largest N at which all eigenvalues are computed as well."""


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
    condition_numbers: Sequence[float],
    repeats: Repeats,
    seed: int,
    progress: Callable[[str], None],
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
                    condition_number,
                    DenseOperator(known.matrix),
                    method,
                    seed=seed,
                    max_products=n,
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
