"""Queries of solvers by adiabatic walks: Jennings et al., as the paper counts, and Costa et al."""

import math
from functools import lru_cache

from qnewton.queries.eigenvalues import counted
from qnewton.records import QueryCount
from qnewton.records.messages import check

JENNINGS_MIN_KAPPA = math.sqrt(12)
"""Smallest condition number of Jennings et al. 2023 v1, Theorem 1."""

JENNINGS_MAX_EPSILON = 0.24
"""Largest error of Jennings et al. 2023 v1, Theorem 1."""

JENNINGS_SUCCESS_SLOPE = 0.204
"""s in the success probability 0.39 - s·ε, as public transcriptions of Theorem 1 have it."""

Q_NEWTON_SUCCESS_SLOPE = 0.201
"""The same s as the Q-Newton paper prints it (arXiv:2405.00252, II-E)."""

_SUCCESS_AT_ZERO_ERROR = 0.39


def jennings_2023(
    *, alpha: float, kappa: float, epsilon: float, success_slope: float = JENNINGS_SUCCESS_SLOPE
) -> QueryCount:
    """Count the block-encoding queries of Jennings et al.'s solver, the count the paper uses.

    With L = ln(2κ+3) and e = 2.718…::

        Q* = (1741·α·e/500)·√(κ²+1)·[(133/125 + 4/(25·κ^{1/3}))·π·L + 1]
             + (351/50)·L²·[ln(451·L²/ε) + 1] + α·κ·ln(32/ε)

    and an attempt succeeds with probability at least p = 0.39 - s·ε. State preparation is called
    2·Q* times beside.

    Args:
        alpha: Normalisation of the block-encoding relative to ‖A‖₂, dimensionless: the theorem
            takes A scaled to ‖A‖₂ = 1, so that α·κ is α_A/σ_min(A). The policy ``paper`` passes
            the row sparsity d here literally.
        kappa: Condition number of A, or an upper bound on it; at least √12.
        epsilon: ℓ2 error of the solution state, above 0 and at most 0.24.
        success_slope: s; :data:`JENNINGS_SUCCESS_SLOPE` or :data:`Q_NEWTON_SUCCESS_SLOPE`, which
            move the expected count by less than 0.3%.

    Returns:
        Q*, p and the expected count Q*/p, with provenance ``transcribed``: independent public
        transcriptions agree, the theorem's own page was not read.

    Raises:
        ValueError: Outside the theorem, or where p would not be positive.
        OverflowError: If the count exceeds the largest float64.

    Cost:
        A dozen scalar operations.

    Reference:
        Jennings, Lostaglio, Pallister, Sornborger, Subaşı, arXiv:2305.11352v1, Theorem 1;
        expected count: Li et al., arXiv:2405.00252, II-E.

    Example:
        >>> count = jennings_2023(alpha=1.0, kappa=1e3, epsilon=1e-2)
        >>> f"{count.queries:.2f} {count.expected:.2f}"
        '268080.83 691001.21'
    """
    check("alpha", alpha, "must be finite and above 0", alpha > 0)
    limits = "must be finite and at least √12 ≈ 3.4641; price a smaller one at √12"
    check("kappa", kappa, limits, kappa >= JENNINGS_MIN_KAPPA)
    _check_epsilon(epsilon)
    success = _SUCCESS_AT_ZERO_ERROR - success_slope * epsilon
    limits = "must be at least 0 and leave 0.39 - s·ε above 0; use 0.204 or 0.201"
    check("success_slope", success_slope, limits, success_slope >= 0 and success > 0)
    # √(κ²+1) as a hypotenuse and 1/ε as a logarithm, so that only the count itself can overflow.
    log_kappa = math.log(2 * kappa + 3)
    log_inverse_epsilon = -math.log(epsilon)
    first = (1741 * alpha * math.e / 500) * math.hypot(kappa, 1.0)
    first *= (133 / 125 + 4 / (25 * math.cbrt(kappa))) * math.pi * log_kappa + 1
    second = (351 / 50) * log_kappa**2
    second *= math.log(451 * log_kappa**2) + log_inverse_epsilon + 1
    third = alpha * kappa * (math.log(32) + log_inverse_epsilon)
    queries = first + second + third
    expected = queries / success
    if not math.isfinite(expected):
        count = f"the query count at alpha = {alpha:.4g}, kappa = {kappa:.4g}"
        way_out = "lower alpha·kappa to 1e300 or less"
        raise OverflowError(f"{count} exceeds the largest float64; {way_out}")
    return QueryCount(
        queries=queries,
        success_probability=success,
        expected=expected,
        theorem="Jennings et al. 2023, arXiv:2305.11352v1, Theorem 1",
        provenance="transcribed",
        state_preparations=2 * expected,
    )


def logical_qubits(n: int, ancillas: int) -> int:
    """Count the logical qubits of Jennings et al.'s solver: a + 6 + ⌈log2 N⌉.

    Args:
        n: Number of unknowns N, at least 1.
        ancillas: Ancilla qubits a of the block-encoding, 0 or more.

    Raises:
        ValueError: If an argument is out of range.

    Cost:
        One integer operation.

    Reference:
        Li et al., arXiv:2405.00252, II-E ("Qubit Cost").

    Example:
        >>> logical_qubits(12_544, 1)
        21
    """
    check("n", n, "must be at least 1", n >= 1)
    check("ancillas", ancillas, "must be 0 or more", ancillas >= 0)
    return ancillas + 6 + (n - 1).bit_length()


