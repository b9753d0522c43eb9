"""A symmetric matrix held by its nonzero entries alone."""

import copy
import warnings
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator
from qnewton.records import Treatment


class SparseOperator(SymmetricOperator):
    """A symmetric matrix in compressed rows, such as a pruned curvature.

    Args:
        matrix: Entries, shape [N, N]; those that are exactly zero are dropped.
        treatment: What was done to reach it.

    Raises:
        ValueError: If the matrix is not square.

    Cost: one pass over the N² entries; 12 bytes per kept entry in float32. A product is 2
    operations per kept entry. Gathering being slower than streaming, it beats the dense product
    only below a tenth (N = 1,000) to a quarter (N = 4,000) of N² entries.

    Example:
        >>> operator = SparseOperator(torch.diag(torch.tensor([2.0, 3.0])))
        >>> operator @ torch.ones(2), operator.entries
        (tensor([2., 3.]), 2)
    """

    forms_anew: ClassVar[bool] = True
    holds_entries: bool = True

    def __init__(self, matrix: Tensor, treatment: Treatment | None = None) -> None:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"expected a square matrix, found shape {tuple(matrix.shape)}")
        with warnings.catch_warnings():
            # PyTorch calls its compressed rows a beta feature; what is used here is documented.
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
            self._held_by = self._rows = matrix.detach().to_sparse_csr()
        if treatment is not None:
            self.treatment = treatment

    @property
    def entries(self) -> int:
        """Number of entries kept."""
        return self._rows.values().numel()

    @property
    def compressed(self) -> Tensor:
        """The matrix in PyTorch's compressed-row layout; treat it as read-only."""
        return self._rows

    @property
    def row_of_entries(self) -> Tensor:
        """The row of each nonzero entry, in their order; int64, shape [entries]."""
        starts = self._rows.crow_indices()
        numbers = torch.arange(len(starts) - 1, device=starts.device)
        return torch.repeat_interleave(numbers, starts.diff())

    def diagonal(self) -> Tensor:
        """Return the diagonal, shape [N], from the nonzero entries alone.

        Example:
            >>> SparseOperator(torch.tensor([[2.0, 1.0], [1.0, 0.0]])).diagonal()
            tensor([2., 0.])
        """
        rows, values = self.row_of_entries, self._rows.values()
        own = rows == self._rows.col_indices()
        return values.new_zeros(self.n).index_put_((rows[own],), values[own])

    def with_entries(self, values: Tensor) -> "SparseOperator":
        """Return the matrix that has these in place of its nonzero entries, by rows."""
        other = copy.copy(self)
        other._held_by = other._rows = torch.sparse_csr_tensor(
            self._rows.crow_indices(),
            self._rows.col_indices(),
            values,
            self._rows.shape,
            check_invariants=False,  # the same places as before
        )
        return other

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v: 2 operations per kept entry and column."""
        self.check_vector(vector)
        return self._rows @ vector

    def wide_product(self, vector: Tensor) -> Tensor:
        """Return A·v in float64, by entries in float64."""
        return self._rows.double() @ vector

    def dense(self) -> Tensor:
        """Return the N² entries, a new matrix at each call."""
        return self._rows.to_dense()
