"""The blocks' directions put together by the Fisher matrix between blocks: one factor per block."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature import Kind
from qnewton.operators import Factor, LinearSystem, LowRankOperator

NO_FACTORS = "the Fisher matrix between blocks gives no factors that are finite"


def check_rescaling(curvature: Kind, damping: object) -> None:
    """Raise if the blocks' directions cannot be rescaled.

    Raises:
        ValueError: If the curvature is not the Fisher matrix, or λ sets itself.
    """
    if curvature != "fisher" or damping == "auto":
        raise ValueError(
            f"rescale is set with curvature={curvature!r} and damping={damping!r}; it needs "
            "curvature='fisher', whose columns tell what blocks have in common, and a damping "
            "that is a number"
        )


def factor_between_blocks(system: LinearSystem) -> Factor:
    """Return the factor U of a block of F = U Uᵀ, whose columns are the batch's samples.

    Raises:
        ValueError: If the block is not that, but a mean over processes or its negative.
    """
    if not isinstance(system.operator, LowRankOperator):
        raise ValueError(
            f"rescale needs the samples of block {system.name!r}, whose curvature is averaged over "
            "processes or negated; train in one process, minimise, or leave rescale off"
        )
    return system.operator.factor


@dataclass(frozen=True)
class Share:
    """What the joint model has to know of one block's direction x.

    Attributes:
        effects: Uᵀx, shape [k]: what x does to each sample's loss, over √n. float64.
        slope: -gᵀx.
        penalty: λ·xᵀx.
    """

    effects: Tensor
    slope: float
    penalty: float

    @classmethod
    def of(cls, factor: Factor, rhs: Tensor, direction: Tensor, damping: float) -> "Share":
        """Measure a direction. Cost: one product with Uᵀ, 2kN operations."""
        x = direction.double()
        return cls(
            factor.project(direction).double(),
            float(rhs.double() @ x),
            damping * float(x @ x),
        )


def joint_factors(shares: list[Share]) -> list[float]:
    r"""Return the α that minimise the damped Fisher model over the span of the blocks' directions.

    A block diagonal forgets what blocks have in common: L blocks that all lower the same losses
    lower them L times, and a step of length 1 overshoots. Here the whole matrix, not its diagonal
    blocks, is restricted to Σ_l α_l·x_l:

        min_α  -rᵀα + ½ αᵀ(P Pᵀ + diag(λ_l‖x_l‖²))α,   P_l = U_lᵀx_l,  r_l = -g_lᵀx_l

    One block, or blocks that share no sample's loss, give α = 1; L equal ones about 1/L each. The
    model falls by ½rᵀα ≥ 0. A direction of no length has α = 1.

    Args:
        shares: One per block.

    Raises:
        FloatingPointError: If the factors are not finite.

    Cost: L²k + L³/3 operations for L blocks of k columns.

    Reference: Martens and Grosse 2015 (arXiv:1503.05671), 6.4 and 7, who have one α for the whole
    direction; a Galerkin coarse correction of a block-Jacobi step.

    Example:
        >>> same = Share(torch.tensor([1.0], dtype=torch.float64), slope=1.0, penalty=0.0)
        >>> [round(alpha, 3) for alpha in joint_factors([same])]
        [1.0]
    """
    effects = torch.stack([share.effects for share in shares])
    slopes = effects.new_tensor([share.slope for share in shares])
    model = effects @ effects.mT
    model.diagonal().add_(effects.new_tensor([share.penalty for share in shares]))
    sizes = model.diagonal().sqrt()
    moving = sizes != 0
    # To a unit diagonal: x of different blocks differ by orders of magnitude.
    unit = torch.where(moving, sizes, 1.0)
    scaled = model / torch.outer(unit, unit)
    scaled.diagonal()[~moving] = 1.0
    lower, info = torch.linalg.cholesky_ex(scaled)
    factors = torch.cholesky_solve((slopes / unit)[:, None], lower)[:, 0] / unit
    factors = torch.where(moving, factors, 1.0)
    if int(info) != 0 or not torch.isfinite(factors).all():
        raise FloatingPointError(NO_FACTORS)
    return factors.tolist()
