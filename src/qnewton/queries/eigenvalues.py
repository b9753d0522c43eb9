"""Queries of what applies a function of A to its eigenvalues: HHL, and QSVT by a polynomial."""

import math

from qnewton.queries.amplification import amplified_queries
from qnewton.queries.counted import counted
from qnewton.queries.degrees import cks_sizes, inverse_degree
from qnewton.queries.heights import polynomial_height
from qnewton.records import QueryCount
from qnewton.records.messages import check

HHL_CONSTANT = 1.0
"""The constant of O(d²κ²/ε·log N), which no theorem names: a lower guess."""


def hhl_2009(
    *, n: int, sparsity: float, kappa: float, epsilon: float, constant: float = HHL_CONSTANT
) -> QueryCount:
    """Count HHL's queries: c·d²κ²/ε·log2 N.

    Args:
        n: Unknowns N, at least 1; log2 is taken of 2 at least.
        sparsity: d, between 1 and N.
        kappa: Condition number, at least 1.
        epsilon: Error of the solution state, in (0, 0.5].
        constant: c.

    Raises:
        ValueError: Outside these limits.
        OverflowError: If the count exceeds the largest float64.

    Reference:
        Harrow, Hassidim, Lloyd, arXiv:0811.3171; that it is the dearest: arXiv:2503.21420.

    Example:
        >>> f"{hhl_2009(n=16, sparsity=4, kappa=10, epsilon=0.01).expected:g}"
        '640000'
    """
    check("n", n, "must be at least 1", n >= 1)
    check("sparsity", sparsity, f"must lie between 1 and n = {n}", 1 <= sparsity <= n)
    check("kappa", kappa, "must be finite and at least 1", kappa >= 1)
    check("epsilon", epsilon, "must be above 0 and at most 0.5", 0 < epsilon <= 0.5)
    check("constant", constant, "must be finite and above 0", constant > 0)
    # Products in place of squares: a float product overflows to infinity, a power raises.
    count = constant * sparsity * sparsity * kappa * kappa / epsilon * math.log2(max(n, 2))
    theorem = f"Harrow et al., arXiv:0811.3171, constant {constant:g}"
    return counted(count, theorem, provenance="standard", preparations_a_query=1.0)


def childs_kothari_somma_2017(
    *, kappa: float, epsilon: float, solution_norm: float = 1.0
) -> QueryCount:
    """Count QSVT with the polynomial of Childs, Kothari and Somma: degree 2D+1.

    b = ⌈κ²·ln(κ/ε)⌉, D = ⌊√(b·ln(4b/ε))⌋, sup|P| = 0.638·√b.

    Args:
        kappa: κ_be = α/σ_min(A), at least 1 and at most 1e150.
        epsilon: Error of the polynomial relative to 1/x on [1/κ, 1] (proven: 2ε), in (0, 0.5].
        solution_norm: ‖(A/α)⁻¹ĝ‖, between 1, the worst case, and κ.

    Returns:
        ``queries`` the degree, the success probability (norm/sup|P|)², and what amplification of
        that known probability is expected to cost.

    Raises:
        ValueError: Outside these limits.

    Reference:
        Childs, Kothari, Somma, arXiv:1511.02306; Gilyén et al., arXiv:1806.01838; Martyn et
        al., arXiv:2105.02859.

    Example:
        >>> childs_kothari_somma_2017(kappa=1e3, epsilon=1e-2).queries
        32011.0
    """
    _check(kappa, epsilon, solution_norm)
    b, half = cks_sizes(kappa, epsilon)
    theorem = "QSVT with the polynomial of Childs et al., arXiv:1511.02306"
    return _amplified(2 * half + 1, 0.638 * math.sqrt(b), solution_norm, theorem, "standard")


def sunderhauf_2025(*, kappa: float, epsilon: float, solution_norm: float = 1.0) -> QueryCount:
    """Count QSVT with the optimal inverse polynomial: degree 2n-1.

    The degree is :func:`~qnewton.queries.degrees.inverse_degree`. The height sup|P| is computed,
    not bounded.

    Args:
        kappa: κ_be = α/σ_min(A), at least 1 and at most 1e150.
        epsilon: Largest |P(x) - 1/x| on [1/κ, 1], up to a factor of 1; in (0, 0.5].
        solution_norm: ‖(A/α)⁻¹ĝ‖, between 1, the worst case, and κ.

    Returns:
        As :func:`childs_kothari_somma_2017`.

    Raises:
        ValueError: Outside these limits.

    Cost:
        About 200 evaluations of the polynomial.

    Reference:
        Sünderhauf et al., arXiv:2507.15537, as transcribed.

    Example:
        >>> sunderhauf_2025(kappa=1e3, epsilon=1e-2).queries
        11513.0
    """
    _check(kappa, epsilon, solution_norm)
    degree = inverse_degree(kappa, epsilon)
    theorem = "QSVT with the optimal inverse polynomial, arXiv:2507.15537"
    height = float(polynomial_height(kappa, (degree + 1) // 2))
    return _amplified(degree, height, solution_norm, theorem, "transcribed")


def _amplified(
    degree: int, height: float, solution_norm: float, theorem: str, provenance: str
) -> QueryCount:
    success = min(1.0, (solution_norm / height) ** 2)
    expected = amplified_queries(float(degree), success)
    return QueryCount(
        queries=float(degree),
        success_probability=success,
        expected=expected,
        theorem=theorem,
        provenance=provenance,
        # 2r+1 preparations go with 2r+1 runs of the polynomial: one a degree.
        state_preparations=expected / degree,
    )


def _check(kappa: float, epsilon: float, solution_norm: float) -> None:
    check("kappa", kappa, "must lie between 1 and 1e150", 1 <= kappa <= 1e150)
    check("epsilon", epsilon, "must be above 0 and at most 0.5", 0 < epsilon <= 0.5)
    holds = 1 <= solution_norm <= kappa
    check("solution_norm", solution_norm, f"must lie between 1 and kappa = {kappa:g}", holds)
