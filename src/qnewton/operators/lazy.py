"""Matrices that form entries late or never: a function's, another's negative, a weighted sum."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator, WrappedOperator
from qnewton.operators.factor import DenseFactor
from qnewton.operators.low_rank import LowRankOperator

_JOINED_ENTRIES = 1 << 26  # of a joint factor that is held by its entries


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

    forms_anew: ClassVar[bool] = True

    def __init__(
        self,
        n: int,
        matvec: Callable[[Tensor], Tensor],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        # One number that stands for N² of them.
        self._held_by = torch.empty((), dtype=dtype, device=device).expand(n, n)
        self._matvec = matvec

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v, one call of the function per column."""
        self.check_vector(vector)
        if vector.ndim == 1:
            return self._matvec(vector)
        return torch.stack([self._matvec(column) for column in vector.unbind(1)], dim=1)

    def dense(self) -> Tensor:
        """Return the entries: N products, made symmetric by averaging with the mirror."""
        matrix = self @ torch.eye(self.n, dtype=self.dtype, device=self.device)
        return (matrix + matrix.mT) / 2


class FormedOnce(SymmetricOperator):
    """An operator that forms its entries when they are first asked for, and stores them."""

    forms_anew: ClassVar[bool] = False
    _entries: Tensor | None = None
    _lent: bool = False

    @abstractmethod
    def _form(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric, that nobody else holds."""

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric; the same tensor at every call."""
        if self._entries is None:
            self._entries = self._form()
        self._lent = True
        return self._entries

    def take(self) -> Tensor:
        """Return the entries and keep them no longer; a copy where somebody was given them."""
        entries = self._form() if self._entries is None else self._entries
        entries = entries.clone() if self._lent else entries
        self._entries, self._lent = None, False
        return entries


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

    forms_anew: ClassVar[bool] = True

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return -A·v for v of shape [N], or -A·V for V of shape [N, K]."""
        return -(self.base @ vector)

    def dense(self) -> Tensor:
        """Return the N × N entries, a new tensor at every call."""
        return -self.base.dense()


class WeightedSumOperator(WrappedOperator):
    """Σ w_k A_k, such as the curvature of a batch that was seen in parts.

    Args:
        terms: The w_k and A_k, at least one, of one shape, dtype and device.

    Cost: products: one of every A_k; entries: those of all A_k, one matrix at a time.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> eye = DenseOperator(torch.eye(2))
        >>> WeightedSumOperator([(0.5, eye), (2.0, eye)]) @ torch.tensor([1.0, 2.0])
        tensor([2.5000, 5.0000])
    """

    forms_anew: ClassVar[bool] = True

    def __init__(self, terms: Sequence[tuple[float, SymmetricOperator]]) -> None:
        super().__init__(terms[0][1])
        self._terms = tuple(terms)

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return Σ w_k A_k·v for v of shape [N], or of V of shape [N, K]."""
        return torch.stack([weight * (a @ vector) for weight, a in self._terms]).sum(0)

    def dense(self) -> Tensor:
        """Return the N × N entries, a new tensor at every call."""
        (weight, first), *others = self._terms
        entries = weight * first.dense()
        for weight, operator in others:
            entries.add_(operator.dense(), alpha=weight)
        return entries


def weighted_sum(terms: Sequence[tuple[float, SymmetricOperator]]) -> SymmetricOperator:
    """Return Σ w_k A_k, as one low-rank matrix where all are that and the weights positive.

    Args:
        terms: The w_k and A_k.

    Example:
        >>> low = LowRankOperator(DenseFactor(torch.tensor([[1.0], [2.0]])))
        >>> joint = weighted_sum([(0.25, low), (0.75, low)])
        >>> joint.dense(), joint.rank
        (tensor([[1., 2.],
                [2., 4.]]), 2)
    """
    factors = [a.factor for _, a in terms if isinstance(a, LowRankOperator) and a.shift == 0.0]
    entries = sum(math.prod(factor.shape) for factor in factors)
    weights = [weight for weight, _ in terms]
    if len(factors) < len(terms) or entries > _JOINED_ENTRIES or min(weights) < 0.0:
        return WeightedSumOperator(terms)
    columns = [math.sqrt(w) * f.dense() for w, f in zip(weights, factors, strict=True)]
    return LowRankOperator(DenseFactor(torch.cat(columns, 1)))
