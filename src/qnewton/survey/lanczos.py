"""Lanczos with full reorthogonalisation from a uniformly random start."""

import math

import torch

from qnewton.operators import SymmetricOperator

_GROWTH = 32


class Lanczos:
    """A growing Krylov basis V_k of A and the tridiagonal T_k = V_kᵀ A V_k.

    A V_k = V_k T_k + β_k v_{k+1} e_kᵀ, with v_1 uniform on the sphere. The basis is kept in
    float64 and reorthogonalised twice against all of itself; products run in the operator's
    dtype, whose rounding is therefore what limits T_k.

    Args:
        operator: The matrix A.
        seed: Seed of the start vector.

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

    def __init__(self, operator: SymmetricOperator, seed: int) -> None:
        self._operator = operator
        # Drawn on the CPU, so that a seed means the same start on every device.
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(operator.n, generator=generator, dtype=torch.float64)
        self._basis = torch.empty(0, operator.n, dtype=torch.float64, device=operator.device)
        self._next = (start / start.norm()).to(operator.device)
        self.alphas: list[float] = []
        self.betas: list[float] = []

    @property
    def products(self) -> int:
        """Number k of products so far."""
        return len(self.alphas)

    @property
    def ulp(self) -> float:
        """One unit in the last place of the norm seen so far, in the operator's dtype."""
        # Largest absolute row sum of T_k: at least its norm.
        above = [0.0, *self.betas]
        rows = zip(self.alphas, above[:-1], self.betas, strict=True)
        largest = max((left + abs(alpha) + right for alpha, left, right in rows), default=0.0)
        return torch.finfo(self._operator.dtype).eps * largest

    @property
    def rounding(self) -> float:
        """Allowance for the rounding of a product with a unit vector: 4 + √N/8 ulp of the norm.

        Three times the largest error of float32 products seen: 0.047·√N ulp, N up to 8,000.
        """
        return (4.0 + math.sqrt(self._operator.n) / 8.0) * self.ulp

    @property
    def exhausted(self) -> bool:
        """Whether the basis spans an invariant subspace to 100 ulp: more products tell nothing."""
        complete = self.products == self._operator.n
        return bool(self.betas) and (complete or self.betas[-1] <= 100.0 * self.ulp)

    def advance(self) -> None:
        """Add one basis vector: one product and 8Nk operations.

        Raises:
            ValueError: If the product is not finite.
        """
        k = self.products
        if k == self._basis.shape[0]:
            # Blocks, because most runs end long before N vectors.
            room = min(max(_GROWTH, k // 2), self._operator.n - k)
            self._basis = torch.cat([self._basis, self._basis.new_empty(room, self._operator.n)])
        vector = self._next
        self._basis[k] = vector
        product = (self._operator @ vector.to(self._operator.dtype)).to(torch.float64)
        alpha = float(vector @ product)
        basis = self._basis[: k + 1]
        for _ in range(2):
            product = product - basis.mT @ (basis @ product)
        beta = float(product.norm())
        if not (math.isfinite(alpha) and math.isfinite(beta)):
            raise ValueError(f"product {k + 1} with the operator is not finite")
        self.alphas.append(alpha)
        self.betas.append(beta)
        self._next = product / beta if beta > 0.0 else product
