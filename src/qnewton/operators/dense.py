"""A symmetric matrix held as its N² entries."""

import math

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator
from qnewton.operators.scaling import largest
from qnewton.records import Treatment

_TILE = 512
# Float64 products are made a panel of rows at a time, in memory that is used again: 4 MB stay in a
# processor's cache, so that a residual takes little longer than a product. A copy and ``mv`` were
# a quarter faster, or seven times slower: their threads divide a panel differently, and what one
# core wrote the other one reads.
_PANEL_ENTRIES = {"cpu": 1 << 19, "cuda": 1 << 24}


class DenseOperator(SymmetricOperator):
    """A symmetric matrix given by its entries.

    Args:
        matrix: Entries, shape [N, N], equal to their mirror up to rounding.
        treatment: What was done to reach it.

    Raises:
        ValueError: If the matrix is not square, holds integers, or is not symmetric.

    Example:
        >>> DenseOperator(torch.eye(2)) @ torch.tensor([1.0, 2.0])
        tensor([1., 2.])
    """

    holds_entries: bool = True

    def __init__(self, matrix: Tensor, treatment: Treatment | None = None) -> None:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"expected a square matrix, found shape {tuple(matrix.shape)}")
        if matrix.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"expected float32 or float64 entries, found {matrix.dtype}")
        self._held_by = self._matrix = matrix.detach()
        if treatment is not None:
            self.treatment = treatment

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v: 2N² operations per column."""
        self.check_vector(vector)
        return self._matrix @ vector

    def wide_product(self, vector: Tensor) -> Tensor:
        """Return A·v in float64: of float32 entries a panel of rows at a time."""
        matrix = self._matrix
        if matrix.dtype == torch.float64:
            return matrix @ vector
        n, kind = len(matrix), matrix.device.type
        rows = min(n, max(1, _PANEL_ENTRIES.get(kind, _PANEL_ENTRIES["cuda"]) // n))
        panel, product = vector.new_empty(rows, n), vector.new_empty(n)
        for start in range(0, n, rows):
            block = matrix[start : start + rows]
            multiplied = torch.mul(block, vector, out=panel[: len(block)])
            torch.sum(multiplied, 1, out=product[start : start + rows])
        return product

    def dense(self) -> Tensor:
        """Return the matrix itself, not a copy."""
        return self._matrix


class OwnedOperator(DenseOperator):
    """Entries that nothing else holds, so that damping or pruning takes them over without a copy.

    Args:
        matrix: Entries, shape [N, N], which the caller hands over.
        treatment: What was done to reach it.

    Example:
        >>> owned = OwnedOperator(torch.eye(2))
        >>> owned.take().diagonal().add_(1.0), owned.n
        (tensor([2., 2.]), 0)
    """

    def take(self) -> Tensor:
        """Return the entries themselves; the operator is then empty, and multiplies nothing."""
        matrix = self._matrix
        self._held_by = self._matrix = matrix.new_empty(0, 0)
        return matrix


def as_operator(matrix: SymmetricOperator | Tensor) -> SymmetricOperator:
    """Return ``matrix`` as an operator, checking a tensor's symmetry.

    Raises:
        ValueError: If a tensor is not square, finite and symmetric to 1e-5 (float32) or 1e-10
            (float64) of its largest entry.

    Cost: two passes over the N² entries for a tensor, tile by tile and without a copy; nothing
    for an operator.
    """
    if isinstance(matrix, SymmetricOperator):
        return matrix
    operator = DenseOperator(matrix)
    if matrix.numel() == 0:
        raise ValueError("the matrix is empty; a system needs at least one unknown")
    size = largest(operator.dense())
    if not math.isfinite(size):
        raise ValueError("the matrix has entries that are not finite")
    tolerance = 1e-5 if matrix.dtype == torch.float32 else 1e-10
    difference = asymmetry(operator.dense())
    if difference > tolerance * max(size, torch.finfo(matrix.dtype).tiny):
        raise ValueError(
            f"the matrix is not symmetric: |A_ij - A_ji| reaches {difference:.3g} where max|A| is "
            f"{size:.3g}; pass (A + A.T) / 2 if only its symmetric part is meant"
        )
    return operator


def asymmetry(matrix: Tensor) -> float:
    """Return max|A_ij - A_ji|."""
    n = matrix.shape[0]
    worst = 0.0
    # Tiles that fit a cache: a transposed read of whole rows costs ten times as much.
    for top in range(0, n, _TILE):
        for left in range(top, n, _TILE):
            upper = matrix[top : top + _TILE, left : left + _TILE]
            lower = matrix[left : left + _TILE, top : top + _TILE]
            worst = max(worst, largest(upper - lower.mT))
    return worst
