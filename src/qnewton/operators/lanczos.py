"""Lanczos with full reorthogonalisation, and the tridiagonal matrix that it leaves."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from qnewton.operators.base import SymmetricOperator
from qnewton.operators.krylov_basis import KrylovBasis
from qnewton.operators.scaling import into_range

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
        """Allowance for the rounding of a product with a unit vector: 4 + √N/8 ulp of the norm."""
        # Three times the largest error of float32 products seen: 0.047·√N ulp, N up to 8,000.
        return (4.0 + math.sqrt(self.n) / 8.0) * self.ulp


class Lanczos:
    """A growing Krylov basis V_k of A and the tridiagonal T_k = V_kᵀ A V_k.

    A V_k = V_k T_k + β_k v_{k+1} e_kᵀ, with v_1 uniform on the sphere unless it is given. The
    basis is kept in float64 and reorthogonalised against all of itself, once after the three-term
    recurrence and again only where that removed much; products run in the operator's dtype, whose
    rounding is therefore what limits T_k.

    Args:
        operator: The matrix A.
        seed: Seed of the start vector.
        start: v_1 up to its length, shape [N], not zero; what is known of a random start, such
            as the probability of a bound, does not hold from a given one.

    Attributes:
        alphas: The k diagonal entries of T_k.
        betas: The k norms β_1 … β_k; all but the last are off-diagonal entries of T_k.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> process = Lanczos(DenseOperator(2 * torch.eye(3)), seed=0)
        >>> process.advance()
        >>> round(process.alphas[0], 5), process.exhausted
        (2.0, True)
    """

    def __init__(
        self, operator: SymmetricOperator, seed: int = 0, start: torch.Tensor | None = None
    ) -> None:
        self._operator = operator
        self._dtype = operator.dtype
        if start is None:
            # Drawn on the CPU, so that a seed means the same start on every device.
            generator = torch.Generator().manual_seed(seed)
            start = torch.randn(operator.n, generator=generator, dtype=torch.float64)
        start = into_range(start.double())[0]
        first = (start / start.norm()).to(operator.device)
        self._basis = KrylovBasis(first, torch.float64, most=operator.n + 1)
        self._largest_row = 0.0
        self.alphas: list[float] = []
        self.betas: list[float] = []

    @property
    def products(self) -> int:
        """Number k of products so far."""
        return len(self.alphas)

    @property
    def exhausted(self) -> bool:
        """Whether the basis spans an invariant subspace to 100 ulp: more products tell nothing."""
        if not self.betas:
            return False
        ulp = torch.finfo(self._dtype).eps * self._largest_row
        return self.products == self._operator.n or self.betas[-1] <= 100.0 * ulp

    def tridiagonal(self, products: int | None = None) -> Tridiagonal:
        """Return T_k, or an earlier one: that of the first ``products``."""
        k = self.products if products is None else products
        return Tridiagonal(
            np.array(self.alphas[:k]),
            np.array(self.betas[:k]),
            self._operator.n,
            torch.finfo(self._dtype).eps,
        )

    def combination(self, weights: torch.Tensor) -> torch.Tensor:
        """Return V_k·w for w of shape [k], in float64."""
        return self._basis.combination(weights)

    def advance_to(self, products: int) -> None:
        """Advance until ``products`` were taken, or the basis is exhausted."""
        while self.products < products and not self.exhausted:
            self.advance()

    def advance(self) -> None:
        """Add one basis vector: one product and 4Nk operations, 8Nk where one pass is too few."""
        k = self.products
        vector = self._basis[k]
        # A copy even in float64: the recurrence works in place, and an operator may hand out its
        # own storage.
        product = (self._operator @ vector.to(self._dtype)).to(torch.float64, copy=True)
        alpha = float(vector.dot(product))
        # The recurrence first: what is left for the pass over the basis is rounding, small beside
        # β, which is what makes one pass enough.
        product.sub_(vector, alpha=alpha)
        previous = 0.0
        if k:
            previous = self.betas[-1]
            product.sub_(self._basis[k - 1], alpha=previous)
        beta = self._basis.clear(product)
        if not (math.isfinite(alpha) and math.isfinite(beta)):
            raise ValueError(f"product {k + 1} with the operator is not finite")
        self.alphas.append(alpha)
        self.betas.append(beta)
        self._largest_row = max(self._largest_row, previous + abs(alpha) + beta)
        self._basis.append(product, 1.0 / beta if beta > 0.0 else 0.0)