def jennings_2025(*, kappa: float, epsilon: float) -> QueryCount:
    """Count the queries of the journal version: 835.4κ + ⌈κ·ln(2/(√(1+ε/4)-1)) + 2⌉.

    The abstract's 837κ at ε = 10⁻¹⁰ and this transcription (861.2κ there) differ by 3%, which
    nobody has resolved.

    Args:
        kappa: κ_be = α/σ_min(A), at least 1.
        epsilon: Error of the solution state, above 0 and at most 0.24.

    Returns:
        The count, which holds retries: its success probability is 1.

    Raises:
        ValueError: Outside these limits.
        OverflowError: If the count exceeds the largest float64.

    Reference:
        Jennings et al., PRX Quantum 6, 040373, as transcribed.

    Example:
        >>> round(jennings_2025(kappa=1e3, epsilon=1e-10).queries / 1e3, 1)
        861.2
    """
    check("kappa", kappa, "must be finite and at least 1", kappa >= 1)
    _check_epsilon(epsilon)
    # √(1+u)-1 as u/(√(1+u)+1), which does not cancel; its logarithm does not underflow.
    log_root = math.log(epsilon) - math.log(4) - math.log(math.sqrt(1 + epsilon / 4) + 1)
    filtering = kappa * (math.log(2) - log_root) + 2
    queries = 835.4 * kappa + (math.ceil(filtering) if math.isfinite(filtering) else filtering)
    return counted(queries, "Jennings et al., PRX Quantum 6, 040373")


def _check_epsilon(epsilon: float) -> None:
    holds = 0 < epsilon <= JENNINGS_MAX_EPSILON
    check("epsilon", epsilon, "must be above 0 and at most 0.24", holds)


PROVEN_CONSTANT = 2305.0
"""c of the adiabatic theorem, proven (perhaps for definite A only)."""

SEEN_CONSTANT = 1.84
"""c seen numerically for N ≤ 16 and κ ≤ 50: beyond that an extrapolation."""

_READINGS = {1: "q = 1: this project's reading, not the published cost", 2: "q = 2 as published"}

_GOLDEN = (math.sqrt(5) - 1) / 2


def costa_2022(
    *, kappa: float, epsilon: float, constant: float = PROVEN_CONSTANT, power: int = 2
) -> QueryCount:
    """Count walk steps of the discrete adiabatic solver, minimised over the adiabatic error Δ.

    With δ = Δ²-Δ⁴/4, ε_f = ε√((1-δ)(1-ε²/4))/((1-ε²/2)√δ) and S = 1-δ(1-ε_f²)::

        C = ½κ·ln(2/ε_f)·(1/S^q + 1) + c·κ/(Δ·S^q)

    Args:
        kappa: κ_be = α/σ_min(A), at least 1.
        epsilon: Error of the solution state, above 0 and at most 0.5.
        constant: c: :data:`PROVEN_CONSTANT`, or :data:`SEEN_CONSTANT`, an extrapolation.
        power: q: 2, the published cost, or 1, this project's own reading of what repeating an
            attempt until it succeeds takes (15 to 37% less); nobody published it.

    Returns:
        The expected count, retries included.

    Raises:
        ValueError: Outside these limits.
        OverflowError: If the count exceeds the largest float64.

    Cost:
        About a hundred evaluations of the formula.

    Reference:
        Costa et al., arXiv:2111.08152; Dalzell et al., arXiv:2312.07690, as transcribed.

    Example:
        >>> proven = costa_2022(kappa=1e3, epsilon=1e-2)
        >>> seen = costa_2022(kappa=1e3, epsilon=1e-2, constant=SEEN_CONSTANT)
        >>> proven.expected > 100 * seen.expected, seen.provenance
        (True, 'extrapolated')
    """
    check("kappa", kappa, "must be finite and at least 1", kappa >= 1)
    check("epsilon", epsilon, "must be above 0 and at most 0.5", 0 < epsilon <= 0.5)
    check("constant", constant, "must be finite and above 0", constant > 0)
    check("power", power, "must be 1 or 2", power in (1, 2))
    seen = constant < PROVEN_CONSTANT
    theorem = f"Costa et al., arXiv:2111.08152, c = {constant:g}, {_READINGS[power]}"
    known = "extrapolated" if seen or power == 1 else "transcribed"
    return counted(kappa * _least(epsilon, constant, power), theorem, provenance=known)


def per_kappa(delta: float, epsilon: float, constant: float, power: int) -> float:
    """Return C/κ at an adiabatic error Δ in (0, √2); infinite where the filter has no work.

    Example:
        >>> round(per_kappa(0.5, 1e-2, 1.84, 1), 3)
        10.233
    """
    overlap = delta**2 - delta**4 / 4
    log_filter = (
        math.log(epsilon)
        + 0.5 * (math.log1p(-overlap) + math.log1p(-(epsilon**2) / 4))
        - math.log1p(-(epsilon**2) / 2)
        - 0.5 * math.log(overlap)
    )
    if log_filter >= 0:
        return math.inf
    success = (1 - overlap * (1 - math.exp(2 * log_filter))) ** power
    return 0.5 * (math.log(2) - log_filter) * (1 / success + 1) + constant / (delta * success)


@lru_cache(maxsize=1024)
def _least(epsilon: float, constant: float, power: int) -> float:
    """Minimise over Δ by golden section between the neighbours of the best of a grid."""
    grid = [math.sqrt(2) * k / 40 for k in range(1, 40)]
    best = min(grid, key=lambda delta: per_kappa(delta, epsilon, constant, power))
    low, high = best - math.sqrt(2) / 40 + 1e-12, min(best + math.sqrt(2) / 40, 1.414)
    for _ in range(45):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at_left = per_kappa(left, epsilon, constant, power)
        at_right = per_kappa(right, epsilon, constant, power)
        if at_left < at_right:
            high = right
        else:
            low = left
    return per_kappa((low + high) / 2, epsilon, constant, power)
