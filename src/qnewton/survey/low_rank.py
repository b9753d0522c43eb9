"""Everything a survey wants to know of U Uᵀ + λI, from the k × k matrix UᵀU."""

import math

import torch

from qnewton.operators import LowRankOperator
from qnewton.operators.scaling import shifted_number
from qnewton.records import Estimate, Facts, LowRank, Spectrum
from qnewton.survey.determinant import Pivots


def survey_low_rank(operator: LowRankOperator, batch: int | None = None) -> Facts:
    """Return the facts of A = U Uᵀ + λI without forming its N² entries.

    Its eigenvalues are λ + those of UᵀU, and λ itself N - k times: κ, ‖A‖₂, ‖A‖_F and det A
    follow. Row sparsity is an upper bound: a row of U that is not zero meets every other such row.

    Args:
        operator: A, U of shape [N, k], λ > 0.
        batch: Samples behind it.

    Raises:
        ValueError: If λ is 0, where A may be singular.
        FloatingPointError: If U holds a number that is not finite.

    Cost: UᵀU, 2Nk² operations, and the eigenvalues of a k × k matrix in float64.

    Example:
        >>> from qnewton.operators import DenseFactor
        >>> low = LowRankOperator(DenseFactor(torch.tensor([[1.0], [2.0]])), shift=0.5)
        >>> facts = survey_low_rank(low)
        >>> facts.spectrum.condition.describe(), facts.held.columns, facts.spectrum.definiteness
        ('11 (exact)', 1, 'positive')
    """
    if operator.shift == 0.0:
        raise ValueError("the damping is 0: U Uᵀ may be singular; survey() forms its entries")
    near, exponent = operator.in_range()
    gram = near.factor.gram().double()
    if not torch.isfinite(gram).all():
        raise FloatingPointError("the curvature is not finite")
    n, shift = operator.n, near.shift
    own = torch.linalg.eigvalsh((gram + gram.mT) / 2).clamp(min=0.0)[-n:]
    values = torch.full((n,), shift, dtype=torch.float64, device=own.device)
    values[: len(own)] += own
    high, low = float(values.max()), float(values.min())
    certificate = "the smallest eigenvalue of U Uᵀ + λI is at least λ"
    rounding = 8.0 * n * torch.finfo(torch.float64).eps
    pivots = Pivots(values.log(), rounding, True, certificate, None)
    square = float(values.square().sum())
    nonzero = int((near.factor.row_squares() > 0).sum())
    spectrum = Spectrum(
        condition=Estimate(
            value=high / low, low=high / low, high=high / low, method="exact", products=0
        ),
        bounds=(pivots.determinant_bound(square), pivots.trace_bound(float(values.sum()))),
        row_sparsity=max(nonzero, 1),
        max_abs=_grown(near.largest(), exponent),
        norm=_grown(high, exponent),
        frobenius=_grown(math.sqrt(square), exponent),
        definiteness="positive",
    )
    return Facts(
        n=n,
        held=LowRank(columns=operator.factor.shape[1]),
        spectrum=spectrum,
        rank=operator.rank,
        batch=batch,
        notes=("row sparsity is an upper bound: rows of U that are not zero, entries not formed",),
    )


def _grown(value: float, exponent: int) -> float | None:
    """Return value·2^exponent, ``None`` where it is above the largest float64."""
    found = shifted_number(value, exponent)
    return found if math.isfinite(found) else None
