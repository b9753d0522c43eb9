"""Moving averages of one parameter's gradients, and the eigenvectors that they are held in.

With G the gradient as a matrix [rows, columns], the factors L = E[G Gᵀ] and R = E[Gᵀ G] have the
eigenvectors Q_L and Q_R. In these, the second moment V = E[(Q_Lᵀ G Q_R)²] is nearly the whole
Fisher matrix of batches, and its square root is easily inverted:

    D = -Q_L (Q_Lᵀ M Q_R / (√V + λ)) Q_Rᵀ,   M = E[G],   λ a share of the mean of √V.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

WIDTH_PER_PASS = 32
"""Rows of a factor for every forward and backward pass of the budget: a factor of r rows costs
about 6r operations per parameter and step, a pass 6 per parameter and sample."""

_FIRST_TURNS, _FIRST_ITERATIONS = (1, 3, 10), 4  # where the factors have changed wholly
_SHIFT = 0.01  # of the mean eigenvalue
REFRESHED = 10
"""Steps from one turn of the eigenvectors to the next."""


@dataclass(eq=False)
class GradientAverages:
    """The averages of one parameter; all tensors are changed in place.

    Attributes:
        mean: Q_Lᵀ M Q_R, shape [rows, columns].
        square: V, the same shape.
        left: L and Q_L, both [rows, rows]; ``None`` where they would cost too much.
        right: R and Q_R, both [columns, columns]; likewise.
    """

    mean: Tensor
    square: Tensor
    left: tuple[Tensor, Tensor] | None
    right: tuple[Tensor, Tensor] | None

    @classmethod
    def begin(cls, parameter: Tensor, widest: int) -> "GradientAverages":
        """Return the averages of no gradient.

        Args:
            parameter: A vector is one row; of more dimensions the first is that of the rows.
            widest: Rows of the largest factor.
        """
        rows = parameter.shape[0] if parameter.ndim > 1 else 1
        zeros = parameter.new_zeros(rows, parameter.numel() // max(rows, 1))

        def factor(n: int) -> tuple[Tensor, Tensor] | None:
            if not 1 < n <= widest or parameter.ndim < 2:
                return None
            return zeros.new_zeros(n, n), torch.eye(n, dtype=zeros.dtype, device=zeros.device)

        return cls(zeros, zeros.clone(), factor(rows), factor(zeros.shape[1]))

    @classmethod
    def kept(cls, tensor: Callable[[str], Tensor | None]) -> "GradientAverages | None":
        """Return the averages whose tensors :attr:`tensors` gave, by name; ``None`` without."""
        mean, square = tensor("mean_gradient"), tensor("mean_square")
        if mean is None or square is None:
            return None

        def factor(side: str) -> tuple[Tensor, Tensor] | None:
            held, basis = tensor(f"{side}_factor"), tensor(f"{side}_basis")
            return None if held is None or basis is None else (held, basis)

        return cls(mean, square, factor("left"), factor("right"))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by their names."""
        found = {"mean_gradient": self.mean, "mean_square": self.square}
        for side, factor in (("left", self.left), ("right", self.right)):
            if factor is not None:
                found |= {f"{side}_factor": factor[0], f"{side}_basis": factor[1]}
        return found

    def learn(self, gradient: Tensor, newest: float, step: int) -> None:
        """Add a gradient to the factors, and turn the eigenvectors at some steps.

        Args:
            gradient: G.
            newest: Its share.
            step: How many gradients there were with this one, from 1.

        Cost: 2·rows·columns·(rows + columns) operations; every tenth step twice that and
        a QR decomposition of each factor.
        """
        if self.left is not None:
            self.left[0].addmm_(gradient, gradient.mT, beta=1 - newest, alpha=newest)
        if self.right is not None:
            self.right[0].addmm_(gradient.mT, gradient, beta=1 - newest, alpha=newest)
        if turns_at(step):
            self._turn(_FIRST_ITERATIONS if step in _FIRST_TURNS else 1)

    def enter(self, matrix: Tensor) -> None:
        """Overwrite X by Q_Lᵀ X Q_R."""
        self._rotate(matrix, self.left and self.left[1].mT, self.right and self.right[1])

    def leave(self, matrix: Tensor) -> None:
        """Overwrite X by Q_L X Q_Rᵀ."""
        self._rotate(matrix, self.left and self.left[1], self.right and self.right[1].mT)

    @staticmethod
    def _rotate(matrix: Tensor, left: Tensor | None, right: Tensor | None) -> None:
        if left is not None and right is not None:
            torch.mm(left @ matrix, right, out=matrix)
        elif left is not None:
            matrix.copy_(left @ matrix)
        elif right is not None:
            matrix.copy_(matrix @ right)

    def _turn(self, iterations: int) -> None:
        """Turn the eigenvectors to the present factors, and what is held in their terms."""
        # Independent entries of variance V have, after a turn P, the variances (P∘P) V.
        if self.left is not None:
            turn = _turned(*self.left, iterations)
            self.mean.copy_(turn @ self.mean)
            self.square.copy_(turn.square() @ self.square)
        if self.right is not None:
            turn = _turned(*self.right, iterations)
            self.mean.copy_(self.mean @ turn.mT)
            self.square.copy_(self.square @ turn.square().mT)


def turns_at(step: int) -> bool:
    """Return whether eigenvectors turn with this gradient, counted from 1."""
    return step in _FIRST_TURNS or step % REFRESHED == 0


def _turned(factor: Tensor, basis: Tensor, iterations: int) -> Tensor:
    """Overwrite a basis by better eigenvectors, by orthogonal iteration, and return newᵀ·old.

    Args:
        factor: Symmetric, positive semidefinite.
        basis: Orthogonal.
        iterations: How many.
    """
    # The first factors have few eigenvalues above 0. The shift leaves the other eigenvectors what
    # they were, where rounding would choose them; it moves no eigenvector of the factor.
    shift = _SHIFT * factor.diagonal().mean()
    found = basis
    for _ in range(iterations):
        found = torch.linalg.qr(factor @ found + shift * found)[0]
    turn = found.mT @ basis
    basis.copy_(found)
    return turn
