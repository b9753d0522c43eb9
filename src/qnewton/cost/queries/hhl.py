"""Harrow, Hassidim and Lloyd's solver, for the record: always the dearest."""

import math

from qnewton.cost.queries.domain import check, counted
from qnewton.records import QueryCount

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
    return counted(
        count,
        1.0,
        theorem=f"Harrow et al., arXiv:0811.3171, constant {constant:g}",
        provenance="standard",
        preparations_a_query=1.0,
    )
