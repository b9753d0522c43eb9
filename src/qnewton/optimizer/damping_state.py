"""λ, Δ, the usual gradient and ‖H‖ in the optimizer's state: how they begin and stay true."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qnewton.operators import SymmetricOperator
from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.damping_rule import ceiling, first_strength, usual_norm

_AWAY = 1e-2  # share of Δ from a saddle whose gradient counts as usual

_BEGINNING = {"exact_from": 0, "exact_wait": 1, "saddle_from": 0}
"""Steps at which the Hessian, and a stationary point, are looked at again; as a run begins."""


def begin_step(
    counters: dict[str, Any],
    gradient: Tensor,
    model: SymmetricOperator,
    parameters: Sequence[Tensor],
) -> None:
    """Choose λ and Δ if this is the first step; learn what gradient is usual.

    Args:
        counters: The optimizer's state, changed.
        gradient: g, shape [N].
        model: H.
        parameters: Their size is the first Δ.

    Cost: one product at the first step.
    """
    for name, beginning in _BEGINNING.items():
        counters.setdefault(name, beginning)
    norm = safe_norm(gradient)
    if counters.get("damping") is not None:
        counters["usual_gradient"] = usual_norm(float(counters["usual_gradient"]), norm)
        return
    along = 0.0
    if norm > 0.0:
        unit = (gradient.double() / norm).to(gradient.dtype)
        along = float(unit.double() @ (model @ unit).double())
    radius = max(1.0, math.hypot(*(safe_norm(p.detach()) for p in parameters)))
    # A run may begin next to a saddle: then the Hessian tells what a gradient would be away.
    away = _AWAY * abs(along) * radius if math.isfinite(along) else 0.0
    counters["usual_gradient"] = max(norm, away)
    counters["damping"] = first_strength(along, norm / radius)
    counters["radius"] = radius


def present_ceiling(
    counters: dict[str, Any],
    gradient: Tensor,
    model: SymmetricOperator,
    rounding: float,
    seed: int,
) -> float:
    """Return the largest λ that means something at this step.

    One batch out of all proportion leaves a λ that fits nothing that follows, so ‖H‖ is measured
    where the loss alone does not explain so large a λ.

    Args:
        counters: The optimizer's state.
        gradient: g, shape [N].
        model: H.
        rounding: Smallest change of the loss that is no rounding.
        seed: Seeds the random signs.

    Cost: one product where λ is above what the loss explains, else none.

    Reference: ‖H‖_F² = E‖Hz‖² for independent signs z, Hutchinson 1990.
    """
    strength, size = float(counters["damping"]), safe_norm(gradient)
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
    """Return the smallest λ that rounding leaves something of along a step.

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
