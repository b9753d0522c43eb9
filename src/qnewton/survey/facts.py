"""Facts: what was measured of a system, and what a row of it holds."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

from qnewton.operators import (
    DenseOperator,
    LowRankOperator,
    SparseOperator,
    SymmetricOperator,
    as_operator,
)
from qnewton.operators.scaling import excess, into_range, scaled, shifted_number
from qnewton.records import Estimate, Facts, LowRank, Spectrum
from qnewton.survey.condition import eigenvalues, spectrum_summary
from qnewton.survey.determinant import Pivots, factorize
from qnewton.survey.iterative import SpectrumSummary
from qnewton.survey.largest import largest_of
from qnewton.treatment import largest_entry, mass_sparsity, row_blocks


def row_sparsity(operator: SymmetricOperator | Tensor, mass: float = 0.5) -> Tensor:
    """Return the p%-sparsity of every row of A.

    s_i is the fewest entries of row i whose absolute values sum to at least p·Σ_j |A_ij|; an
    all-zero row has 0.

    Args:
        operator: A, an operator or a symmetric tensor of shape [N, N].
        mass: The share p, in (0, 1].

    Returns:
        int64 tensor of shape [N].

    Raises:
        ValueError: If ``mass`` is outside (0, 1] or an entry is not finite.

    Cost: one sort of each row, a block of rows at a time; no second matrix.

    Reference: Q-Newton (arXiv:2405.00252), section III-C and Fig. 6.

    Example:
        >>> import torch
        >>> row_sparsity(torch.tensor([[3.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]))
        tensor([1, 1, 1])
    """
    matrix = as_operator(operator).dense()
    largest_entry(matrix)  # Refuses entries that are not finite.
    return mass_sparsity(matrix, mass)


def envelope(operator: SparseOperator) -> float:
    """Return Σ c_j² over the columns in reverse Cuthill-McKee order.

    c_j counts the rows from j on whose first nonzero entry is not behind column j. A Cholesky
    factor in that order fills nothing else, and takes as many operations at most.

    Args:
        operator: The matrix, shape [N, N], symmetric.

    Cost: O(entries).

    Reference: George and Liu, Computer Solution of Large Sparse Positive Definite Systems, 4.3.

    Example:
        >>> import torch
        >>> envelope(SparseOperator(torch.eye(3)))
        3.0
    """
    rows = operator.compressed.cpu()
    n = operator.n
    starts, columns = rows.crow_indices().numpy(), rows.col_indices().numpy()
    graph = csr_matrix((np.ones(len(columns), dtype=np.int8), columns, starts), shape=(n, n))
    order = reverse_cuthill_mckee(graph, symmetric_mode=True)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    row = place[np.repeat(np.arange(n), np.diff(starts))]
    first = np.arange(n)
    np.minimum.at(first, row, place[columns])
    # Row i reaches over the columns from its first entry to the diagonal.
    begun = np.bincount(first, minlength=n)
    height = (np.cumsum(begun) - np.arange(n)).astype(float)
    return float((height**2).sum())


_BOUNDS = ("determinant", "trace")
_METHODS = ("auto", "lanczos", "exact", *_BOUNDS)

NOT_FORMED = "entries not formed: no row sparsity, largest entry or Frobenius norm"
"""The note on facts of a matrix whose entries were not read."""

ON_CONDITION = "condition: "
"""What notes on a condition number that is not known begin with."""

# Up to here all eigenvalues take two milliseconds, no longer than the looks of Lanczos at T_k.
_EXACT_UP_TO = 256


def survey(
    operator: SymmetricOperator | Tensor,
    *,
    condition: str | None = "auto",
    bounds: Sequence[str] = (),
    tolerance: float = 0.01,
    max_products: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    rank: int | None = None,
) -> Facts:
    """Measure the damped and pruned matrix A.

    Entries are read if the operator holds them, or if a fact asked for needs them (``bounds``,
    ``condition`` by ``exact`` or by a bound); otherwise what depends on them stays ``None`` and a
    note says so. The bounds and the certificate of definiteness share one factorisation.

    Args:
        operator: A, an operator or a symmetric tensor of shape [N, N].
        condition: Method of the condition number (:func:`condition_number`); ``auto`` is
            ``exact`` where the entries are held and N ≤ 256, else ``lanczos``; ``None`` for none.
        bounds: Upper bounds to add, of ``determinant`` and ``trace``. One that is refused leaves
            a note, no exception.
        tolerance: Relative accuracy of ``lanczos``.
        max_products: Most products ``lanczos`` may spend, as for :func:`condition_number`. Where
            they run out the bracket is kept and a note says so.
        seed: Seed of the start vector of ``lanczos``.
        batch: Samples behind the curvature, passed on.
        rank: Rank of the undamped part, passed on.

    Raises:
        ValueError: If a method or bound is unknown, ``tolerance`` out of range, or the matrix is
            not finite.

    Cost: a few passes over the entries, plus that of each method asked for.

    Example:
        >>> facts = survey(torch.tensor([[4.0, 1.0], [1.0, 4.0]]), bounds=("trace",))
        >>> found = facts.spectrum
        >>> found.condition.describe(), found.row_sparsity, found.definiteness
        ('1.667 (exact)', 2, 'positive')
    """
    _check(condition, bounds)
    operator = as_operator(operator)
    if condition == "auto":
        held = isinstance(operator, DenseOperator) and operator.n <= _EXACT_UP_TO
        condition = "exact" if held else "lanczos"
    wanted = tuple(dict.fromkeys((*bounds, *(m for m in (condition,) if m in _BOUNDS))))
    spectrum, notes = Spectrum(), []
    if wanted or condition == "exact" or isinstance(operator, DenseOperator):
        operator = DenseOperator(operator.dense())
        spectrum = _measure_entries(operator.dense())
    else:
        notes.append(NOT_FORMED)
    if condition in ("lanczos", "exact"):
        asked = {"seed": seed, "max_products": max_products}
        summary = spectrum_summary(operator, condition, tolerance, **asked)
        known = {"condition": summary.condition, "definiteness": summary.definiteness}
        known |= {"norm": _representable(summary.norm), "largest": summary.largest}
        spectrum = replace(spectrum, **known)
        notes += _missing(summary)
    if wanted:
        matrix, known = into_range(operator.dense())[0], spectrum.definiteness
        pivots = factorize(matrix, {"positive": True, "indefinite": False, None: None}[known])
        found, said = _measure_bounds(matrix, pivots, wanted)
        certified = known is None and pivots.certificate is not None
        spectrum = replace(
            spectrum,
            condition=found.get(condition) if condition in _BOUNDS else spectrum.condition,
            bounds=tuple(bound for method, bound in found.items() if method in bounds),
            definiteness="positive" if certified else known,
        )
        notes += said
    return Facts(n=operator.n, spectrum=spectrum, rank=rank, batch=batch, notes=tuple(notes))


def _check(condition: str | None, bounds: Sequence[str]) -> None:
    if condition is not None and condition not in _METHODS:
        known = ", ".join(_METHODS)
        raise ValueError(f"unknown condition method {condition!r}; choose from {known} or None")
    for bound in bounds:
        if bound not in _BOUNDS:
            raise ValueError(f"unknown bound {bound!r}; choose from {', '.join(_BOUNDS)}")


def _measure_entries(matrix: Tensor) -> Spectrum:
    largest = largest_entry(matrix)
    most, square, exponent = 0, 0.0, excess(largest, torch.float64)
    for rows in row_blocks(matrix):
        most = max(most, int(rows.count_nonzero(dim=1).max()))
        square += float(scaled(rows.to(torch.float64), -exponent).square().sum())
    frobenius = _representable(math.sqrt(square), exponent)
    return Spectrum(row_sparsity=most, max_abs=largest, frobenius=frobenius)


def _representable(size: float, exponent: int = 0) -> float | None:
    """Return size·2^exponent; ``None`` above the largest float64, which no record can hold."""
    found = shifted_number(size, exponent)
    return found if math.isfinite(found) else None


def _missing(summary: SpectrumSummary) -> list[str]:
    condition = summary.condition
    if condition.value is not None:
        return []
    if not summary.budget_ended:
        zero = "the smallest |λ| is zero to rounding"
        return [f"{ON_CONDITION}{zero}, κ is at least {condition.low:.3g}"]
    high = "" if condition.high is None else f" and at most {condition.high:.3g}"
    spent = f"not known to the tolerance after the {condition.products} products allowed"
    more = "allow more (max_products), raise the damping, or hold the entries (condition='exact')"
    return [f"{ON_CONDITION}{spent}, κ is at least {condition.low:.3g}{high}; {more}"]


def _measure_bounds(
    matrix: Tensor, pivots: Pivots, wanted: Sequence[str]
) -> tuple[dict[str | None, Estimate], list[str]]:
    found: dict[str | None, Estimate] = {}
    notes: list[str] = []
    for method in wanted:
        if method == "trace" and pivots.refusal is not None:
            notes.append(f"trace: refused, {pivots.refusal}")
            continue
        found[method] = estimate = pivots.bound(matrix, method)
        if estimate.value is None and estimate.log_value is None:
            notes.append(f"{method}: det A = 0 in floating point, so the bound is infinite")
    return found, notes


def survey_low_rank(operator: LowRankOperator, batch: int | None = None) -> Facts:
    """Return the facts of A = U Uᵀ + λI without forming its N² entries.

    Its eigenvalues are λ + those of UᵀU, and λ itself N - k times: κ, ‖A‖₂, ‖A‖_F, det A and the
    effective dimension follow. Row sparsity is an upper bound: a row of U that is not zero meets
    every other such row.

    Args:
        operator: A, U of shape [N, k], λ > 0.
        batch: Samples behind it.

    Raises:
        ValueError: If λ is 0, where A may be singular.
        FloatingPointError: If U holds a number that is not finite.

    Cost: UᵀU, 2Nk² operations, and the eigenvalues of a k × k matrix in float64.

    Example:
        >>> from qnewton.operators import DenseFactor
        >>> low = LowRankOperator(DenseFactor(torch.tensor([[1.0], [2.0]])), shift=0.5)
        >>> facts = survey_low_rank(low)
        >>> facts.spectrum.condition.describe(), facts.held.columns, facts.spectrum.definiteness
        ('11 (exact)', 1, 'positive')
    """
    if operator.shift == 0.0:
        raise ValueError("the damping is 0: U Uᵀ may be singular; survey() forms its entries")
    near, exponent = operator.in_range()
    gram = near.factor.gram().double()
    if not torch.isfinite(gram).all():
        raise FloatingPointError("the curvature is not finite")
    n, shift = operator.n, near.shift
    own = eigenvalues((gram + gram.mT) / 2).clamp(min=0.0)[-n:]
    values = torch.full((n,), shift, dtype=torch.float64, device=own.device)
    values[: len(own)] += own
    dimension = float((own / (own + shift)).sum())
    high, low = float(values.max()), float(values.min())
    certificate = "the smallest eigenvalue of U Uᵀ + λI is at least λ"
    rounding = 8.0 * n * torch.finfo(torch.float64).eps
    pivots = Pivots(values.log(), rounding, True, certificate, None)
    square = float(values.square().sum())
    nonzero = int((near.factor.row_squares() > 0).sum())
    kappa = high / low
    spectrum = Spectrum(
        condition=Estimate(value=kappa, low=kappa, high=kappa, method="exact", products=0),
        bounds=(pivots.determinant_bound(square), pivots.trace_bound(float(values.sum()))),
        row_sparsity=max(nonzero, 1),
        max_abs=_representable(near.largest(), exponent),
        norm=_representable(high, exponent),
        frobenius=_representable(math.sqrt(square), exponent),
        undamped_trace=_representable(float(own.sum()), exponent),
        definiteness="positive",
        effective_dimension=dimension,
        largest=largest_of(values, exponent),
    )
    held = LowRank(columns=operator.factor.shape[1])
    said = "row sparsity is an upper bound: rows of U that are not zero, entries not formed"
    known = {"spectrum": spectrum, "rank": operator.rank, "batch": batch}
    return Facts(n=n, held=held, notes=(said,), **known)
