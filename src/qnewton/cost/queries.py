"""How often a quantum linear solver queries its matrix: one function a theorem.

Bare symbols follow the theorems: ``alpha`` is the block-encoding's normalisation, ``kappa`` the
condition number, ``epsilon`` the error of the solution state.
"""

import math

from qnewton.records import QueryCount

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
    *,
    alpha: float,
    kappa: float,
    epsilon: float,
    success_slope: float = JENNINGS_SUCCESS_SLOPE,
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
    _check("alpha", alpha, "must be finite and above 0", alpha > 0)
    _check(
        "kappa",
        kappa,
        "must be finite and at least √12 ≈ 3.4641; price a smaller one at √12",
        kappa >= JENNINGS_MIN_KAPPA,
    )
    _check(
        "epsilon", epsilon, "must be above 0 and at most 0.24", 0 < epsilon <= JENNINGS_MAX_EPSILON
    )
    success = _SUCCESS_AT_ZERO_ERROR - success_slope * epsilon
    _check(
        "success_slope",
        success_slope,
        "must be at least 0 and leave 0.39 - s·ε above 0; use 0.204 or 0.201",
        success_slope >= 0 and success > 0,
    )
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
        raise OverflowError(
            f"the query count at alpha = {alpha:.4g}, kappa = {kappa:.4g} exceeds the largest "
            "float64; lower alpha·kappa to 1e300 or less"
        )
    return QueryCount(
        queries=queries,
        success_probability=success,
        expected=expected,
        theorem="Jennings et al. 2023, arXiv:2305.11352v1, Theorem 1",
        provenance="transcribed",
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
    _check("n", n, "must be at least 1", n >= 1)
    _check("ancillas", ancillas, "must be 0 or more", ancillas >= 0)
    return ancillas + 6 + (n - 1).bit_length()


def _check(field: str, value: float, limits: str, holds: bool) -> None:
    if not (holds and math.isfinite(value)):
        raise ValueError(f"{field} is {value!r}; it {limits}")
