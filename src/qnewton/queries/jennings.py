"""Queries of the randomised adiabatic solver of Jennings et al., which the paper counts."""

import math

import numpy as np

from qnewton.queries.arrays import Array, Numbers
from qnewton.queries.counted import counted
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
    success = float(success_1(epsilon, success_slope))
    limits = "must be at least 0 and leave 0.39 - s·ε above 0; use 0.204 or 0.201"
    check("success_slope", success_slope, limits, success_slope >= 0 and success > 0)
    queries = float(theorem_1(alpha, kappa, epsilon))
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


def theorem_1(alpha: Numbers, kappa: Numbers, epsilon: Numbers) -> Array:
    """Return Q* of :func:`jennings_2023` without a check; infinite where it overflows."""
    # √(κ²+1) as a hypotenuse and 1/ε as a logarithm, so that only the count itself can overflow.
    alpha, kappa = np.asarray(alpha, dtype=np.float64), np.asarray(kappa, dtype=np.float64)
    with np.errstate(over="ignore"):
        log_kappa = np.log(2 * np.minimum(kappa, 1e307) + 3)
        log_inverse_epsilon = -np.log(epsilon)
        first = (1741 * alpha * math.e / 500) * np.hypot(kappa, 1.0)
        first *= (133 / 125 + 4 / (25 * np.cbrt(kappa))) * math.pi * log_kappa + 1
        second = (351 / 50) * log_kappa**2
        second = second * (np.log(451 * log_kappa**2) + log_inverse_epsilon + 1)
        return first + second + alpha * kappa * (math.log(32) + log_inverse_epsilon)


def success_1(epsilon: Numbers, success_slope: float = JENNINGS_SUCCESS_SLOPE) -> Array:
    """Return the success probability 0.39 - s·ε of an attempt."""
    return _SUCCESS_AT_ZERO_ERROR - success_slope * np.asarray(epsilon)


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
