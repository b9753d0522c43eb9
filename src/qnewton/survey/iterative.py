"""Lanczos estimates of the spectrum, each with a bracket that the tridiagonal proves."""

import math
from dataclasses import dataclass, replace

import numpy as np

from qnewton.operators import RangedOperator, SymmetricOperator
from qnewton.operators.lanczos import Lanczos, Tridiagonal, Vector
from qnewton.operators.ritz import RitzEnds, extreme_singular_values, ritz_ends, ritz_values
from qnewton.operators.scaling import shifted_number
from qnewton.records import Definiteness, Estimate
from qnewton.survey.largest import MOST_KEPT, converged_largest, representable

FAILURE_PROBABILITY = 1e-6
"""Chance, over the random start, that a probabilistic end of a bracket is wrong."""


@dataclass(frozen=True)
class SpectrumBounds:
    """Bounds that hold with probability 1 - 1e-6 over the start; ``None`` where there is none.

    Attributes:
        lowest: No eigenvalue is below it.
        highest: No eigenvalue is above it.
        smallest: Every |λ| is at least this; ``None`` if zero cannot be excluded.
    """

    lowest: float
    highest: float
    smallest: float | None


def spectrum_bounds(tridiagonal: Tridiagonal) -> SpectrumBounds:
    """Bound the spectrum of A by its Lanczos polynomial."""
    # With p_k the characteristic polynomial of T_k, p_k(A) v_1 = β_1⋯β_k v_{k+1}; hence
    # |p_k(λ)|·|uᵀv_1| ≤ β_1⋯β_k for every eigenpair (λ, u). A given u meets a uniformly random v_1
    # with |uᵀv_1| ≥ t but for a probability of at most t√(2n/π), so the eigenvalues next to and
    # farthest from zero all lie where |p_k| ≤ β_1⋯β_k/t. Products are taken as exact up to
    # ``rounding``, by which the bounds are widened.
    # Reference: van Dorsselaer, Hochstenbach, van der Vorst, SIAM J. Matrix Anal. Appl. 22 (2000)
    # 837, for the ends of the spectrum; the same inequality serves around zero.
    values = ritz_values(tridiagonal)
    first, last = float(values[0]), float(values[-1])
    rounding = tridiagonal.rounding
    if tridiagonal.complete:
        # There is no chance in a complete basis.
        smallest = float(np.abs(values).min()) - rounding
        return SpectrumBounds(first - rounding, last + rounding, smallest if smallest > 0 else None)
    # Four eigenvectors share the failure probability: both ends, and both neighbours of zero.
    overlap = FAILURE_PROBABILITY / 4.0 / math.sqrt(2.0 * tridiagonal.n / math.pi)
    floor = max(tridiagonal.ulp, np.finfo(np.float64).tiny)
    ceiling = float(np.log(np.maximum(tridiagonal.betas, floor)).sum()) - math.log(overlap)
    excluded = _Excluded(values, ceiling)
    lowest = excluded.beyond(first, -1.0) - rounding
    highest = excluded.beyond(last, 1.0) + rounding
    smallest = lowest if first > 0.0 else -highest if last < 0.0 else 0.0
    if first <= 0.0 <= last and excluded.at(np.zeros(1))[0]:
        # Between two Ritz values log|p_k| is concave, so the excluded points are one interval.
        right = excluded.edge(0.0, float(values[values > 0.0][0]))
        left = excluded.edge(0.0, float(values[values < 0.0][-1]))
        smallest = min(right, -left) - rounding
    return SpectrumBounds(lowest, highest, smallest if smallest > 0.0 else None)


