"""How sparse a matrix is: the entries that carry its rows, and how far its factor may fill."""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

from qnewton.operators import SparseOperator, SymmetricOperator, as_operator
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
