"""Dalzell's shortcut: solve by kernel reflection, with the norm of the solution known or not."""

import math

import numpy as np

from qnewton.queries.arrays import Array, Numbers
from qnewton.queries.counted import counted
from qnewton.records import QueryCount
from qnewton.records.messages import check

_PAPER = "Dalzell 2024, arXiv:2406.12086"
_MU = 0.25

EMULATED_GUESS_FACTOR = 2.0
"""How far off a norm that the emulator is given may be, for the state to keep to ε."""

MAX_EPSILON = 0.25
"""Largest error of Eq. 118 as transcribed."""

CHEAPEST_ETA = 0.07601002854290594
"""η at which ln(2/η)·((1+η)/(1-η))² is least: a root of 4η·ln(2/η) = 1 - η².

A smaller error costs less than a larger one above it, since fewer attempts fail.
"""


def dalzell_2024(*, kappa: float, epsilon: float) -> QueryCount:
    """Count the queries if the solution's norm is unknown, retries included (Eq. 118).

    With S = 3+2·ln((κ²+1)/2), μ = ¼, η = μ/(√S+μ) and η_P = ε√(1-μ²)/(μ√(1-ε²))::

        Q = d_R·(ln κ+1)·((1+η)/(1-η))² + d_P/(1-μ²)
        d_R = 2⌈κ·ln(2/η)/2⌉,  d_P = 2⌈κ·ln(2/η_P)/2⌉

    Args:
        kappa: κ_be = α/σ_min(A), at least 1.
        epsilon: Error of the solution state, above 0 and at most 0.25.

    Raises:
        ValueError: Outside the theorem.
        OverflowError: If the count exceeds the largest float64.

    Reference:
        Dalzell, arXiv:2406.12086, Eq. 118, as transcribed.

    Example:
        >>> f"{dalzell_2024(kappa=1e3, epsilon=1e-2).expected:.2f}"
        '40204.19'
    """
    _check(kappa, epsilon, MAX_EPSILON)
    reflecting, projecting = norm_unknown(kappa, epsilon)
    return counted(float(reflecting + projecting), f"{_PAPER}, Eq. 118")


def norm_unknown(
    kappa: Numbers, epsilon: Numbers, overlap: Numbers | None = None
) -> tuple[Array, Array]:
    """Return the expected queries of the reflections and of the projections of Eq. 118.

    Args:
        kappa: κ_be ≥ 1.
        epsilon: ε in (0, 0.25].
        overlap: The chance that a guess is close enough, :func:`mean_overlap`; ``None`` for the
            theorem's 1/(ln κ + 1).
    """
    reflecting = 2.0 * filter_degree(kappa, log_reflection_eta(kappa))
    return reflecting / reflected(kappa, overlap), 2.0 * filter_degree(
        kappa, log_projection_eta(epsilon)
    ) / PROJECTED


def reflected(kappa: Numbers, overlap: Numbers | None = None) -> Array:
    """Return the chance that a reflection succeeds, at least; :func:`norm_unknown` has the rest."""
    eta = np.exp(log_reflection_eta(kappa))
    close = 1.0 / (np.log(kappa) + 1.0) if overlap is None else overlap
    return close * ((1 - eta) / (1 + eta)) ** 2


PROJECTED = 1 - _MU**2
"""The chance that the projection succeeds after it, at least."""


def success_known(epsilon: Numbers, guess_factor: float) -> Array:
    """Return the success probability where the norm is known within a factor g."""
    return _success(np.exp(log_known_eta(epsilon, guess_factor)), guess_factor)


def _success(eta: Array, guess_factor: float) -> Array:
    """Return (2g/(1+g²))²·((1-η)/(1+η))²."""
    return (2 / (guess_factor + 1 / guess_factor) * (1 - eta) / (1 + eta)) ** 2


def known_attempt(kappa: Numbers, epsilon: Numbers, guess_factor: float) -> tuple[Array, Array]:
    """Return the degree at which a norm known within a factor g costs least, and the success.

    A degree ℓ reaches η = 2e^{-2ℓ/κ}. The least that ε allows is taken, or one near
    :data:`CHEAPEST_ETA`, where it is larger.
    """
    kappa = np.asarray(kappa, dtype=np.float64)
    least = filter_degree(kappa, log_known_eta(epsilon, guess_factor))
    cheap = filter_degree(kappa, math.log(CHEAPEST_ETA))

    def success(degree: Array) -> Array:
        return _success(np.minimum(1.0, 2.0 * np.exp(-2.0 * degree / kappa)), guess_factor)

    first, second = np.maximum(least, cheap - 1.0), np.maximum(least, cheap)
    with np.errstate(divide="ignore"):
        better = first / success(first) <= second / success(second)
    degree = np.where(better, first, second)
    return degree, success(degree)


def dalzell_2024_asymptotic(*, kappa: float, epsilon: float) -> QueryCount:
    """Count by the closed form: 56.0κ + 1.05κ·ln(√(1-ε²)/ε) + 2.78·ln³κ + 3.17 (Eq. 48).

    Raises:
        ValueError: If κ is below 1 or ε not between 0 and 0.5.
        OverflowError: If the count exceeds the largest float64.

    Reference:
        Dalzell, arXiv:2406.12086, Eq. 48, as transcribed.

    Example:
        >>> f"{dalzell_2024_asymptotic(kappa=1e3, epsilon=1e-2).expected:.2f}"
        '61754.88'
    """
    _check(kappa, epsilon, 0.5)
    log_inverse = 0.5 * math.log1p(-(epsilon**2)) - math.log(epsilon)
    queries = 56.0 * kappa + 1.05 * kappa * log_inverse + 2.78 * math.log(kappa) ** 3 + 3.17
    return counted(queries, f"{_PAPER}, Eq. 48")


