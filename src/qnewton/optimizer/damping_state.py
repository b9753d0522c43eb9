"""λ, Δ, the usual gradient and ‖H‖ in the optimizer's state: how they begin and stay true."""

import math

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.damping_rule import ceiling, first_strength, usual_norm
from qnewton.optimizer.memory import Memory

_AWAY = 1e-2  # share of Δ from a saddle whose gradient counts as usual


def begin_step(
    memory: Memory,
    gradient: Tensor,
    model: SymmetricOperator,
    size: float,
) -> None:
    """Choose λ and Δ if this is the first step; learn what gradient is usual.

    Args:
        memory: What earlier steps left, changed.
        gradient: g, shape [N].
        model: H.
        size: Of the parameters, which is the first Δ.

    Cost: one product at the first step.
    """
    norm = safe_norm(gradient)
    if memory.damping is not None:
        memory.usual_gradient = usual_norm(memory.usual_gradient, norm)
        return
    along = 0.0
    if norm > 0.0:
        unit = (gradient.double() / norm).to(gradient.dtype)
        along = float(unit.double() @ (model @ unit).double())
    radius = max(1.0, size)
    # A run may begin next to a saddle: then the Hessian tells what a gradient would be away.
    away = _AWAY * abs(along) * radius if math.isfinite(along) else 0.0
    memory.usual_gradient = max(norm, away)
    memory.damping = first_strength(along, norm / radius)
    memory.radius = radius


def present_ceiling(
    strength: float,
    gradient: Tensor,
    model: SymmetricOperator,
    rounding: float,
    seed: int,
) -> float:
    """Return the largest λ that means something at this step.

    One batch out of all proportion leaves a λ that fits nothing that follows, so ‖H‖ is measured
    where the loss alone does not explain so large a λ.

    Args:
        strength: λ.
        gradient: g, shape [N].
        model: H.
        rounding: Smallest change of the loss that is no rounding.
        seed: Seeds the random signs.

    Cost: one product where λ is above what the loss explains, else none.

    Reference: ‖H‖_F² = E‖Hz‖² for independent signs z, Hutchinson 1990.
    """
    size = safe_norm(gradient)
    largest = largest_strength(gradient.dtype)
    explained = ceiling(size, 0.0, rounding)
    if strength <= explained:
        return min(explained, largest)
    drawn = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (len(gradient),), generator=drawn) * 2 - 1
    return min(ceiling(size, safe_norm(model @ signs.to(gradient)), rounding), largest)


def largest_strength(dtype: torch.dtype) -> float:
    """Return the largest λ that may be added to entries of a dtype and leaves them room.

    Example:
        >>> f"{largest_strength(torch.float32):.0e}"
        '4e+31'
    """
    return torch.finfo(dtype).max * torch.finfo(dtype).eps


def present_floor(step: Tensor, bend: float) -> float:
    """Return the smallest λ that rounding does not wipe out along a step.

    That is eps times the curvature along it. A matrix of parameters of very different size has
    entries that are right to eps each, so that eps times its norm would be far too much.

    Args:
        step: s, shape [N].
        bend: sᵀHs.

    Example:
        >>> present_floor(torch.tensor([2.0]), bend=12.0) / torch.finfo(torch.float32).eps
        3.0
    """
    format, size = torch.finfo(step.dtype), safe_norm(step)
    along = abs(bend) / size / size if size > 0.0 else 0.0
    smallest = format.tiny / format.eps
    return max(format.eps * along, smallest) if math.isfinite(along) else smallest