@dataclass(frozen=True, eq=False)
class _Excluded:
    """The points where |p_k| is too large for an eigenvalue. Many are tried at once.

    Attributes:
        values: The Ritz values, the zeros of p_k.
        ceiling: log|p_k| above it excludes.
    """

    values: Vector
    ceiling: float

    def at(self, points: Vector) -> Vector:
        """Return which of the points are excluded."""
        distances = np.abs(self.values - points[:, None])
        with np.errstate(divide="ignore"):
            return np.log(distances).sum(axis=1) > self.ceiling

    def beyond(self, end: float, direction: float) -> float:
        """Return an excluded point near ``end``, looking outwards, where |p_k| only grows."""
        # From below the last place of the norm to where |p_k| exceeds any product of norms.
        norm = max(float(np.abs(self.values).max()), 1e-280)
        steps = norm * 2.0 ** np.arange(-75.0, 65.0)
        step = steps[int(np.argmax(self.at(end + direction * steps)))]
        return self.edge(end + direction * float(step), end)

    def edge(self, inside: float, outside: float) -> float:
        """Return the excluded point next to the boundary between the two, to 2⁻³⁰ of its place."""
        fractions = np.linspace(0.0, 1.0, 33)
        for _ in range(6):
            points = inside + (outside - inside) * fractions
            last = int(np.flatnonzero(self.at(points))[-1])
            inside, outside = float(points[last]), float(points[min(last + 1, 32)])
        return inside


_FIRST_CHECK = 4
_COMPLETE = "the Krylov basis is complete, its eigenvalues are those of A to rounding"
_CHANCE = "with probability 1 - 1e-6 over the random start"
# A look at the tridiagonal takes about as long as reading this many entries of A.
_ENTRIES_PER_CHECK = 2**20


@dataclass(frozen=True)
class SpectrumSummary:
    """What one look at the spectrum of A gives.

    Attributes:
        condition: The condition number.
        norm: ‖A‖₂, infinite where it is above the largest float64.
        definiteness: ``positive`` or ``indefinite`` where certified (of ``lanczos``, ``positive``
            but with probability 1e-6), ``None`` where not.
        budget_ended: Whether the products ran out before the tolerance was met.
        largest: The largest |λ|, falling, as far as they are known to the tolerance.
    """

    condition: Estimate
    norm: float
    definiteness: Definiteness | None
    budget_ended: bool = False
    largest: tuple[float, ...] = ()


