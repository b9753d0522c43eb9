"""Facts that are given or changed in place of measured, and the price of a deflated system."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from qnewton.cost.mesh import filled_envelope
from qnewton.cost.parts import nonzeros
from qnewton.records import (
    Definiteness,
    Eigenbasis,
    Estimate,
    Facts,
    Formed,
    FormingWork,
    Held,
    LowRank,
    Products,
    Sparse,
    Spectrum,
)
from qnewton.records.messages import check

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
    known = given(kappa)
    spectrum = Spectrum(condition=known, bounds=(known,), definiteness=definiteness)
    return with_sparsity(Facts(n=n, spectrum=spectrum), sparsity)


def given(kappa: float) -> Estimate:
    """Return a condition number that was given, and not measured, as an estimate.

    Example:
        >>> given(4.0).describe()
        '4 (given)'
    """
    return Estimate(value=kappa, low=kappa, high=kappa, method="given", products=0)


def as_held(facts: Facts, held: Held) -> Facts:
    """Return facts of the same system held in another form; notes say what is assumed.

    Every classical route that could solve it in this form then has a price, beside those that form
    its entries. What is assumed stands in ``notes``, one sentence each.

    Args:
        facts: From :func:`kappa_facts`.
        held: How the matrix is held.

    Example:
        >>> from qnewton.records import LowRank
        >>> facts = as_held(kappa_facts(1000, 4.0, 1000), LowRank(columns=50))
        >>> facts.held.forming.flops, facts.spectrum.effective_dimension, facts.semidefinite
        (100000000.0, 50.0, True)
        >>> print(facts.notes[-1])
        the right-hand side is taken as U·t with a known t, as in least squares
    """
    n, spectrum, said = float(facts.n), facts.spectrum, []
    match held:
        case Sparse(entries=int(entries), envelope=None):
            held = replace(held, envelope=filled_envelope(facts.n))
            said = [
                f"every row holds as many entries as the fullest: {entries} in all",
                "nobody knows where the zeros lie: a sparse factor is taken to fill, N³/3",
            ]
        case Sparse(entries=entries):
            said = [f"every row holds as many entries as the fullest: {entries} in all"]
        case LowRank(columns=int(columns)):
            held = replace(held, target=True, forming=FormingWork(flops=2.0 * n * n * columns))
            dimension = float(min(columns, facts.n))
            spectrum = replace(spectrum, effective_dimension=dimension, definiteness="positive")
            facts = replace(facts, semidefinite=True, rank=min(columns, facts.n))
            said = [
                f"λ is above 0, and all {dimension:g} eigenvalues of U Uᵀ may stand out above it",
                "the right-hand side is taken as U·t with a known t, as in least squares",
            ]
        case Products(product_flops=float(flops)):
            held = replace(held, forming=FormingWork(flops=n * flops))
            said = ["a product passes through no graph of small operations, and N form the entries"]
        case Eigenbasis():
            said = ["the eigenvectors are there, and no solve turns them"]
        case _:
            pass
    return replace(facts, held=held, spectrum=spectrum, notes=(*facts.notes, *said))


def with_sparsity(facts: Facts, sparsity: int) -> Facts:
    """Return facts of the same system with at most ``sparsity`` entries in a row.

    Below :data:`SPARSE_SHARE` of N² entries it is held by them, as many as N·d, in proportion where
    they were counted. Fewer fill no more than those that were there; of more, rows reach as much
    farther and the envelope grows as its cube, as on a mesh, until a factor fills. A matrix that is
    held in another way, by a factor or by products, stays so.

    Example:
        >>> with_sparsity(kappa_facts(10, 4.0, 2), 10).held
        Formed(entries=None, envelope=None)
    """
    held, before = facts.held, facts.spectrum.row_sparsity
    spectrum = replace(facts.spectrum, row_sparsity=sparsity)
    if sparsity == before or not isinstance(held, Formed | Sparse):
        return replace(facts, spectrum=spectrum)
    n, entries = facts.n, facts.n * sparsity
    counted = nonzeros(facts).entries
    if counted is not None and before:
        entries = min(entries, max(1, round(counted * sparsity / before)))
    if entries >= SPARSE_SHARE * n * n:
        return replace(facts, spectrum=spectrum, held=Formed())
    filled = nonzeros(facts).envelope
    if filled is not None and before:
        filled = min(filled * max(1.0, sparsity / before) ** 3, filled_envelope(n))
    return replace(facts, spectrum=spectrum, held=Sparse(entries=entries, envelope=filled))


def with_size(facts: Facts, n: int) -> Facts:
    """Return facts of a system of another size, whose rows and κ are alike.

    A dense matrix stays dense; a sparse one keeps d, where N allows it; one that is held in another
    way stays held so, at the same numbers. Norms and shapes that were measured at one N are left
    out.

    Example:
        >>> with_size(kappa_facts(10, 4.0, 2), 1000).held
        Sparse(entries=2000, envelope=None)
    """
    known, d = facts.spectrum, facts.spectrum.row_sparsity
    blank = Spectrum(
        condition=known.condition, bounds=known.bounds, definiteness=known.definiteness
    )
    changed = replace(facts, n=n, spectrum=blank, earlier=None, amplitudes=None, factored_by=None)
    if d is None:
        return changed
    if isinstance(facts.held, Formed | Sparse):
        changed = replace(changed, held=Formed())
    return with_sparsity(changed, n if d == facts.n else min(d, n))


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
        raise ValueError("the condition number is unknown; measure it, or give one")
    changed = replace(spectrum.condition, value=kappa)
    return replace(facts, spectrum=replace(spectrum, condition=changed))


def deflated_facts(facts: Facts, largest: Sequence[float], count: int) -> Facts:
    """Return facts of A - Σ λ_i v_i v_iᵀ over the ``count`` largest |λ_i|, on what is left.

    κ falls by |λ_{count+1}|/|λ_1| and ‖·‖_F² by Σ λ_i², but the rest is dense: it keeps none of
    A's zeros, so that sparse access to it costs d = N. Sparse access to A itself would gain
    nothing, since α = d‖A‖max and σ_min stay as they are.

    Args:
        facts: Facts of A with its condition number; ‖A‖_F where known.
        largest: The largest |λ| in falling order, one more than ``count`` at least.
        count: Eigenpairs k to take out, 1 or more.

    Raises:
        ValueError: If there are too few eigenvalues, they do not fall, or κ is not known.

    Reference: the split of Li et al., arXiv:2405.00252, VI-B (low-rank structure).

    Example:
        >>> from qnewton.cost import kappa_facts
        >>> rest = deflated_facts(kappa_facts(100, 1000.0, 4), [50.0, 5.0], 1)
        >>> rest.spectrum.condition.value, rest.spectrum.row_sparsity
        (100.0, 100)
    """
    limits = f"must lie between 1 and {len(largest) - 1}, one less than the eigenvalues given"
    check("count", count, limits, 1 <= count < len(largest))
    falling = all(a >= b > 0 for a, b in itertools.pairwise(largest))
    if not falling:
        raise ValueError("largest must hold |λ| above 0 in falling order; sort them")
    spectrum = facts.spectrum
    if spectrum.condition is None or spectrum.condition.value is None:
        raise ValueError("the condition number is unknown; measure it to deflate")
    kappa = max(1.0, spectrum.condition.value * largest[count] / largest[0])
    squares = None
    if spectrum.frobenius is not None:
        # In units of the largest eigenvalue, since its square may leave the range.
        whole = (spectrum.frobenius / largest[0]) ** 2
        left = whole - math.fsum((value / largest[0]) ** 2 for value in largest[:count])
        squares = max(left, (largest[count] / largest[0]) ** 2)
    rest = replace(
        spectrum,
        condition=replace(spectrum.condition, value=kappa, low=None, high=None),
        row_sparsity=facts.n,
        norm=largest[count],
        max_abs=None,
        undamped_trace=None,
        frobenius=None if squares is None else math.sqrt(squares) * largest[0],
    )
    held = Formed() if isinstance(facts.held, Formed | Sparse) else facts.held
    return replace(facts, spectrum=rest, held=held)
