"""Turning directions into parameter changes, all of them or none."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qnewton.records import Phase


@dataclass(frozen=True)
class Update:
    """A direction for every parameter it names, each in its parameter's shape."""

    directions: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    def of(cls, blocks: Iterable[tuple[Sequence[Tensor], Tensor]]) -> "Update":
        """Cut each block's flat direction into its parameters' shapes."""
        pairs: list[tuple[Tensor, Tensor]] = []
        for parameters, flat in blocks:
            pieces = flat.split([parameter.numel() for parameter in parameters])
            pairs += [
                (parameter, piece.view_as(parameter).to(parameter.dtype))
                for parameter, piece in zip(parameters, pieces, strict=True)
            ]
        return cls(tuple(pairs))


def first_order_update(groups: Sequence[dict[str, Any]]) -> Update:
    """Return the direction -g of every parameter that has a gradient."""
    return Update(
        tuple(
            (parameter, -parameter.grad)
            for group in groups
            for parameter in group["params"]
            if parameter.grad is not None
        )
    )


@torch.no_grad()
def apply_update(
    update: Update, phase: Phase, groups: Sequence[dict[str, Any]]
) -> tuple[float, float | None, bool]:
    """Add β times the update to the parameters, unless some result would not be finite.

    Args:
        update: The directions.
        phase: Selects the length: ``lr`` for Newton steps, ``first_order_lr`` for the others.
        groups: The optimizer's parameter groups.

    Returns:
        ‖β·x‖₂, the cosine between β·x and -g (``None`` if either vanishes), and whether every
        parameter stays finite; when not, nothing was changed.
    """
    key = "lr" if phase == "newton" else "first_order_lr"
    lengths = {id(p): float(group[key]) for group in groups for p in group["params"]}
    changed: list[tuple[Tensor, Tensor]] = []
    step_square = gradient_square = inner = 0.0
    for parameter, direction in update.directions:
        moved = parameter + lengths[id(parameter)] * direction
        if not torch.isfinite(moved).all():
            return 0.0, None, False
        changed.append((parameter, moved))
        step = lengths[id(parameter)] * direction.double()
        step_square += float(step.square().sum())
        if parameter.grad is not None:
            gradient = parameter.grad.double()
            gradient_square += float(gradient.square().sum())
            inner -= float((step * gradient).sum())
    for parameter, moved in changed:
        parameter.copy_(moved)
    step_norm, gradient_norm = math.sqrt(step_square), math.sqrt(gradient_square)
    if step_norm == 0 or gradient_norm == 0:
        return step_norm, None, True
    return step_norm, inner / (step_norm * gradient_norm), True
