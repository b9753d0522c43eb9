"""A matrix that is held by its eigenvalues and by eigenvectors in Kronecker form."""

from typing import ClassVar

import torch
from torch import Tensor

from qnewton.operators.base import SymmetricOperator
from qnewton.operators.symmetric import mirror_upper_
from qnewton.records import Treatment


class EigenbasisOperator(SymmetricOperator):
    """A = Q diag(s) Qᵀ with Q = Q_L ⊗ Q_R, whose unknowns are a matrix X, row by row.

    A·X = Q_L (S ∘ (Q_Lᵀ X Q_R)) Q_Rᵀ.

    Args:
        values: S, the eigenvalues in the shape of X, [rows, columns].
        left: Q_L, orthogonal, shape [rows, rows]; ``None`` for the identity.
        right: Q_R, orthogonal, shape [columns, columns]; likewise.
        treatment: What was done to reach it.

    Attributes:
        values: S.
        left: Q_L.
        right: Q_R.

    Raises:
        ValueError: If shapes do not fit.

    Cost: a product, or a solve, 4N·(rows + columns) operations; the entries N products.

    Example:
        >>> operator = EigenbasisOperator(torch.tensor([[2.0, 4.0]]))
        >>> operator @ torch.ones(2), operator.solved(torch.ones(2))
        (tensor([2., 4.]), tensor([0.5000, 0.2500]))
    """

    forms_anew: ClassVar[bool] = True

    def __init__(
        self,
        values: Tensor,
        left: Tensor | None = None,
        right: Tensor | None = None,
        treatment: Treatment | None = None,
    ) -> None:
        for basis, order in zip((left, right), values.shape, strict=True):
            if basis is not None and basis.shape != (order, order):
                found = f"eigenvectors of shape {list(basis.shape)}"
                raise ValueError(f"{found} do not fit eigenvalues of shape {list(values.shape)}")
        self.values = self._held_by = values
        self.left, self.right = left, right
        if treatment is not None:
            self.treatment = treatment

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, N])``."""
        return torch.Size((self.values.numel(),) * 2)

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v."""
        return self._turned(vector, self.values)

    def solved(self, vector: Tensor) -> Tensor:
        """Return A⁻¹·v for v of shape [N], or of each column of shape [N, K]."""
        return self._turned(vector, self.values.reciprocal())

    def outside(self, inside: Tensor) -> Tensor:
        """Return Q_L Y Q_Rᵀ of Y, or of each Y of a batch."""
        found = inside if self.left is None else self.left @ inside
        return found if self.right is None else found @ self.right.mT

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric, a new matrix at each call."""
        return mirror_upper_(self @ torch.eye(self.n, dtype=self.dtype, device=self.device))

    def _turned(self, vector: Tensor, values: Tensor) -> Tensor:
        """Return Q diag(values) Qᵀ·v."""
        self.check_vector(vector)
        inside = vector if vector.ndim == 1 else vector.mT
        inside = inside.reshape(-1, *values.shape)
        inside = inside if self.left is None else self.left.mT @ inside
        inside = inside if self.right is None else inside @ self.right
        return self.outside(inside * values).flatten(1).mT.reshape(vector.shape)
