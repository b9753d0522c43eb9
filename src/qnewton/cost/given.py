"""Facts of a system that nobody surveyed: its numbers are given, or changed to see what follows."""

from dataclasses import replace

from qnewton.records import Definiteness, Estimate, Facts

SPARSE_SHARE = 0.25
"""Share of N² entries from which a dense product is as fast as one by the entries.

Gathering is slower than streaming: see :class:`qnewton.operators.SparseOperator`.
"""


def kappa_facts(
    n: int, kappa: float, sparsity: int, definiteness: Definiteness | None = None
) -> Facts:
    """Return facts of a system known by its numbers alone.

    A system whose rows have few entries is held by them, for every solver alike: what sparse
    access gives the quantum solver, a classical one has, too.

    Args:
        n: Unknowns N.
        kappa: Condition number.
        sparsity: Most entries in a row, d; N for a dense matrix.
        definiteness: ``positive`` or ``indefinite``; ``None`` where nobody knows.

    Example:
        >>> facts = kappa_facts(10, 4.0, 2)
        >>> facts.row_sparsity, facts.representation, facts.entries
        (2, 'sparse', 20)
    """
    given = Estimate(value=kappa, low=kappa, high=kappa, method="given", products=0)
    facts = Facts(n=n, condition=given, bounds=(given,), definiteness=definiteness)
    return with_sparsity(facts, sparsity)


def with_sparsity(facts: Facts, sparsity: int) -> Facts:
    """Return facts of the same system with at most ``sparsity`` entries in a row.

    Below :data:`SPARSE_SHARE` of N² entries it is held by them, as many as N·d, in proportion where
    they were counted. What was measured of other entries, the envelope, is left out.

    Example:
        >>> with_sparsity(kappa_facts(10, 4.0, 2), 10).representation
        'formed'
    """
    if sparsity == facts.row_sparsity and facts.representation in ("formed", "sparse"):
        return facts
    n, entries = facts.n, facts.n * sparsity
    if facts.entries is not None and facts.row_sparsity:
        entries = min(entries, max(1, round(facts.entries * sparsity / facts.row_sparsity)))
    sparse = entries < SPARSE_SHARE * n * n
    return replace(
        facts,
        row_sparsity=sparsity,
        representation="sparse" if sparse else "formed",
        entries=entries if sparse else None,
        envelope=None,
    )
