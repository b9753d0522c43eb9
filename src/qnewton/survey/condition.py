"""Condition numbers by one of four methods, and the products that an iterative one may spend."""

import math
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator, as_operator
from qnewton.operators.scaling import into_range, shifted_number
from qnewton.records import Definiteness, Estimate
from qnewton.survey.determinant import factorize
from qnewton.survey.iterative import SpectrumSummary, is_narrow, lanczos_summary
from qnewton.survey.largest import largest_of
from qnewton.treatment import largest_entry

MOST_PRODUCTS = 4096
"""Most products where nobody gives a budget and the entries are not held."""

MOST_FORMED = 16_384
"""Largest order whose eigenvalues are all computed: 2 GiB of entries in float64."""

_MOST_BASIS = 1 << 27  # numbers of a Krylov basis: 1 GiB in float64
_ALWAYS_COMPLETE = 64
_CHEAPER_SHARE = 0.379
_FEWEST = 10
_MOST_IN_CACHE = 24


def cheaper_products(n: int) -> int:
    """Return how many products cost no more than all eigenvalues of entries of order N.

    k products and their reorthogonalisation take 2N²k + 4Nk² operations, the eigenvalues 4N³/3:
    the same at k = 0.379·N. All N up to N = 64, where neither is felt.

    Example:
        >>> cheaper_products(60), cheaper_products(600), cheaper_products(10_000)
        (60, 227, 3790)
    """
    return n if n <= _ALWAYS_COMPLETE else int(_CHEAPER_SHARE * n)


