"""A symmetric matrix known only by its products."""

from collections.abc import Callable

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator


class MatrixFreeOperator(SymmetricOperator):
    """A symmetric matrix given by a function that multiplies it with a vector.

    Args:
        n: Number of rows.
        matvec: Maps a tensor of shape [N] to A·v of shape [N].
        dtype: dtype of products.
        device: Device of products.

    Example:
        >>> double = MatrixFreeOperator(3, lambda v: 2 * v)
        >>> double.dense().diagonal()
        tensor([2., 2., 2.])
    """

    def __init__(
        self,
        n: int,
        matvec: Callable[[Tensor], Tensor],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self._shape = torch.Size((n, n))
        self._matvec = matvec
        self._dtype = dtype
        self._device = torch.device(device)

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, N])``."""
        return self._shape

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of products."""
        return self._dtype

    @property
    def device(self) -> torch.device:
        """Return the device of products."""
        return self._device

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v, one call of the function a column."""
        self.check_vector(vector)
        if vector.ndim == 1:
            return self._matvec(vector)
        return torch.stack([self._matvec(column) for column in vector.unbind(1)], dim=1)

    def dense(self) -> Tensor:
        """Return the entries: N products, made symmetric by averaging with the mirror."""
        matrix = self @ torch.eye(self.n, dtype=self.dtype, device=self.device)
        return (matrix + matrix.mT) / 2
