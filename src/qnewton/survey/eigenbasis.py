"""Facts of a matrix whose eigenvalues are at hand, which nothing has to be formed or solved for."""

import math

import torch

from qnewton.operators import EigenbasisOperator
from qnewton.records import Eigenbasis, Estimate, Facts, Spectrum
from qnewton.survey.determinant import Pivots
from qnewton.survey.largest import largest_of


def survey_eigenbasis(operator: EigenbasisOperator, turned_every: int | None = None) -> Facts:
    """Return the facts of A = Q diag(s) Qᵀ, s > 0.

    κ, the norms, det A and the effective dimension follow from s, the largest entry from the
    diagonal. Row sparsity is an upper bound: all that Q_L and Q_R mix.

    Args:
        operator: A, shape [N, N]; its treatment says λ.
        turned_every: Solves from one turn of the eigenvectors to the next, as recorded.

    Raises:
        FloatingPointError: If an eigenvalue is not finite, or not above 0.

    Cost: some passes over s, and the diagonal of A: 2N·(rows + columns) operations.

    Example:
        >>> facts = survey_eigenbasis(EigenbasisOperator(torch.tensor([[2.0, 4.0]])))
        >>> facts.spectrum.condition.describe(), facts.spectrum.row_sparsity
        ('2 (exact)', 1)
    """
    n, held = operator.n, held_by(operator, turned_every)
    values = operator.values.double()
    low, high = (float(end) for end in values.aminmax())
    if not (low > 0.0 and math.isfinite(high)):
        raise FloatingPointError(f"the eigenvalues lie between {low:.3g} and {high:.3g}")
    # In units of the largest, since the square of a norm may leave the range.
    values = values / high
    kappa, size = high / low, float(values.norm())
    certificate = "all eigenvalues are above 0"
    rounding = 8.0 * n * torch.finfo(torch.float64).eps
    pivots = Pivots(values.log().flatten(), rounding, True, certificate, None)
    spectrum = Spectrum(
        condition=Estimate(value=kappa, low=kappa, high=kappa, method="exact", products=0),
        bounds=(pivots.determinant_bound(size**2), pivots.trace_bound(float(values.sum()))),
        row_sparsity=held.left * held.right,
        max_abs=float(_diagonal(operator).max()),
        norm=high,
        frobenius=high * size,
        largest=tuple(share * high for share in largest_of(values)),
        definiteness="positive",
        effective_dimension=n - operator.treatment.damping / high * float((1 / values).sum()),
    )
    said = "row sparsity is an upper bound: what the eigenvectors mix, entries not formed"
    return Facts(n=n, held=held, spectrum=spectrum, semidefinite=True, notes=(said,))


def held_by(operator: EigenbasisOperator, turned_every: int | None = None) -> Eigenbasis:
    """Return how A is held."""
    left, right = (1 if q is None else len(q) for q in (operator.left, operator.right))
    return Eigenbasis(left=left, right=right, turned_every=turned_every)


def _diagonal(operator: EigenbasisOperator) -> torch.Tensor:
    """Return the diagonal of A, (Q_L∘Q_L) S (Q_R∘Q_R)ᵀ, where A ⪰ 0 has its largest entry."""
    found = operator.values
    found = found if operator.left is None else operator.left.square() @ found
    return found if operator.right is None else found @ operator.right.square().mT
