"""What operators that stand around another one share."""

import torch

from qnewton.operators.base import SymmetricOperator


class WrappedOperator(SymmetricOperator):
    """An operator of the same dtype and device as the one it is made from, and usually its shape.

    Args:
        base: That operator; its treatment is kept.
    """

    def __init__(self, base: SymmetricOperator) -> None:
        self.base = base
        self.treatment = base.treatment

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, N])``."""
        return self.base.shape

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of products and entries."""
        return self.base.dtype

    @property
    def device(self) -> torch.device:
        """Return the device of products and entries."""
        return self.base.device
