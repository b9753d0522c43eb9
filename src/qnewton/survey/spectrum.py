"""κ to the tolerance asked for: by products while those are cheaper, then by all eigenvalues."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from qnewton.operators import DenseOperator, SparseOperator, SymmetricOperator, WrappedOperator
from qnewton.operators.scaling import into_range, shifted_number
from qnewton.records import Definiteness, Estimate
from qnewton.survey.budget import MOST_FORMED, cheaper_products, most_products
from qnewton.survey.iterative import SpectrumSummary, is_narrow, lanczos_summary
from qnewton.treatment import largest_entry

# Eigenvalues of symmetric entries are off by this many ulp of the norm, times √N: three times the
# largest error seen of 20 spectra of order 50 to 2,400.
_ROUNDINGS = 4.0


def spectrum_summary(
    operator: SymmetricOperator,
    method: str,
    tolerance: float = 0.01,
    *,
    seed: int = 0,
    max_products: int | None = None,
    positive_definite: bool | None = None,
) -> SpectrumSummary:
    """Return κ with the norm and the definiteness found on the way, by ``lanczos`` or ``exact``."""
    # Arguments and errors are those of :func:`condition_number`. Without ``max_products`` Lanczos
    # runs until its bracket is as narrow as the tolerance. Where the entries are held and it would
    # cost more than all their eigenvalues, those are computed. Where they are not it runs up to
    # :func:`~qnewton.survey.budget.most_products` at most; the value is then the error estimates'
    # word, or ``None``, and the bracket holds.
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance {tolerance!r} is outside (0, 1); 0.01 is one percent")
    if max_products is not None and max_products < 1:
        raise ValueError(f"max_products {max_products!r} must be at least 1")
    if method == "exact":
        return exact_summary(operator.dense())
    held = max_products is None and _held(operator) and operator.n <= MOST_FORMED
    limit = cheaper_products(operator.n) if held else most_products(operator.n)
    found = lanczos_summary(
        operator,
        tolerance=tolerance,
        seed=seed,
        max_products=limit if max_products is None else max_products,
        positive_definite=positive_definite,
        bracketed=max_products is None,
    )
    met = found.condition.value is not None and is_narrow(found.condition, tolerance)
    if met or not held:
        return found
    exact = exact_summary(operator.dense())
    condition = replace(exact.condition, products=found.condition.products)
    return replace(exact, condition=condition)


def _held(operator: SymmetricOperator) -> bool:
    """Return whether the entries are there, so that all eigenvalues are those of the same A."""
    if isinstance(operator, WrappedOperator):
        return _held(operator.base)
    return isinstance(operator, DenseOperator | SparseOperator)


def exact_summary(matrix: Tensor) -> SpectrumSummary:
    """Return κ, the norm and the definiteness from all eigenvalues in float64: 4N³/3 operations."""
    largest_entry(matrix)  # Refuses entries that are not finite.
    matrix, exponent = into_range(matrix.to(torch.float64))
    values = torch.linalg.eigvalsh(matrix)
    sizes = values.abs()
    norm, smallest = float(sizes.max()), float(sizes.min())
    n = matrix.shape[0]
    rounding = min(float(n), _ROUNDINGS * math.sqrt(n)) * torch.finfo(torch.float64).eps * norm
    definiteness: Definiteness | None = "positive" if values[0] > rounding else None
    if values[0] < -rounding:
        definiteness = "indefinite"
    value = None if smallest <= rounding else norm / smallest
    if value is None:
        low = max(norm / (smallest + rounding), 1.0) if norm > 0.0 else 1.0
        certificate = "all eigenvalues; the smallest |λ| is zero to the rounding of float64"
    else:
        low = value
        certificate = f"all eigenvalues in float64, relative error {rounding / smallest:.1g}"
    condition = Estimate(
        value=value,
        low=low,
        high=value,
        method="exact",
        products=0,
        low_certificate=certificate,
        high_certificate=None if value is None else certificate,
    )
    return SpectrumSummary(condition, shifted_number(norm, exponent), definiteness)
