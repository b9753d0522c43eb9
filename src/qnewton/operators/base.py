"""What every package means by a symmetric matrix: products at once, entries on request."""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from qnewton.records import Treatment


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype's name as calibrations and records hold it: ``float32``."""
    return str(dtype).removeprefix("torch.")


class _Sized(Protocol):
    @property
    def shape(self) -> torch.Size: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def device(self) -> torch.device: ...


class HeldBy:
    """Shape, dtype and device, which are those of the tensor or operator that something holds."""

    _held_by: _Sized

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, N])``, or of a factor ``torch.Size([N, k])``."""
        return self._held_by.shape

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of products and entries."""
        return self._held_by.dtype

    @property
    def device(self) -> torch.device:
        """Return the device of products and entries."""
        return self._held_by.device


class SymmetricOperator(HeldBy, ABC):
    """A real symmetric N × N matrix that can at least multiply.

    Products are available at once; :meth:`dense` may have to form N² entries first. The two
    must describe the same matrix.

    Attributes:
        treatment: What was done to the curvature this operator came from.
        forms_anew: Whether :meth:`dense` makes a new matrix at each call.
        holds_entries: Whether the entries are there, so that reading them forms nothing.
    """

    treatment: Treatment = Treatment()
    forms_anew: ClassVar[bool] = False
    holds_entries: bool = False

    @abstractmethod
    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v for v of shape [N], or A·V for V of shape [N, K]."""

    @abstractmethod
    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric. Treat the result as read-only."""

    def diagonal(self) -> Tensor:
        """Return the diagonal, shape [N]. Treat the result as read-only.

        Cost: that of :meth:`dense`, unless a kind of matrix knows better.
        """
        return self.dense().diagonal()

    def take(self) -> Tensor:
        """Return entries that belong to the caller, who may overwrite them.

        Cost: that of :meth:`dense`, and a copy where somebody else may hold the same entries.
        """
        matrix = self.dense()
        return matrix if self.forms_anew else matrix.clone()

    def wide_product(self, vector: Tensor) -> Tensor:
        """Return A·v in float64, for v of shape [N] in float64.

        Entries that are held are multiplied in float64; others multiply in their own dtype.
        """
        return (self @ vector.to(self.dtype)).double()

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


class WrappedOperator(SymmetricOperator):
    """An operator of the same dtype and device as the one it is made from, and usually its shape.

    Args:
        base: That operator; its treatment is kept.
    """

    def __init__(self, base: SymmetricOperator) -> None:
        self.base = self._held_by = base
        self.treatment, self.holds_entries = base.treatment, base.holds_entries
