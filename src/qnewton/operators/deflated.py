"""A matrix whose largest eigenvalues were taken out, on the space that is left."""

from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator


class DeflatedOperator(SymmetricOperator):
    """P(A - W T⁻¹ Wᵀ)P + τVVᵀ, with W = A·V, T = VᵀA·V and P = I - VVᵀ, in float64.

    For eigenvectors V it is A with their eigenvalues moved to τ. Where V is only near to them it is
    still their Schur complement: with y = T⁻¹(Vᵀb - Wᵀx), the solution of A·z = b is z = x + V·y
    for the x in P's range that solves this matrix against P(b - W T⁻¹ Vᵀb), whatever V is.

    Args:
        base: A, of any dtype.
        vectors: V, orthonormal columns, float64, [N, k].
        moved_to: τ, which no solution sees; a τ inside the rest's spectrum leaves its κ as it is.

    Attributes:
        images: W, float64, [N, k].
        middle: T, [k, k].

    Raises:
        torch.linalg.LinAlgError: If T is singular.

    Example:
        >>> from qnewton.operators import DenseOperator
        >>> matrix = torch.diag(torch.tensor([9.0, 2.0, 1.0]))
        >>> first = torch.eye(3).double()[:, :1]
        >>> DeflatedOperator(DenseOperator(matrix), first, moved_to=2.0).dense().diagonal()
        tensor([2., 2., 1.], dtype=torch.float64)
    """

    forms_anew: ClassVar[bool] = True

    def __init__(self, base: SymmetricOperator, vectors: Tensor, moved_to: float) -> None:
        self._base, self._vectors, self._moved_to = base, vectors, moved_to
        self._held_by = torch.empty((), dtype=torch.float64, device=base.device).expand(base.shape)
        self.treatment = base.treatment
        images = [base.wide_product(column) for column in vectors.unbind(1)]
        self.images = torch.stack(images, dim=1) if images else torch.empty_like(vectors)
        self.middle = vectors.mT @ self.images
        self.middle = (self.middle + self.middle.mT) / 2
        self._solved = torch.linalg.solve(self.middle, self.images.mT)  # T⁻¹ Wᵀ

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return its product with a vector of shape [N], or with columns [N, K]."""
        self.check_vector(vector)
        left = self.project(vector)
        columns = left.unsqueeze(1) if left.ndim == 1 else left
        product = torch.stack([self._base.wide_product(c) for c in columns.unbind(1)], dim=1)
        product = product.view_as(left) - self.images @ (self._solved @ left)
        return self.project(product) + self._moved_to * (vector - left)

    def dense(self) -> Tensor:
        """Return the N × N entries: those of A, and 4N²k operations."""
        matrix = self._base.dense().double() - self.images @ self._solved
        matrix = self.project(self.project(matrix).mT)
        matrix = matrix + self._moved_to * (self._vectors @ self._vectors.mT)
        return (matrix + matrix.mT) / 2

    def project(self, vector: Tensor) -> Tensor:
        """Return P·v, for v of shape [N] or [N, K]."""
        return vector - self._vectors @ (self._vectors.mT @ vector)
