"""What a parameter group may set for its own blocks, checked once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from torch import Tensor

from qnewton.optimizer.options import Damping, DampingScale
from qnewton.optimizer.warmup import check_rate

GROUP_SETTINGS = (
    "lr",
    "damping",
    "damping_scale",
    "damping_momentum",
    "prune",
    "weight_decay",
    "first_order_lr",
    "maximize",
)
"""What a parameter group may set."""


class DeclinedFlags(TypedDict, total=False):
    """Arguments of PyTorch's own optimizers that QNewton knows by name and declines."""

    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool


_DECLINED = {
    "foreach": "its updates are grouped already",
    "fused": "its step is a linear solve, for which there is no fused kernel",
    "capturable": "a step decides on the host which solver runs, so no CUDA graph can hold it",
    "differentiable": "it does not backpropagate through its own step",
}


@dataclass(frozen=True)
class GroupSettings:
    """Treatment of the blocks of one parameter group.

    Attributes:
        damping: λ, or its factor when ``damping_scale`` is ``max-abs``; ``auto`` where steps set
            it.
        damping_scale: ``absolute`` for A = H + λI; ``max-abs`` for λ = damping · max|H|;
            ``columns`` for A = JᵀJ + λD².
        damping_momentum: μ.
        prune: ``None``; a count d of entries that a row keeps; or a share of row mass in (0, 1).
        maximize: Whether loss, gradient and curvature are negated.
    """

    damping: float | Literal["auto"]
    damping_scale: DampingScale
    damping_momentum: float
    prune: int | float | None
    maximize: bool


def decline_flags(flags: Mapping[str, Any]) -> None:
    """Refuse PyTorch's implementation flags where they are set; ``None`` and ``False`` pass.

    Raises:
        ValueError: Naming the flag and why it has no meaning here.
        TypeError: If a name is none of PyTorch's flags.
    """
    for name, value in flags.items():
        if name not in _DECLINED:
            raise TypeError(f"QNewton has no argument {name!r}")
        if value:
            raise ValueError(f"QNewton has no {name}={value}: {_DECLINED[name]}; leave it out")


def check_settings(group: dict[str, Any]) -> GroupSettings:
    """Return the group's settings.

    Raises:
        ValueError: Naming the setting, its value and its limits.
    """
    decline_flags({name: group[name] for name in _DECLINED if name in group})
    lr, prune = group["lr"], group["prune"]
    damping = Damping(group["damping"], group["damping_scale"], group["damping_momentum"])
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, found {lr.numel()} elements")
    if not (math.isfinite(float(lr)) and float(lr) >= 0):
        raise ValueError(f"lr is {float(lr)}; it must be finite and 0 or more")
    if prune is not None:
        count_is_bad = isinstance(prune, int) and prune < 1
        mass_is_bad = isinstance(prune, float) and not 0 < prune < 1
        if isinstance(prune, bool) or count_is_bad or mass_is_bad:
            raise ValueError(
                f"prune is {prune}; pass None, a count of 1 or more entries per row, or a share "
                "of row mass between 0 and 1"
            )
    check_rate(group["first_order_lr"])
    weight_decay = group["weight_decay"]
    if not 0.0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay is {weight_decay}; it must be finite and 0 or more")
    maximize = bool(group["maximize"])
    for name, set_too in (("maximize", maximize), ("prune", prune is not None)):
        if damping.of_squares and set_too:
            raise ValueError(
                f"{damping.of_squares} is for squares that are minimised, and {name} is "
                f"{group[name]}; leave one of the two out"
            )
    strength = "auto" if damping.strength == "auto" else float(damping.strength)
    return GroupSettings(strength, damping.scale, damping.momentum, prune, maximize)


def settings_of_block(
    name: str, parameters: Sequence[Tensor], groups: Sequence[dict[str, Any]]
) -> GroupSettings:
    """Return the settings a block's parameters share.

    Raises:
        ValueError: If the block spans groups that are treated differently.
    """
    ids = {id(parameter) for parameter in parameters}
    found = {
        check_settings(group) for group in groups if any(id(p) in ids for p in group["params"])
    }
    if len(found) != 1:
        raise ValueError(
            f"block {name!r} spans parameter groups with different damping, pruning or maximize; "
            "give them the same, or use smaller blocks (blocks='layer' or 'tensor')"
        )
    return found.pop()


def one_sign(groups: Sequence[dict[str, Any]]) -> float:
    """Return -1 if all groups maximize, +1 if none does: ``damping="auto"`` judges one loss.

    Raises:
        ValueError: If some do and others do not.
    """
    found = {bool(group["maximize"]) for group in groups if group["params"]}
    if len(found) > 1:
        raise ValueError(
            "some parameter groups maximize and others minimize, and damping='auto' judges a step "
            "by one loss; give damping a number, or all groups the same maximize"
        )
    return -1.0 if True in found else 1.0


def refuse_of_squares(groups: Sequence[dict[str, Any]], reason: str) -> None:
    """Raise if a group asks for what sums of squares alone have.

    Args:
        groups: The parameter groups.
        reason: Why the curvature is the Hessian.
    """
    asked = asked_of_squares(groups)
    if asked is not None:
        raise ValueError(
            f"{asked} needs a sum of squares, or curvature='ggn' or 'fisher', and here is the "
            f"Hessian: {reason}"
        )


def asked_of_squares(groups: Sequence[dict[str, Any]]) -> str | None:
    """Return a group's setting that only sums of squares have a meaning for, in words."""
    found = (
        Damping(group["damping"], group["damping_scale"], group["damping_momentum"]).of_squares
        for group in groups
    )
    return next(filter(None, found), None)


def in_columns(groups: Sequence[dict[str, Any]]) -> bool:
    """Return whether λ is scaled by the columns of J, which holds for all parameters together.

    Raises:
        ValueError: If some groups ask for it and others do not.
    """
    found = {group["damping_scale"] == "columns" for group in groups if group["params"]}
    if len(found) > 1:
        raise ValueError(
            "some parameter groups have damping_scale='columns' and others have not, and "
            "damping='auto' takes one step of all of them; give all groups the same"
        )
    return True in found


def treated_apart(params: list[Any]) -> bool:
    """Return whether some parameter group asks for a treatment of its own."""
    asked = {"damping", "damping_scale", "damping_momentum", "prune", "maximize"}
    return any(isinstance(group, dict) and asked & group.keys() for group in params)


def are_plain(groups: Sequence[dict[str, Any]]) -> bool:
    """Return whether all groups leave λ, its scale and momentum to the steps, and prune nothing."""
    return all(
        group["damping"] == "auto"
        and group["damping_scale"] == "absolute"
        and not group["damping_momentum"]
        and group["prune"] is None
        for group in groups
        if group["params"]
    )