def lanczos_summary(
    operator: SymmetricOperator,
    *,
    tolerance: float,
    seed: int,
    max_products: int,
    positive_definite: bool | None,
    bracketed: bool = False,
) -> SpectrumSummary:
    """Run Lanczos until both ends of |A| meet the tolerance, or the products run out."""
    # Once they do, up to as many products again go into an upper end of the bracket, which comes
    # with a certificate of definiteness and usually takes a little longer to exist. With
    # ``bracketed`` the run goes on until the bracket itself is as narrow as the tolerance.
    # See :func:`qnewton.survey.condition_number` for the method ``lanczos``. The norm returned is
    # the largest |Ritz value|, an estimate from below.
    ranged = RangedOperator(operator)
    process = Lanczos(ranged, seed)
    limit = min(operator.n, max_products)
    # Rarer looks where products are cheap, so that looking costs no more than multiplying.
    rarest = math.ceil(_ENTRIES_PER_CHECK / operator.n**2)
    next_check, met_at = max(_FIRST_CHECK, rarest), None
    while process.products < limit and not process.exhausted:
        process.advance()
        k = process.products
        if k < min(next_check, limit) or process.exhausted:
            continue
        next_check = k + max(_spacing(k), min(rarest, k // 2))
        if met_at is None and _settled_throughout(process, tolerance):
            met_at = k
        if met_at is None:
            continue
        if bracketed:
            so_far = _summarize(process.tridiagonal(), True, positive_definite)
            done = is_narrow(so_far.condition, tolerance)
        else:
            done = spectrum_bounds(process.tridiagonal()).smallest is not None or k >= 2 * met_at
        if done:
            break
    met = met_at is not None or process.exhausted
    found = _summarize(process.tridiagonal(), met, positive_definite)
    sizes = converged_largest(process.tridiagonal(), tolerance, MOST_KEPT)
    largest = representable(sizes, ranged.exponent)
    return replace(found, norm=shifted_number(found.norm, ranged.exponent), largest=largest)


def is_narrow(condition: Estimate, tolerance: float) -> bool:
    """Return whether both ends of the bracket exist, no farther apart than the tolerance."""
    if condition.low is None or condition.high is None:
        return False
    return condition.high <= (1.0 + tolerance) * condition.low


def _spacing(products: int) -> int:
    return max(2, products // 16)


def _settled_throughout(process: Lanczos, tolerance: float) -> bool:
    """Return whether the tolerance is met now and was met at the last two places before."""
    # A Ritz value may rest beside one eigenvalue before it moves on to the next. Of 1,500 random
    # spectra, 40 to 400 eigenvalues drawn independently, 1.5% came out off by more than the 1%
    # asked for; 2.6% where met twice in a row was enough.
    k = process.products
    return k - 2 * _spacing(k) >= _FIRST_CHECK and all(
        _settled(process.tridiagonal(k - back * _spacing(k)), tolerance) for back in range(3)
    )


def _settled(tridiagonal: Tridiagonal, tolerance: float) -> bool:
    ends = ritz_ends(tridiagonal)
    if not ends.converged(tolerance):
        return False
    if ends.one_sign:
        return True
    # Inside the spectrum an eigenvalue can converge before one nearer to zero shows at all (seen:
    # κ 11% low). So zero's surroundings must also be known empty, three quarters of the way.
    smallest = spectrum_bounds(tridiagonal).smallest
    return smallest is not None and smallest >= 0.75 * ends.nearest.reach


def _summarize(
    tridiagonal: Tridiagonal, met: bool, positive_definite: bool | None
) -> SpectrumSummary:
    ends, bounds = ritz_ends(tridiagonal), spectrum_bounds(tridiagonal)
    definiteness: Definiteness | None = None
    if ends.lowest.value < -tridiagonal.rounding:
        definiteness = "indefinite"
    elif positive_definite or bounds.lowest > 0.0:
        definiteness = "positive"
    norm = abs(ends.farthest.value)
    low, low_certificate = _low(tridiagonal, ends, definiteness, positive_definite)
    # Below the rounding of the products an eigenvalue cannot be told from zero.
    resolved = met and abs(ends.nearest.value) > tridiagonal.rounding
    high, high_certificate = None, None
    if bounds.smallest is not None:
        high = max(abs(bounds.lowest), abs(bounds.highest)) / bounds.smallest
        high_certificate = f"Lanczos polynomial bound (van Dorsselaer et al. 2000), {_CHANCE}"
        if tridiagonal.complete:
            high_certificate = _COMPLETE
    value = None
    if resolved:
        value = max(norm / abs(ends.nearest.value), low)
        value = value if high is None else min(value, high)
    certificates = {"low_certificate": low_certificate, "high_certificate": high_certificate}
    known = {"method": "lanczos", "products": tridiagonal.products, **certificates}
    condition = Estimate(value=value, low=low, high=high, **known)
    return SpectrumSummary(condition, norm, definiteness, budget_ended=not met)


def _low(
    tridiagonal: Tridiagonal,
    ends: RitzEnds,
    definiteness: Definiteness | None,
    positive_definite: bool | None,
) -> tuple[float, str]:
    """Return the better of the two lower bounds, less the rounding of the products."""
    rounding = tridiagonal.rounding
    largest, smallest = extreme_singular_values(tridiagonal)
    if largest == 0.0:
        return 1.0, "κ ≥ 1 for every matrix"
    low = max((largest - rounding) / (smallest + rounding), 1.0)
    if definiteness == "positive" and ends.lowest.value > 0.0:
        by_values = (ends.highest.value - rounding) / (ends.lowest.value + rounding)
        if by_values >= low:
            definite = "by its complete Krylov basis" if tridiagonal.complete else _CHANCE
            definite = "as given" if positive_definite else definite
            return by_values, f"Rayleigh-Ritz: κ ≥ θ_max/θ_min of a positive definite A, {definite}"
    return low, "κ ≥ σ_1/σ_k of the Lanczos tridiagonal, for any symmetric matrix"
