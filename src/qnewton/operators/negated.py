"""The negative of a symmetric matrix."""

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator


class NegatedOperator(SymmetricOperator):
    """-A: the curvature of -L, from that of L.

    Args:
        operator: A; its treatment is kept.

    Cost: products are those of A; the entries are a second matrix.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> NegatedOperator(DenseOperator(torch.eye(2))) @ torch.tensor([1.0, 2.0])
        tensor([-1., -2.])
    """

    def __init__(self, operator: SymmetricOperator) -> None:
        self._operator = operator
        self.treatment = operator.treatment

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, N])``."""
        return self._operator.shape

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of A."""
        return self._operator.dtype

    @property
    def device(self) -> torch.device:
        """Return the device of A."""
        return self._operator.device

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return -A·v for v of shape [N], or -A·V for V of shape [N, K]."""
        return -(self._operator @ vector)

    def dense(self) -> Tensor:
        """Return the N × N entries, a new tensor at every call."""
        return -self._operator.dense()
