"""The condition number max|λ|/min|λ| by four methods."""

from typing import Literal, get_args

from torch import Tensor

from qnewton.operators import SymmetricOperator, as_operator
from qnewton.operators.scaling import into_range
from qnewton.records import Estimate
from qnewton.survey.determinant import factorize
from qnewton.survey.spectrum import spectrum_summary
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

    * ``lanczos``: from products, until the bracket is as narrow as the tolerance. ``low`` is a
      theorem (θ_max/θ_min for a definite matrix, σ_1/σ_k of the (k+1)×k tridiagonal for any),
      ``high`` one that holds with probability 1 - 1e-6 over the start; it is ``None`` until the
      products tell zero apart from the spectrum. Where A's entries are held and all eigenvalues
      cost fewer operations those follow, and the estimate's ``method`` is then ``exact``. An A
      known by products alone gets at most :func:`qnewton.survey.budget.most_products`. If they
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
