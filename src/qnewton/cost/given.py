"""Facts of a system that nobody surveyed: its numbers are given, or changed to see what follows."""

from dataclasses import replace

from qnewton.cost.parts import nonzeros
from qnewton.records import Definiteness, Estimate, Facts, Formed, Sparse, Spectrum

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
        >>> facts.spectrum.row_sparsity, facts.held
        (2, Sparse(entries=20, envelope=None))
    """
    given = Estimate(value=kappa, low=kappa, high=kappa, method="given", products=0)
    spectrum = Spectrum(condition=given, bounds=(given,), definiteness=definiteness)
    return with_sparsity(Facts(n=n, spectrum=spectrum), sparsity)


def with_sparsity(facts: Facts, sparsity: int) -> Facts:
    """Return facts of the same system with at most ``sparsity`` entries in a row.

    Below :data:`SPARSE_SHARE` of N² entries it is held by them, as many as N·d, in proportion where
    they were counted. What was measured of other entries, the envelope, is left out.

    Example:
        >>> with_sparsity(kappa_facts(10, 4.0, 2), 10).held
        Formed(entries=None, envelope=None)
    """
    held, before = facts.held, facts.spectrum.row_sparsity
    if sparsity == before and isinstance(held, Formed | Sparse):
        return facts
    n, entries = facts.n, facts.n * sparsity
    counted = nonzeros(facts).entries
    if counted is not None and before:
        entries = min(entries, max(1, round(counted * sparsity / before)))
    return replace(
        facts,
        spectrum=replace(facts.spectrum, row_sparsity=sparsity),
        held=Sparse(entries=entries) if entries < SPARSE_SHARE * n * n else Formed(),
    )


def with_condition(facts: Facts, kappa: float) -> Facts:
    """Return facts of the same system with another condition number.

    Raises:
        ValueError: If the system has none that could be changed.

    Example:
        >>> with_condition(kappa_facts(10, 4.0, 2), 8.0).spectrum.condition.value
        8.0
    """
    spectrum = facts.spectrum
    if spectrum.condition is None:
        raise ValueError("the condition number is unknown; survey it, or give one")
    changed = replace(spectrum.condition, value=kappa)
    return replace(facts, spectrum=replace(spectrum, condition=changed))
