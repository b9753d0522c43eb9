"""A pattern of entries, covered by as few permutations as its fullest row or column has entries."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching


def permutations(
    pattern: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return d permutations c_l such that every entry (i, j) is c_l(j) = i for exactly one l.

    Positions without an entry fill the permutations up.

    Args:
        pattern: Where the entries are, shape [N, N]; d is the most in a row or column.

    Returns:
        c, shape [d, N], where ``c[l, j]`` is the row; and whether an entry is meant there.

    Cost: d maximum matchings.

    Reference: König 1916: a regular bipartite graph has a perfect matching.

    Example:
        >>> import numpy as np
        >>> rows, meant = permutations(np.array([[True, True], [True, False]]))
        >>> rows.tolist(), meant.tolist()
        ([[0, 1], [1, 0]], [[True, False], [True, True]])
    """
    counts = pattern.astype(np.int64)
    d = max(1, int(counts.sum(axis=0).max()), int(counts.sum(axis=1).max()))
    edges = counts.copy()
    rows, columns = d - edges.sum(axis=1), d - edges.sum(axis=0)
    i = j = 0
    while i < len(edges) and j < len(edges):
        added = min(rows[i], columns[j])
        edges[i, j] += added
        rows[i] -= added
        columns[j] -= added
        i += int(rows[i] == 0)
        j += int(j < len(edges) and columns[j] == 0)
    found = np.empty((d, len(edges)), dtype=np.int64)
    meant = np.empty((d, len(edges)), dtype=np.bool_)
    places = np.arange(len(edges))
    for which in range(d):
        found[which] = maximum_bipartite_matching(csr_array(edges), perm_type="row")
        edges[found[which], places] -= 1
        # What fills up may lie on an entry; then it is the first one that means it.
        meant[which] = counts[found[which], places] > 0
        counts[found[which], places] = 0
    return found, meant
