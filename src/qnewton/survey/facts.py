"""One look at the treated matrix of a block: everything the scheduler may ask about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, SymmetricOperator, as_operator
from qnewton.operators.scaling import excess, into_range, scaled, shifted_number
from qnewton.records import Definiteness, Estimate, Facts, Spectrum
from qnewton.survey.condition import spectrum_summary
from qnewton.survey.determinant import factorize
from qnewton.survey.iterative import SpectrumSummary
from qnewton.treatment import largest_entry, row_blocks

_BOUNDS = ("determinant", "trace")
_METHODS = ("auto", "lanczos", "exact", *_BOUNDS)
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
    """Measure the treated matrix A.

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
        notes.append("entries not formed: no row sparsity, largest entry or Frobenius norm")
    if condition in ("lanczos", "exact"):
        summary = spectrum_summary(
            operator, condition, tolerance, seed=seed, max_products=max_products
        )
        spectrum = replace(
            spectrum,
            condition=summary.condition,
            norm=_representable(summary.norm),
            definiteness=summary.definiteness,
        )
        notes += _missing(summary)
    if wanted:
        found = _measure_bounds(into_range(operator.dense())[0], wanted, spectrum.definiteness)
        chosen = (bound for bound in found.estimates if bound.method == condition)
        spectrum = replace(
            spectrum,
            condition=next(chosen, None) if condition in _BOUNDS else spectrum.condition,
            bounds=tuple(bound for bound in found.estimates if bound.method in bounds),
            definiteness=found.definiteness,
        )
        notes += found.notes
    return Facts(n=operator.n, spectrum=spectrum, rank=rank, batch=batch, notes=tuple(notes))


def _check(condition: str | None, bounds: Sequence[str]) -> None:
    if condition is not None and condition not in _METHODS:
        raise ValueError(
            f"unknown condition method {condition!r}; choose from {', '.join(_METHODS)} or None"
        )
    for bound in bounds:
        if bound not in _BOUNDS:
            raise ValueError(f"unknown bound {bound!r}; choose from {', '.join(_BOUNDS)}")


def _measure_entries(matrix: Tensor) -> Spectrum:
    largest = largest_entry(matrix)
    most, square, exponent = 0, 0.0, excess(largest, torch.float64)
    for rows in row_blocks(matrix):
        most = max(most, int(rows.count_nonzero(dim=1).max()))
        square += float(scaled(rows.to(torch.float64), -exponent).square().sum())
    return Spectrum(
        row_sparsity=most,
        max_abs=largest,
        frobenius=_representable(shifted_number(math.sqrt(square), exponent)),
    )


def _representable(norm: float) -> float | None:
    """Return a norm, ``None`` where it is above the largest float64, which no record can hold."""
    return norm if math.isfinite(norm) else None


def _missing(summary: SpectrumSummary) -> list[str]:
    condition = summary.condition
    if condition.value is not None:
        return []
    if not summary.budget_ended:
        return [
            f"condition: the smallest |λ| is zero to rounding, κ is at least {condition.low:.3g}"
        ]
    high = "" if condition.high is None else f" and at most {condition.high:.3g}"
    return [
        f"condition: not known to the tolerance after the {condition.products} products "
        f"allowed, κ is at least {condition.low:.3g}{high}; allow more (max_products), raise "
        "the damping, or hold the entries (condition='exact')"
    ]


@dataclass(frozen=True)
class _Bounds:
    estimates: tuple[Estimate, ...]
    definiteness: Definiteness | None
    notes: tuple[str, ...]


def _measure_bounds(
    matrix: Tensor, wanted: Sequence[str], definiteness: Definiteness | None
) -> _Bounds:
    known = {"positive": True, "indefinite": False, None: None}[definiteness]
    pivots = factorize(matrix, known)
    if definiteness is None and pivots.certificate is not None:
        definiteness = "positive"
    estimates: list[Estimate] = []
    notes: list[str] = []
    for method in wanted:
        if method == "trace" and pivots.refusal is not None:
            notes.append(f"trace: refused, {pivots.refusal}")
            continue
        estimate = pivots.bound(matrix, method)
        estimates.append(estimate)
        if estimate.value is None and estimate.log_value is None:
            notes.append(f"{method}: det A = 0 in floating point, so the bound is infinite")
    return _Bounds(tuple(estimates), definiteness, tuple(notes))