def costa_2026(*, kappa: float, epsilon: float) -> QueryCount:
    """Count Eq. 118 by its simpler bound: κ(6·ln κ + 6 + 1.07·ln(1/ε)) + 6 + 3·ln κ (Eq. 19).

    It is never below :func:`dalzell_2024`, which is what prices take.

    Args:
        kappa: κ_be, between 3 and 10⁶, where the bound holds.
        epsilon: Error of the solution state, above 0 and at most 0.25.

    Raises:
        ValueError: Outside these limits.

    Reference:
        Costa, Dalzell, An, Berry, arXiv:2604.22185, Eq. 19, as one public transcription has it.

    Example:
        >>> f"{costa_2026(kappa=1e3, epsilon=1e-2).expected:.0f}"
        '52401'
    """
    check("kappa", kappa, "must lie between 3 and 1e6", 3 <= kappa <= 1e6)
    _check(kappa, epsilon, MAX_EPSILON)
    log_kappa = math.log(kappa)
    queries = kappa * (6 * log_kappa + 6 - 1.07 * math.log(epsilon)) + 6 + 3 * log_kappa
    return counted(queries, "Costa et al. 2026, arXiv:2604.22185, Eq. 19")


def dalzell_2024_norm_known(
    *, kappa: float, epsilon: float, guess_factor: float = 1.0
) -> QueryCount:
    """Count an attempt where the solution's norm is known up to a factor g: κ·ln(2/η).

    Its trace error is at most η·√(1+1/r²) and its success probability at least
    (2r/(1+r²))²·((1-η)/(1+η))², r being the guess over the norm. For every r in [1/g, g] the
    error is ε if η = ε/√(1+g²); at g = 1 the count is κ·ln(2√2/ε).

    Args:
        kappa: κ_be = α/σ_min(A), at least 1.
        epsilon: Error of the solution state, above 0 and at most 0.25.
        guess_factor: g, at least 1: how far off the guessed norm may be, either way.

    Raises:
        ValueError: Outside these limits.
        OverflowError: If the count exceeds the largest float64.

    Reference:
        Dalzell, arXiv:2406.12086, as transcribed.

    Example:
        >>> f"{dalzell_2024_norm_known(kappa=1e3, epsilon=1e-2).queries:.2f}"
        '5644.89'
    """
    _check(kappa, epsilon, MAX_EPSILON)
    check("guess_factor", guess_factor, "must be finite and at least 1", 1 <= guess_factor < 1e150)
    log_eta = float(log_known_eta(epsilon, guess_factor))
    success = float(success_known(epsilon, guess_factor))
    theorem = f"{_PAPER}, norm known within a factor {guess_factor:g}"
    return counted(kappa * (math.log(2) - log_eta), theorem, success)


def _check(kappa: float, epsilon: float, most: float) -> None:
    check("kappa", kappa, "must be finite and at least 1", kappa >= 1)
    limits = f"must be above 0 and at most {most:g}"
    check("epsilon", epsilon, limits, 0 < epsilon <= most)


def log_reflection_eta(kappa: Numbers) -> Array:
    """Return ln η of the reflection where the norm is unknown."""
    # ln((κ²+1)/2) by a hypotenuse, so that κ² cannot overflow.
    s = 3 + 2 * (2 * np.log(np.hypot(kappa, 1.0)) - math.log(2))
    return math.log(_MU) - np.log(np.sqrt(s) + _MU)


def log_projection_eta(epsilon: Numbers) -> Array:
    """Return ln η_P of the projection that cleans what a reflection leaves, at most 0."""
    spared = 0.5 * (math.log1p(-(_MU**2)) - np.log1p(-np.square(epsilon)))
    return np.minimum(0.0, np.log(epsilon) - math.log(_MU) + spared)


def log_known_eta(epsilon: Numbers, guess_factor: float) -> Array:
    """Return ln η, η = ε/√(1+g²), of the reflection where the norm is known within a factor g."""
    return np.log(epsilon) - math.log(math.hypot(1.0, guess_factor))


def filter_degree(kappa: Numbers, log_eta: Numbers) -> Array:
    """Return ℓ = ⌈κ·ln(2/η)/2⌉ of a kernel filter, at two queries each; at least 1.

    Example:
        >>> float(filter_degree(1e3, math.log(1e-2)))
        2650.0
    """
    return np.maximum(1.0, np.ceil(np.asarray(kappa) * (math.log(2) - log_eta) / 2))


def guesses(kappa: Numbers) -> Array:
    """Return how many norms between 1 and κ are guessed, evenly in their logarithm: ⌈ln κ⌉ + 1."""
    return np.ceil(np.log(kappa)) + 1.0


def mean_overlap(kappa: Numbers, gain: Numbers) -> Array:
    """Return the mean of (2r/(1+r²))² over the guesses, r the guess over the norm ``gain``.

    Example:
        >>> mean_overlap(1e3, np.array([1.0, 30.0])).round(3)
        array([0.189, 0.253])
    """
    kappa, gain = np.broadcast_arrays(np.asarray(kappa, dtype=np.float64), gain)
    count = guesses(kappa)
    spacing = np.log(kappa) / np.maximum(count - 1.0, 1.0)
    # 2r/(1+r²) is 1/cosh of the distance in logarithms; ten guesses away it is below 1e-8.
    nearest = np.round(np.log(gain) / np.where(spacing > 0.0, spacing, 1.0))
    total = np.zeros(kappa.shape)
    for step in range(-10, 11):
        index = nearest + step
        there = (index >= 0.0) & (index < count)
        total += np.where(there, np.cosh(index * spacing - np.log(gain)) ** -2.0, 0.0)
    return total / count
