"""A tall factor U of a low-rank matrix U Uᵀ: its products, its Gram matrix, its columns."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from qnewton.operators.base import HeldBy
from qnewton.operators.scaling import scaled


class Factor(HeldBy, ABC):
    """A real N × k matrix U that multiplies from both sides, and need not hold its entries.

    What a solver in k dimensions (Woodbury) needs is here: U·y, Uᵀ·x and UᵀU.
    """

    @abstractmethod
    def __matmul__(self, y: Tensor) -> Tensor:
        """Return U·y, shape [N] or [N, m], for y of shape [k] or [k, m]."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """Return Uᵀ·x, shape [k] or [k, m], for x of shape [N] or [N, m]."""

    @abstractmethod
    def gram(self) -> Tensor:
        """Return UᵀU, shape [k, k]."""

    @abstractmethod
    def row_squares(self) -> Tensor:
        """Return the squared norms of the rows, shape [N]: the diagonal of U Uᵀ."""

    @abstractmethod
    def columns(self, start: int, stop: int) -> Tensor:
        """Return columns ``start`` to ``stop`` as entries, shape [N, stop - start]."""

    @property
    def product_flops(self) -> float:
        """Operations of U·(Uᵀx) for one x: 4Nk, where a factor knows no cheaper way."""
        return 4.0 * self.shape[0] * self.shape[1]

    @property
    def gram_flops(self) -> float:
        """Operations of UᵀU: 2Nk², where a factor knows no cheaper way."""
        return 2.0 * self.shape[0] * self.shape[1] ** 2

    def dense(self) -> Tensor:
        """Return all entries, shape [N, k]."""
        return self.columns(0, self.shape[1])


class DenseFactor(Factor):
    """A factor given by its entries.

    Args:
        matrix: U, shape [N, k], float32 or float64.

    Raises:
        ValueError: If the matrix has not two dimensions or holds other numbers.

    Example:
        >>> factor = DenseFactor(torch.tensor([[1.0, 0.0], [2.0, 1.0]]))
        >>> factor @ torch.tensor([1.0, 1.0]), factor.gram()[0, 0]
        (tensor([1., 3.]), tensor(5.))
    """

    def __init__(self, matrix: Tensor) -> None:
        if matrix.ndim != 2:
            raise ValueError(f"a factor has shape [N, k], found {tuple(matrix.shape)}")
        if matrix.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"expected float32 or float64 entries, found {matrix.dtype}")
        self._held_by = self._matrix = matrix.detach()

    def __matmul__(self, y: Tensor) -> Tensor:
        """Return U·y: 2Nk operations per column."""
        return self._matrix @ y

    def project(self, x: Tensor) -> Tensor:
        """Return Uᵀ·x: 2Nk operations per column."""
        return self._matrix.mT @ x

    def gram(self) -> Tensor:
        """Return UᵀU: 2Nk² operations."""
        return self._matrix.mT @ self._matrix

    def row_squares(self) -> Tensor:
        """Return the diagonal of U Uᵀ: one pass over the entries."""
        return self._matrix.square().sum(1)

    def columns(self, start: int, stop: int) -> Tensor:
        """Return a view of the columns."""
        return self._matrix[:, start:stop]


class StackedFactor(Factor):
    """Factors with the same columns, one above the other: U = (U₁; U₂; …), UᵀU = Σ UᵢᵀUᵢ.

    Args:
        factors: At least one, all with the same number of columns.

    Raises:
        ValueError: If there is none, or their columns differ in number.

    Example:
        >>> top, bottom = DenseFactor(torch.ones(1, 2)), DenseFactor(torch.eye(2))
        >>> StackedFactor([top, bottom]).dense()
        tensor([[1., 1.],
                [1., 0.],
                [0., 1.]])
    """

    def __init__(self, factors: Sequence[Factor]) -> None:
        widths = {factor.shape[1] for factor in factors}
        if len(widths) != 1:
            raise ValueError(
                f"stacked factors need one and the same number of columns, found {sorted(widths)}"
            )
        self._factors = tuple(factors)
        self._held_by = factors[0]
        self._sizes = [factor.shape[0] for factor in factors]

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, k])``, N that of all factors together."""
        return torch.Size((sum(self._sizes), self._factors[0].shape[1]))

    def __matmul__(self, y: Tensor) -> Tensor:
        """Return U·y, one product per factor."""
        return torch.cat([factor @ y for factor in self._factors])

    def project(self, x: Tensor) -> Tensor:
        """Return Uᵀ·x, one product per factor."""
        pairs = zip(self._factors, x.split(self._sizes), strict=True)
        first, *others = (factor.project(piece) for factor, piece in pairs)
        return sum(others, start=first)

    def gram(self) -> Tensor:
        """Return UᵀU, the sum of the factors' own."""
        first, *others = self._factors
        return sum((factor.gram() for factor in others), start=first.gram())

    @property
    def product_flops(self) -> float:
        """Operations of U·(Uᵀx): those of all factors."""
        return sum(factor.product_flops for factor in self._factors)

    @property
    def gram_flops(self) -> float:
        """Operations of UᵀU: those of all factors."""
        return sum(factor.gram_flops for factor in self._factors)

    def row_squares(self) -> Tensor:
        """Return the diagonal of U Uᵀ."""
        return torch.cat([factor.row_squares() for factor in self._factors])

    def columns(self, start: int, stop: int) -> Tensor:
        """Return the factors' columns, one above the other."""
        return torch.cat([factor.columns(start, stop) for factor in self._factors])


class ScaledFactor(Factor):
    """2^e·U: exact, and its products stay in range where those of U do not.

    Args:
        base: U.
        exponent: e.

    Example:
        >>> ScaledFactor(DenseFactor(torch.ones(2, 1)), 3).gram()
        tensor([[128.]])
    """

    def __init__(self, base: Factor, exponent: int) -> None:
        self._held_by = self._base = base
        self._exponent = exponent

    def __matmul__(self, y: Tensor) -> Tensor:
        """Return 2^e·U·y."""
        return scaled(self._base @ y, self._exponent)

    def project(self, x: Tensor) -> Tensor:
        """Return 2^e·Uᵀ·x."""
        return scaled(self._base.project(x), self._exponent)

    def gram(self) -> Tensor:
        """Return 4^e·UᵀU, from the scaled entries: 2Nk² operations."""
        entries = self.dense()
        return entries.mT @ entries

    def row_squares(self) -> Tensor:
        """Return the squared norms of the scaled rows."""
        return self.dense().square().sum(1)

    def columns(self, start: int, stop: int) -> Tensor:
        """Return scaled columns as entries."""
        return scaled(self._base.columns(start, stop), self._exponent)
