"""A weighted sum of symmetric matrices."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator
from qnewton.operators.factor import DenseFactor
from qnewton.operators.low_rank import LowRankOperator
from qnewton.operators.wrapped import WrappedOperator

_JOINED_ENTRIES = 1 << 26  # of a joint factor that is held by its entries


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
