"""The tridiagonal matrix that Lanczos leaves, with the rounding its entries carry."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tridiagonal:
    """T_k = V_kᵀ A V_k after k products with a matrix of order N.

    Attributes:
        alphas: The k diagonal entries.
        betas: β_1 … β_k; the first k - 1 are the off-diagonal entries, β_k the residual norm.
        n: Order N of A.
        epsilon: One unit in the last place of 1 in the dtype of the products.

    Example:
        >>> Tridiagonal(np.array([2.0, 1.0]), np.array([0.5, 0.1]), n=2, epsilon=0.25).ulp
        0.625
    """

    alphas: Vector
    betas: Vector
    n: int
    epsilon: float

    @property
    def products(self) -> int:
        """Number k of products."""
        return len(self.alphas)

    @property
    def complete(self) -> bool:
        """Whether the basis spans the whole space: T_k is then A in other coordinates."""
        return self.products == self.n

    @cached_property
    def ulp(self) -> float:
        """One unit in the last place of the norm seen, in the dtype of the products."""
        # Largest absolute row sum of T_k: at least its norm.
        rows = np.abs(self.alphas) + self.betas
        rows[1:] += self.betas[:-1]
        return self.epsilon * float(rows.max(initial=0.0))

    @property
    def rounding(self) -> float:
        """Allowance for the rounding of a product with a unit vector: 4 + √N/8 ulp of the norm.

        Three times the largest error of float32 products seen: 0.047·√N ulp, N up to 8,000.
        """
        return (4.0 + math.sqrt(self.n) / 8.0) * self.ulp
