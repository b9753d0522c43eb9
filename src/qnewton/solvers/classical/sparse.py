"""Sparse LU: for matrices whose factors stay sparse, which pruning alone does not ensure."""

from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import SuperLU, splu
from torch import Tensor

from qnewton.operators import SparseOperator
from qnewton.solvers.classical.factorization import FACTORIZED, Factorization


class SparseLUFactorization(Factorization):
    """P_r·A·P_c = L·U of the nonzero entries, ordered by minimum degree of A + Aᵀ (SuperLU).

    The entries are formed and those that are exactly zero dropped.

    Cost: that of the fill-in, which the ordering decides: O(N) for a tridiagonal matrix, more
    than dense LU when the factors fill. Runs on the CPU, in one thread.

    Reference: Demmel et al., SuperLU, SIAM J. Matrix Anal. Appl. 20 (1999) 720, through SciPy.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> matrix = torch.diag(torch.tensor([2.0, -1.0]))
        >>> SparseLUFactorization(DenseOperator(matrix)).solve(torch.ones(2)).direction
        tensor([ 0.5000, -1.0000])
    """

    solver: ClassVar[str] = "sparse_lu"

    def _factorize(self, matrix: Tensor) -> str:
        columns = _columns(SparseOperator(matrix))
        try:
            self._factor: SuperLU = splu(columns, permc_spec="MMD_AT_PLUS_A")
        except RuntimeError:
            return "singular"
        return FACTORIZED

    @property
    def fill(self) -> int:
        """Entries of L and U together.

        Raises:
            ValueError: If A could not be factorised.
        """
        if self.outcome != FACTORIZED:
            raise ValueError(f"a matrix that is {self.outcome} has no factors")
        return int(self._factor.nnz)

    def _apply(self, rhs: Tensor) -> Tensor:
        x = self._factor.solve(rhs.cpu().numpy())
        return torch.from_numpy(x).to(rhs)


def _columns(operator: SparseOperator) -> csc_matrix:
    """Return the matrix by columns; a symmetric one has the same rows and columns."""
    rows = operator.compressed.cpu()
    pieces = (rows.values(), rows.col_indices(), rows.crow_indices())
    values, indices, starts = (piece.numpy() for piece in pieces)
    parts = (values, indices.astype(np.int32), starts.astype(np.int32))
    return csc_matrix(parts, shape=tuple(operator.shape))
