"""How many entries of each row carry a given share of it."""

from torch import Tensor

from qnewton.operators import SymmetricOperator, as_operator
from qnewton.treatment import largest_entry, mass_sparsity


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
