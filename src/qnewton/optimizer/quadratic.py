"""The quadratic model of the loss in the space of the blocks' directions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator

# Eigenvalues of the small system below this share of the largest are rounding.
_ROUNDING = 1e-10


@dataclass(frozen=True)
class QuadraticModel:
    """m(D·c) = gᵀDc + ½ cᵀDᵀHDc with H undamped and unpruned, cross terms included.

    The directions solve a system for ``.grad``, which may be clipped; what is predicted is the
    loss, whose gradient is not.

    Attributes:
        directions: D, shape [N, K].
        slope: Dᵀg with g the gradient of the loss, shape [K], float64.
        asked: Dᵀg with g the negative right-hand side, shape [K], float64.
        curvature: DᵀHD, shape [K, K], float64.
        gram: DᵀD, shape [K, K], float64.
    """

    directions: Tensor
    slope: Tensor
    asked: Tensor
    curvature: Tensor
    gram: Tensor

    @classmethod
    def of(
        cls,
        directions: Tensor,
        gradient: Tensor,
        operator: SymmetricOperator,
        asked: Tensor | None = None,
    ) -> "QuadraticModel":
        """Measure the model along K directions: K products.

        Args:
            directions: D.
            gradient: The gradient of the loss, shape [N].
            operator: H.
            asked: What the directions were to undo, shape [N]; ``None`` for the gradient.
        """
        wide = directions.double()
        images = torch.stack([operator @ column for column in directions.unbind(1)], 1).double()
        curvature = wide.mT @ images
        slope = wide.mT @ gradient.double()
        return cls(
            directions=directions,
            slope=slope,
            asked=slope if asked is None else wide.mT @ asked.double(),
            curvature=(curvature + curvature.mT) / 2,
            gram=wide.mT @ wide,
        )

    def change(self, coefficients: Tensor) -> float:
        """Return m(D·c) for c of shape [K]."""
        return float(self.slope @ coefficients + coefficients @ self.curvature @ coefficients / 2)

    def norm(self, coefficients: Tensor) -> float:
        """Return ‖D·c‖₂."""
        return float((coefficients @ self.gram @ coefficients).clamp_min(0.0).sqrt())

    def minimiser(self, damping: float) -> Tensor:
        """Return the c that minimises m(D·c) + ½λ‖D·c‖² for the right-hand side that was asked.

        c = 1 for a single direction.

        A single direction has its length from the system it solves. Several are put together by
        the cross terms that solving block by block leaves out; where the small matrix is not
        positive definite its eigenvalues are taken by size.
        """
        k = len(self.slope)
        if k == 1:
            return torch.ones_like(self.slope)
        scale = self.gram.diagonal().sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        matrix = (self.curvature + damping * self.gram) / scale[:, None] / scale[None]
        values, vectors = torch.linalg.eigh(matrix)
        sizes = values.abs()
        keep = sizes > _ROUNDING * sizes.max()
        right = vectors.mT @ (-self.asked / scale)
        return (vectors @ torch.where(keep, right / sizes, torch.zeros_like(right))) / scale
