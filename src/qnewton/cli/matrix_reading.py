"""A matrix from a file, checked, and held by its entries where they are few."""

import warnings
from pathlib import Path
from typing import Any

from qnewton.cost import SPARSE_SHARE

_SYMMETRY = 1e-10


def read_matrix(path: Path) -> Any:
    """Return the matrix of ``path`` as an operator in float64: dense, or by its nonzero entries.

    A file with less than a quarter of N² nonzero entries is held by them; a sparse file is then
    never written out.

    Args:
        path: A ``.npy`` array or a MatrixMarket ``.mtx``; real, square, symmetric.

    Raises:
        ValueError: One line naming the file and what is wrong with it.
    """
    if not path.is_file():
        raise ValueError(f"--matrix is {path}; there is no such file")
    try:
        if path.suffix == ".npy":
            import numpy

            found: Any = numpy.load(path, allow_pickle=False)
        elif path.suffix == ".mtx":
            import scipy.io

            found = scipy.io.mmread(path)
        else:
            raise ValueError("its name must end in .npy or .mtx")
        return _operator(found)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"--matrix {path}: {error}") from error


def _operator(found: Any) -> Any:
    import numpy
    import torch
    from scipy.sparse import csr_array, issparse

    from qnewton.operators import DenseOperator

    sparse = issparse(found)
    if not sparse:
        found = numpy.asarray(found)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not found.shape[0]:
        raise ValueError(f"its shape is {found.shape}; it must be square, [N, N]")
    if found.dtype.kind not in "fiub":
        raise ValueError(f"its dtype is {found.dtype}; it must be real")
    found = found.astype(numpy.float64)
    values = found.data if sparse else found
    if not numpy.isfinite(values).all():
        raise ValueError("it holds a number that is not finite")
    if not values.any():
        raise ValueError("all its entries are zero, so no system with it has a solution")
    if sparse:
        found = csr_array(found)
        found.eliminate_zeros()
    few = (found.nnz if sparse else numpy.count_nonzero(found)) < SPARSE_SHARE * found.shape[0] ** 2
    if few != sparse:
        found = csr_array(found) if few else found.toarray()
    skew, largest = abs(found - found.T).max(), abs(found).max()
    if skew > _SYMMETRY * largest:
        raise ValueError(f"it is not symmetric: A - Aᵀ has an entry of {skew:.3g}")
    symmetric = (found + found.T) / 2
    return _by_entries(symmetric) if few else DenseOperator(torch.from_numpy(symmetric))


def _by_entries(rows: Any) -> Any:
    import torch

    from qnewton.operators import SparseOperator

    rows.sort_indices()
    parts = (rows.indptr.astype("int64"), rows.indices.astype("int64"), rows.data)
    starts, columns, values = (torch.from_numpy(part) for part in parts)
    with warnings.catch_warnings():
        # PyTorch calls its compressed rows a beta feature, and says that it checks no indices.
        warnings.filterwarnings("ignore", message="Sparse")
        matrix = torch.sparse_csr_tensor(starts, columns, values, size=rows.shape)
        return SparseOperator(matrix)
