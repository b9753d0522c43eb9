"""What every room means by a symmetric matrix: products at once, entries on request."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from qnewton.records import Treatment


class SymmetricOperator(ABC):
    """A real symmetric N × N matrix that can at least multiply.

    Products are available at once; :meth:`dense` may have to form N² entries first. The two
    must describe the same matrix.

    Attributes:
        treatment: What was done to the curvature this operator came from.
    """

    treatment: Treatment = Treatment()

    @property
    @abstractmethod
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, N])``."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Return the dtype of products and entries."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Return the device of products and entries."""

    @abstractmethod
    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v for v of shape [N], or A·V for V of shape [N, K]."""

    @abstractmethod
    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric. Treat the result as read-only."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def check_vector(self, vector: Tensor) -> None:
        """Raise ``ValueError`` unless ``vector`` has N rows."""
        if vector.ndim not in (1, 2) or vector.shape[0] != self.n:
            raise ValueError(
                f"a {self.n} × {self.n} operator cannot multiply a tensor of shape "
                f"{tuple(vector.shape)}; pass shape [{self.n}] or [{self.n}, k]"
            )
