"""The quadratic model of the loss in the space of the blocks' directions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.scaling import safe_norm

# Eigenvalues of the small system below this share of the largest are rounding.
_ROUNDING = 1e-10


@dataclass(frozen=True)
class QuadraticModel:
    """m(D·S·c) = gᵀDSc + ½ cᵀSDᵀHDSc with H undamped and unpruned, cross terms included.

    Directions may be of any length: what is kept is measured on columns of length 1, with their
    lengths S beside them, so that neither products nor squares leave the range of the dtype.
    Coefficients c are those of D·S, the directions as they came.

    The directions solve a system for ``.grad``, which may be clipped; what is predicted is the
    loss, whose gradient is not.

    Attributes:
        directions: D, shape [N, K], columns of length 1 (or 0).
        scales: S, shape [K], float64.
        slope: SDᵀg with g the gradient of the loss, shape [K], float64.
        asked: SDᵀg with g the negative right-hand side, shape [K], float64.
        curvature: DᵀHD, shape [K, K], float64.
        gram: DᵀD, shape [K, K], float64.
    """

    directions: Tensor
    scales: Tensor
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
        asked: Tensor,
    ) -> "QuadraticModel":
        """Measure the model along K directions: K products.

        Args:
            directions: D·S.
            gradient: The gradient of the loss, shape [N].
            operator: H.
            asked: What the directions were to undo, shape [N].
        """
        wide = directions.double()
        scales = wide.new_tensor([safe_norm(column) for column in wide.unbind(1)])
        wide = wide / torch.where(scales > 0, scales, torch.ones_like(scales))
        units = wide.to(directions.dtype)
        images = torch.stack([operator @ column for column in units.unbind(1)], 1).double()
        curvature = wide.mT @ images
        slope = scales * (wide.mT @ gradient.double())
        return cls(
            directions=wide,
            scales=scales,
            slope=slope,
            asked=scales * (wide.mT @ asked.double()),
            curvature=(curvature + curvature.mT) / 2,
            gram=wide.mT @ wide,
        )

    @property
    def finite(self) -> bool:
        """Whether all of it is."""
        parts = (self.scales, self.slope, self.asked, self.curvature, self.gram)
        return bool(torch.isfinite(torch.cat([part.flatten() for part in parts])).all())

    def step(self, coefficients: Tensor) -> Tensor:
        """Return D·S·c for c of shape [K], in float64."""
        return self.directions @ (self.scales * coefficients)

    def bend(self, coefficients: Tensor) -> float:
        """Return cᵀSDᵀHDSc."""
        scaled = self.scales * coefficients
        return float(scaled @ self.curvature @ scaled)

    def norm(self, coefficients: Tensor) -> float:
        """Return ‖D·S·c‖₂."""
        scaled = self.scales * coefficients
        size = float(scaled.abs().max())
        if size == 0.0:
            return 0.0
        scaled = scaled / size
        return size * float((scaled @ self.gram @ scaled).clamp_min(0.0).sqrt())

    def minimiser(self, damping: float) -> Tensor:
        """Return the c that minimises m(D·S·c) + ½λ‖D·S·c‖² for the right-hand side that was asked.

        c = 1 for a single direction.

        A single direction has its length from the system it solves. Several are put together by
        the cross terms that solving block by block leaves out; where the small matrix is not
        positive definite its eigenvalues are taken by size.

        Raises:
            RuntimeError: If its eigenvalues cannot be found.
        """
        k = len(self.slope)
        if k == 1:
            return torch.ones_like(self.slope)
        scales = torch.where(self.scales > 0, self.scales, torch.ones_like(self.scales))
        matrix = self.curvature + damping * self.gram
        values, vectors = torch.linalg.eigh(matrix)
        sizes = values.abs()
        keep = sizes > _ROUNDING * sizes.max()
        right = vectors.mT @ (-self.asked / scales)
        found = vectors @ torch.where(keep, right / sizes, torch.zeros_like(right))
        return found / scales