def most_products(n: int) -> int:
    """Return the most products of a run that nobody gave a budget, on an A known by products.

    All N where N ≤ 4,096; no more than 4,096, and no more than a basis of 1 GiB holds.

    Example:
        >>> most_products(300), most_products(10_000), most_products(1_000_000)
        (300, 4096, 134)
    """
    return min(n, MOST_PRODUCTS, max(_FEWEST, _MOST_BASIS // n))


def thrifty_products(n: int) -> int:
    """Return how many products cost no more than one Cholesky factorisation of order N.

    N/112: a factorisation takes N³/3 operations, a product reads N² entries, and both cores of a
    small machine do some 37 operations in the time of reading one entry from memory; a tenth is
    left for reorthogonalisation. Below N = 2,688 the matrix may come from a cache, but what else
    a product costs counts as well: N/48, at most 24. Never below 10: less than a factorisation
    from N ≈ 500 on; below that no Python loop is.

    Example:
        >>> [thrifty_products(n) for n in (20, 300, 1_000, 4_096, 12_544)]
        [10, 10, 20, 36, 112]
    """
    return min(n, max(_FEWEST, min(_MOST_IN_CACHE, n // 48), n // 112))


Method = Literal["lanczos", "determinant", "trace", "exact"]

# Eigenvalues of symmetric entries are off by this many ulp of the norm, times √N: three times the
# largest error seen of 20 spectra of order 50 to 2,400.
_ROUNDINGS = 4.0


def condition_number(
    operator: SymmetricOperator | Tensor,
    method: Method = "lanczos",
    tolerance: float = 0.01,
    *,
    seed: int = 0,
    max_products: int | None = None,
    positive_definite: bool | None = None,
) -> Estimate:
    """Estimate or bound κ(A) = max|λ|/min|λ| of a symmetric matrix, indefinite ones included.

    * ``lanczos``: from products, until the bracket is as narrow as the tolerance. ``low`` is a
      theorem (θ_max/θ_min for a definite matrix, σ_1/σ_k of the (k+1)×k tridiagonal for any),
      ``high`` one that holds with probability 1 - 1e-6 over the start; it is ``None`` until the
      products tell zero apart from the spectrum. Where A's entries are held and all eigenvalues
      cost fewer operations those follow, and the estimate's ``method`` is then ``exact``. An A
      known by products alone gets at most :func:`qnewton.survey.condition.most_products`. If they
      end before the error estimates meet the tolerance, or the smallest |λ| is below the rounding
      of a product (about 1e-7 of the norm in float32, 1e-15 in float64), the value is ``None`` and
      the bracket holds.
      With ``max_products`` it stops when the error estimates of both ends of |A| meet the
      tolerance three times in a row (a heuristic), or when the products run out.
    * ``determinant``: an upper bound from det A and ‖A‖_F, usually far above κ.
    * ``trace``: an upper bound from det A and tr A for positive definite A.
    * ``exact``: all eigenvalues in float64.

    A bound that overflows float64 has value ``None`` and keeps its logarithm; one that is infinite
    (det A = 0) has neither.

    Args:
        operator: A, an operator or a symmetric tensor of shape [N, N].
        method: One of the four.
        tolerance: Relative accuracy ``lanczos`` stops at, in (0, 1).
        seed: Seed of the start vector of ``lanczos``.
        max_products: Most products ``lanczos`` may spend; what the tolerance takes by default.
        positive_definite: What is already known of A, believed: spares ``determinant`` and
            ``trace`` a certificate and sharpens ``low`` of ``lanczos``.

    Raises:
        ValueError: If the method is unknown, the tolerance or ``max_products`` out of range, the
            matrix not finite, or ``trace`` meets a matrix that is not positive definite.

    Cost: ``lanczos``: k products and 2Nk² operations, k about 30 on an MNIST first layer at λ = 1
    and a few hundred at κ = 10³; twice 4N³/3 at most where the entries are held.
    ``determinant``, ``trace``: one Cholesky, N³/3, and where that fails one LU, 2N³/3; in float64
    up to N = 4096, else in the matrix's dtype. ``exact``: 4N³/3.

    Reference: van Dorsselaer et al., SIAM J. Matrix Anal. Appl. 22 (2000) 837; Merikoski et al.,
    Linear Algebra Appl. 254 (1997) 107; Q-Newton (arXiv:2405.00252), section IV-C.

    Example:
        >>> import torch
        >>> matrix = torch.diag(torch.tensor([5.0, 5.0, 5.0, 5.0, -1.0, -1.0]))
        >>> condition_number(matrix).describe(), condition_number(matrix, max_products=2).describe()
        ('5 (exact)', '5 (lanczos)')
        >>> condition_number(matrix, "determinant").describe()
        '15.66 (determinant)'
    """
    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}; choose from {', '.join(get_args(Method))}")
    operator = as_operator(operator)
    if method in ("lanczos", "exact"):
        known = {"max_products": max_products, "positive_definite": positive_definite}
        return spectrum_summary(operator, method, tolerance, seed=seed, **known).condition
    matrix = operator.dense()
    largest_entry(matrix)  # Refuses entries that are not finite.
    matrix, _ = into_range(matrix)  # κ has no unit, and squares keep their digits
    return factorize(matrix, positive_definite).bound(matrix, method)


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
    # :func:`most_products` at most; the value is then the error estimates' word, or ``None``, and
    # the bracket holds.
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance {tolerance!r} is outside (0, 1); 0.01 is one percent")
    if max_products is not None and max_products < 1:
        raise ValueError(f"max_products {max_products!r} must be at least 1")
    if method == "exact":
        return exact_summary(operator.dense())
    held = max_products is None and operator.holds_entries and operator.n <= MOST_FORMED
    limit = cheaper_products(operator.n) if held else most_products(operator.n)
    asked = {"tolerance": tolerance, "seed": seed, "positive_definite": positive_definite}
    asked["max_products"] = limit if max_products is None else max_products
    found = lanczos_summary(operator, bracketed=max_products is None, **asked)
    met = found.condition.value is not None and is_narrow(found.condition, tolerance)
    if met or not held:
        return found
    exact = exact_summary(operator.dense())
    condition = replace(exact.condition, products=found.condition.products)
    return replace(exact, condition=condition)


def eigenvalues(matrix: Tensor) -> Tensor:
    """Return the eigenvalues of a symmetric matrix, in ascending order.

    Raises:
        FloatingPointError: If they do not converge.
    """
    try:
        return torch.linalg.eigvalsh(matrix)
    except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
        raise FloatingPointError("the eigenvalues of the curvature do not converge") from error


def exact_summary(matrix: Tensor) -> SpectrumSummary:
    """Return κ, the norm and the definiteness from all eigenvalues in float64: 4N³/3 operations."""
    largest_entry(matrix)  # Refuses entries that are not finite.
    matrix, exponent = into_range(matrix.to(torch.float64))
    values = eigenvalues(matrix)
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
    high = None if value is None else certificate
    certified = {"low_certificate": certificate, "high_certificate": high, "method": "exact"}
    condition = Estimate(value=value, low=low, high=value, products=0, **certified)
    norm, largest = shifted_number(norm, exponent), largest_of(values, exponent)
    return SpectrumSummary(condition, norm, definiteness, largest=largest)
