"""How far a sparse matrix's factor may fill: the envelope of a bandwidth-reducing ordering."""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

from qnewton.operators import SparseOperator


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
