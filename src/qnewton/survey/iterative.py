"""The condition number from matrix-vector products alone."""

from dataclasses import dataclass

from qnewton.operators import SymmetricOperator
from qnewton.records import Definiteness, Estimate
from qnewton.survey.lanczos import Lanczos
from qnewton.survey.ritz import (
    RitzEnds,
    SpectrumBounds,
    extreme_singular_values,
    ritz_ends,
    spectrum_bounds,
)

_FIRST_CHECK = 4
_CHANCE = "with probability 1 - 1e-6 over the random start"


@dataclass(frozen=True)
class SpectrumSummary:
    """What one look at the spectrum of A gives.

    Attributes:
        condition: The condition number.
        norm: ‖A‖₂.
        definiteness: ``positive`` or ``indefinite`` where certified, ``None`` where not.
    """

    condition: Estimate
    norm: float
    definiteness: Definiteness | None


def lanczos_summary(
    operator: SymmetricOperator,
    *,
    tolerance: float,
    seed: int,
    max_products: int | None,
    positive_definite: bool | None,
) -> SpectrumSummary:
    """Run Lanczos until both ends of |A| meet the tolerance, or the products run out.

    See :func:`qnewton.survey.condition_number` for the method ``lanczos``. The norm returned is
    the largest |Ritz value|, an estimate from below.
    """
    process = Lanczos(operator, seed)
    limit = min(operator.n, max_products or operator.n)
    next_check, streak, finished = _FIRST_CHECK, 0, False
    while not finished and process.products < limit:
        process.advance()
        finished = process.exhausted
        if process.products >= next_check and not finished:
            next_check = process.products + max(2, process.products // 16)
            streak = streak + 1 if _settled(process, operator.n, tolerance) else 0
            finished = streak == 2
    return _summarize(process, operator.n, finished, positive_definite)


def _settled(process: Lanczos, n: int, tolerance: float) -> bool:
    ends = ritz_ends(process)
    if not ends.converged(tolerance):
        return False
    if ends.one_sign:
        return True
    # Inside the spectrum an eigenvalue can converge before one nearer to zero shows at all (seen:
    # κ 11% low). So zero's surroundings must also be known empty, three quarters of the way.
    smallest = spectrum_bounds(process, n).smallest
    return smallest is not None and smallest >= 0.75 * ends.nearest.reach


def _summarize(
    process: Lanczos, n: int, finished: bool, positive_definite: bool | None
) -> SpectrumSummary:
    ends, bounds = ritz_ends(process), spectrum_bounds(process, n)
    definiteness = _definiteness(process, ends, bounds, positive_definite)
    norm = abs(ends.farthest.value)
    low, low_certificate = _low(process, ends, definiteness)
    # Below the rounding of the products an eigenvalue cannot be told from zero.
    resolved = finished and abs(ends.nearest.value) > process.rounding
    high, high_certificate = None, None
    if bounds.smallest is not None:
        high = max(abs(bounds.lowest), abs(bounds.highest)) / bounds.smallest
        high_certificate = (
            "the Krylov basis is complete, its eigenvalues are those of A to rounding"
            if process.products == n
            else f"Lanczos polynomial bound (van Dorsselaer et al. 2000), {_CHANCE}"
        )
    value = None
    if resolved:
        value = max(norm / abs(ends.nearest.value), low)
        value = value if high is None else min(value, high)
    condition = Estimate(
        value=value,
        low=low,
        high=high,
        method="lanczos",
        products=process.products,
        low_certificate=low_certificate,
        high_certificate=high_certificate,
    )
    return SpectrumSummary(condition, norm, definiteness)


def _definiteness(
    process: Lanczos, ends: RitzEnds, bounds: SpectrumBounds, positive_definite: bool | None
) -> Definiteness | None:
    if ends.lowest.value < -process.rounding:
        return "indefinite"
    return "positive" if positive_definite or bounds.lowest > 0.0 else None


def _low(
    process: Lanczos, ends: RitzEnds, definiteness: Definiteness | None
) -> tuple[float, str | None]:
    """Return the better of the two lower bounds, less the rounding of the products."""
    rounding = process.rounding
    largest, smallest = extreme_singular_values(process)
    if largest == 0.0:
        return 1.0, "κ ≥ 1 for every matrix"
    low = max((largest - rounding) / (smallest + rounding), 1.0)
    if definiteness == "positive" and ends.lowest.value > 0.0:
        by_values = (ends.highest.value - rounding) / (ends.lowest.value + rounding)
        if by_values >= low:
            return by_values, "Rayleigh-Ritz for a definite matrix: κ ≥ θ_max/θ_min"
    return low, "κ ≥ σ_1/σ_k of the Lanczos tridiagonal, for any symmetric matrix"
