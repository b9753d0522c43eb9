"""The condition number max|λ|/min|λ| by four methods."""

from typing import Literal, get_args

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator, as_operator
from qnewton.operators.scaling import into_range, shifted_number
from qnewton.records import Definiteness, Estimate
from qnewton.survey.budget import default_products
from qnewton.survey.determinant import determinant_bound, factorize, trace_bound
from qnewton.survey.iterative import SpectrumSummary, lanczos_summary
from qnewton.treatment import largest_entry

Method = Literal["lanczos", "determinant", "trace", "exact"]


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

    * ``lanczos``: from products alone. Stops when the error estimates of both ends of |A| meet
      the tolerance three times in a row (a heuristic), or when its products run out. ``low`` is a
      theorem (θ_max/θ_min for a definite matrix, σ_1/σ_k of the (k+1)×k tridiagonal for any),
      ``high`` one that holds with probability 1 - 1e-6 over the start; it is ``None`` until the
      products tell zero apart from the spectrum. The value is ``None`` if the products ran out
      before the tolerance was met, or if the smallest |λ| is below the rounding of a product;
      the bracket holds all the same.
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
        max_products: Most products ``lanczos`` may spend, N for a run to the end;
            :func:`qnewton.survey.budget.default_products` when not given: all N up to N = 512,
            above what a Cholesky factorisation of a dense matrix usually costs.
        positive_definite: What is already known of A, believed: spares ``determinant`` and
            ``trace`` a certificate and sharpens ``low`` of ``lanczos``.

    Raises:
        ValueError: If the method is unknown, the tolerance or ``max_products`` out of range, the
            matrix not finite, or ``trace`` meets a matrix that is not positive definite.

    Cost: ``lanczos``: k products and 2Nk² operations, k about 15 on an MNIST first layer at λ = 1
    and a few hundred at κ = 10³. ``determinant``, ``trace``: one Cholesky, N³/3, and where that
    fails one LU, 2N³/3; in float64 up to N = 4096, else in the matrix's dtype. ``exact``: 4N³/3.

    Reference: van Dorsselaer et al., SIAM J. Matrix Anal. Appl. 22 (2000) 837; Merikoski et al.,
    Linear Algebra Appl. 254 (1997) 107; Q-Newton (arXiv:2405.00252), section IV-C.

    Example:
        >>> matrix = torch.diag(torch.tensor([5.0, 5.0, 5.0, 5.0, -1.0, -1.0]))
        >>> condition_number(matrix).describe(), condition_number(matrix, "exact").describe()
        ('5 (lanczos)', '5 (exact)')
        >>> condition_number(matrix, "determinant").describe()
        '15.66 (determinant)'
    """
    if method not in get_args(Method):
        raise ValueError(f"unknown method {method!r}; choose from {', '.join(get_args(Method))}")
    operator = as_operator(operator)
    if method in ("lanczos", "exact"):
        return spectrum_summary(
            operator,
            method,
            tolerance,
            seed=seed,
            max_products=max_products,
            positive_definite=positive_definite,
        ).condition
    matrix = operator.dense()
    largest_entry(matrix)  # Refuses entries that are not finite.
    matrix, _ = into_range(matrix)  # κ has no unit, and squares keep their digits
    factorization = factorize(matrix, positive_definite)
    bound = determinant_bound if method == "determinant" else trace_bound
    return bound(matrix, factorization)


def spectrum_summary(
    operator: SymmetricOperator,
    method: str,
    tolerance: float = 0.01,
    *,
    seed: int = 0,
    max_products: int | None = None,
    positive_definite: bool | None = None,
) -> SpectrumSummary:
    """Return κ with the norm and the definiteness found on the way, by ``lanczos`` or ``exact``.

    Arguments and errors as for :func:`condition_number`.
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance {tolerance!r} is outside (0, 1); 0.01 is one percent")
    if max_products is not None and max_products < 1:
        raise ValueError(f"max_products {max_products!r} must be at least 1")
    if method == "exact":
        return _exact_summary(operator.dense())
    return lanczos_summary(
        operator,
        tolerance=tolerance,
        seed=seed,
        max_products=default_products(operator.n) if max_products is None else max_products,
        positive_definite=positive_definite,
    )


def _exact_summary(matrix: Tensor) -> SpectrumSummary:
    largest_entry(matrix)  # Refuses entries that are not finite.
    matrix, exponent = into_range(matrix.to(torch.float64))
    values = torch.linalg.eigvalsh(matrix)
    sizes = values.abs()
    norm, smallest = float(sizes.max()), float(sizes.min())
    # Backward error of the symmetric eigenvalue algorithms, N ulp at most.
    rounding = matrix.shape[0] * torch.finfo(torch.float64).eps * norm
    definiteness: Definiteness | None = None
    if values[0] > rounding:
        definiteness = "positive"
    elif values[0] < -rounding:
        definiteness = "indefinite"
    if smallest <= rounding:
        low = norm / (smallest + rounding) if norm > 0.0 else 1.0
        certificate = "all eigenvalues; the smallest |λ| is zero to the rounding of float64"
        condition = Estimate(
            value=None,
            low=max(low, 1.0),
            high=None,
            method="exact",
            products=0,
            low_certificate=certificate,
        )
    else:
        value = norm / smallest
        certificate = f"all eigenvalues in float64, relative error {rounding / smallest:.1g}"
        condition = Estimate(
            value=value,
            low=value,
            high=value,
            method="exact",
            products=0,
            low_certificate=certificate,
            high_certificate=certificate,
        )
    return SpectrumSummary(condition, shifted_number(norm, exponent), definiteness)
