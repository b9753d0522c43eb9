"""The condition number that conjugate gradients meet after diagonal scaling."""

from torch import Tensor

from qnewton.operators import DenseOperator, SparseOperator, SymmetricOperator, as_operator
from qnewton.records import Estimate
from qnewton.survey.condition import Method, spectrum_summary


def preconditioned_condition(
    operator: SymmetricOperator | Tensor,
    method: Method = "lanczos",
    *,
    seed: int = 0,
    max_products: int | None = None,
) -> Estimate | None:
    """Estimate κ of D^-½ A D^-½, D the diagonal of A; ``None`` where D is not all positive.

    Args:
        operator: A, an operator that holds its entries, or a symmetric tensor of shape [N, N].
        method: ``lanczos`` or ``exact``, as for :func:`~qnewton.survey.condition_number`.
        seed: Seed of the start vector.
        max_products: Most products; what 1% takes by default.

    Raises:
        FloatingPointError: If A is not finite.

    Cost: a copy of the entries, and the products of :func:`~qnewton.survey.condition_number`.

    Example:
        >>> import torch
        >>> matrix = torch.tensor([[100.0, 5.0], [5.0, 1.0]])
        >>> preconditioned_condition(matrix).describe()
        '3 (lanczos)'
    """
    scaled = diagonally_scaled(as_operator(operator))
    if scaled is None:
        return None
    return spectrum_summary(scaled, method, seed=seed, max_products=max_products).condition


def diagonally_scaled(operator: SymmetricOperator) -> SymmetricOperator | None:
    """Return D^-½ A D^-½ as A is held, in float64; ``None`` where D is not all positive.

    Example:
        >>> import torch
        >>> matrix = torch.tensor([[4.0, 2.0], [2.0, 4.0]])
        >>> diagonally_scaled(DenseOperator(matrix)).dense().tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    found = operator.diagonal().double()
    if not bool((found > 0.0).all()):
        return None
    inverse = found.rsqrt()
    if isinstance(operator, SparseOperator):
        rows, columns = operator.row_of_entries, operator.compressed.col_indices()
        values = operator.compressed.values().double()
        return operator.with_entries(_scaled(values, inverse[rows], inverse[columns]))
    matrix = operator.dense().double()
    return DenseOperator(_scaled(matrix, inverse[:, None], inverse))


def _scaled(entries: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return the entries times both, the same whichever side comes first."""
    return (entries * left * right + entries * right * left) / 2.0
