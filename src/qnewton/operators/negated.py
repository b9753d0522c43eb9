"""The negative of a symmetric matrix."""

from torch import Tensor

from qnewton.operators.wrapped import WrappedOperator


class NegatedOperator(WrappedOperator):
    """-A: the curvature of -L, from that of L.

    Args:
        base: A; its treatment is kept.

    Cost: products are those of A; the entries are a second matrix.

    Example:
        >>> import torch
        >>> from qnewton.operators import DenseOperator
        >>> NegatedOperator(DenseOperator(torch.eye(2))) @ torch.tensor([1.0, 2.0])
        tensor([-1., -2.])
    """

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return -A·v for v of shape [N], or -A·V for V of shape [N, K]."""
        return -(self.base @ vector)

    def dense(self) -> Tensor:
        """Return the N × N entries, a new tensor at every call."""
        return -self.base.dense()
