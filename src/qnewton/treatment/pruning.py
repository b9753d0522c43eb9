"""Symmetry-aware pruning: at most d entries per row, the largest first, in mirrored pairs."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, OwnedOperator, SymmetricOperator, as_operator
from qnewton.operators.scaling import excess, largest, scaled, shifted_number
from qnewton.treatment.entries import largest_entry, mass_sparsity, row_blocks
from qnewton.treatment.matching import greedy_mask


def prune(
    operator: SymmetricOperator | Tensor,
    *,
    max_per_row: int | None = None,
    mass: float | None = None,
) -> SymmetricOperator:
    """Return the operator with at most d entries in a row, chosen from the largest down.

    The entries i ≤ j are visited in the strict order (-|A_ij|, i, j); (i, j) and (j, i) are kept
    together if neither row holds d kept entries yet. A diagonal entry counts once, zeros are
    never kept. By ``mass``, d is the largest p%-sparsity over the rows of A
    (:func:`qnewton.survey.row_sparsity`); the cap then leaves most rows more than that share, but
    the symmetry can leave a row less: ``treatment.lowest_kept_mass`` says how much.

    Pruning voids what was known of definiteness: the lowest eigenvalue may fall by as much as
    ``treatment.dropped_norm``.

    Args:
        operator: The damped curvature A, an operator or a symmetric tensor of shape [N, N]. The
            entries of an :class:`~qnewton.operators.OwnedOperator` are taken over.
        max_per_row: The cap d, from 1 to N. Exactly one of this and ``mass``.
        mass: The share p of every row's absolute sum that sets the cap, in (0, 1].

    Returns:
        A dense operator with zeros; its ``treatment`` extends that of the given one.

    Raises:
        ValueError: If not exactly one of ``max_per_row`` and ``mass`` is given, one is out of
            range, or an entry is not finite.

    Cost: that of :func:`qnewton.treatment.matching.greedy_mask`, plus one copy of the matrix
    unless it is owned; by mass, one sort of every row more.

    Reference: Q-Newton (arXiv:2405.00252), section IV-D.

    Example:
        >>> matrix = torch.tensor([[4.0, 3.0, 2.0], [3.0, 1.0, 0.0], [2.0, 0.0, 5.0]])
        >>> pruned = prune(matrix, max_per_row=2)
        >>> pruned.dense()
        tensor([[4., 3., 0.],
                [3., 1., 0.],
                [0., 0., 5.]])
        >>> pruned.treatment.kept_entries, pruned.treatment.lowest_kept_mass
        (5, 0.7142857142857143)
    """
    if (max_per_row is None) == (mass is None):
        given = f"{max_per_row!r} and {mass!r}"
        raise ValueError(f"give exactly one of max_per_row and mass, not {given}")
    operator = as_operator(operator)
    n = operator.n
    if max_per_row is not None and not 1 <= max_per_row <= n:
        limits = f"is outside 1 to {n}, the entries of a row; leave pruning out to keep them all"
        raise ValueError(f"max_per_row {max_per_row!r} {limits}")
    kind = OwnedOperator if isinstance(operator, OwnedOperator) else DenseOperator
    matrix = operator.take()
    largest_entry(matrix)  # Refuses entries that are not finite: they have no order.
    if max_per_row is None:
        assert mass is not None
        max_per_row = max(1, int(mass_sparsity(matrix, mass).max()))
    mask = greedy_mask(matrix, max_per_row)
    lowest, dropped = _drop_others(matrix, mask)
    # The parts dropped by two prunings share no entry, and their shares of a row multiply at worst.
    before = operator.treatment
    treatment = replace(
        before,
        max_per_row=min(max_per_row, before.max_per_row or n),
        mass=mass,
        kept_entries=int(mask.count_nonzero()),
        lowest_kept_mass=lowest * (before.lowest_kept_mass or 1.0),
        dropped_norm=math.hypot(dropped, before.dropped_norm or 0.0),
    )
    return kind(matrix, treatment)


def _drop_others(matrix: Tensor, mask: Tensor) -> tuple[float, float]:
    """Zero what the mask does not keep; return the lowest kept row mass and the dropped norm."""
    lowest, dropped = 1.0, 0.0
    exponent = excess(largest(matrix), torch.float64)
    for rows, keep in zip(row_blocks(matrix), row_blocks(mask), strict=True):
        size = scaled(rows.abs().to(torch.float64), -exponent)
        totals = size.sum(dim=1)
        kept = (size * keep).sum(dim=1)
        shares = kept[totals > 0] / totals[totals > 0]
        lowest = min(lowest, float(shares.min())) if shares.numel() else lowest
        dropped += float(size.masked_fill_(keep, 0.0).square_().sum())
        rows.masked_fill_(~keep, 0.0)
    return lowest, shifted_number(math.sqrt(dropped), exponent)
