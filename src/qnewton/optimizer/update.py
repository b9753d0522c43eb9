"""Turning directions into parameter changes, all of them or none."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from qnewton.operators import private_torch
from qnewton.operators.scaling import safe_norm
from qnewton.records import Phase

_TRUSTED = (1e-15, 1e18)
"""Norms between these two come from squares that float32 can hold."""

Change = tuple[list[Tensor], list[Tensor], float]
"""Parameters, directions, and the length of direction to be added to each."""


@dataclass(frozen=True)
class GroupGradients:
    """The gradients of one parameter group, of those parameters that have one.

    Attributes:
        parameters: The parameters.
        values: Their ``.grad``, not a copy.
        downhill: The sign that turns them into a direction of improvement: -1, or +1 where the
            group maximizes.
        rate: The group's ``first_order_lr``, or 0 where its ``lr`` is 0: then nothing moves it.
    """

    parameters: list[Tensor]
    values: list[Tensor]
    downhill: float
    rate: float


@dataclass(frozen=True)
class Gradients:
    """What the closure left in ``.grad``, with the norm of each piece.

    Attributes:
        groups: The pieces, by parameter group.
        norms: ‖piece‖₂ of each, over all groups; not finite if and only if an entry is not.
        norm: ‖g‖₂.
    """

    groups: list[GroupGradients]
    norms: list[float]
    norm: float

    @classmethod
    def of(cls, param_groups: Sequence[dict[str, Any]]) -> "Gradients":
        """Read the gradients of an optimizer's parameter groups.

        Raises:
            ValueError: If a gradient is sparse.
        """
        groups: list[GroupGradients] = []
        for group in param_groups:
            parameters, values = [], []
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None:
                    parameters.append(parameter)
                    values.append(gradient)
            downhill = 1.0 if group["maximize"] else -1.0
            groups.append(GroupGradients(parameters, values, downhill, _first_order_rate(group)))
        norms = tensor_norms([value for group in groups for value in group.values])
        return cls(groups, norms, math.hypot(*norms))


@dataclass(frozen=True)
class Applied:
    """What a step did to the parameters.

    Attributes:
        step_norm: ‖β·x‖₂; 0 when nothing was changed.
        cosine: Between β·x and the negative gradient of what is minimized; ``None`` if either
            vanishes, or their product is beyond float64.
        finite: Whether the step could be taken; if not, nothing was changed.
    """

    step_norm: float
    cosine: float | None
    finite: bool


NOT_APPLIED = Applied(step_norm=0.0, cosine=None, finite=False)
"""A step that changed nothing."""


@dataclass(frozen=True)
class Direction:
    """Where the parameters of one block go.

    Attributes:
        parameters: The parameters.
        flat: Their direction, one after the other, shape [N].
        phase: ``newton``, of length ``lr``; or ``first-order``: -g, of length ``first_order_lr``.
    """

    parameters: Sequence[Tensor]
    flat: Tensor
    phase: Phase

    def pieces(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every parameter with its direction, in its shape and dtype."""
        for parameter, piece in self.flat_pieces():
            yield parameter, piece.view_as(parameter).to(parameter.dtype)

    def flat_pieces(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every parameter with its part of ``flat``."""
        sizes = [parameter.numel() for parameter in self.parameters]
        return zip(self.parameters, self.flat.split(sizes), strict=True)


def tensor_norms(tensors: list[Tensor]) -> list[float]:
    """Return ‖t‖₂ of each tensor; not finite if and only if one of its entries is not.

    Raises:
        ValueError: If a tensor is sparse.

    Cost: one pass over the entries and one transfer to the host; a second pass in float64 over
    tensors whose squares leave the range of float32.

    Example:
        >>> tensor_norms([torch.tensor([3.0, 4.0]), torch.tensor([2.0**100])])
        [5.0, 1.2676506002282294e+30]
    """
    if not tensors:
        return []
    try:
        found = private_torch.norms(tensors)
    except NotImplementedError as error:
        raise ValueError(
            "a gradient is sparse; QNewton needs dense ones, for an embedding pass sparse=False"
        ) from error
    if tensors[0].is_cpu:
        norms = [norm.item() for norm in found]
    else:
        device = tensors[0].device
        norms = torch.stack([norm.to(device) for norm in found]).tolist()
    if all(_TRUSTED[0] < norm < _TRUSTED[1] for norm in norms):
        return norms
    return [
        norm if _TRUSTED[0] < norm < _TRUSTED[1] else safe_norm(tensor)
        for norm, tensor in zip(norms, tensors, strict=True)
    ]


def descend(gradients: Gradients) -> Applied:
    """Take the first-order step θ ← θ - β·g, unless it would not be finite.

    Cost: one pass over the parameters; the norms are known already.
    """
    steps: list[float] = []
    inner, norms = 0.0, iter(gradients.norms)
    for group in gradients.groups:
        for norm in islice(norms, len(group.values)):
            steps.append(group.rate * norm)
            inner += group.rate * norm * norm
    step_norm = math.hypot(*steps)
    changes = [(g.parameters, g.values, g.rate * g.downhill) for g in gradients.groups if g.rate]
    if not _add(changes, step_norm):
        return NOT_APPLIED
    return Applied(step_norm, _cosine(inner, step_norm, gradients.norm), finite=True)


def apply_directions(
    directions: Sequence[Direction], param_groups: Sequence[dict[str, Any]], gradients: Gradients
) -> Applied:
    """Take the Newton step θ ← θ + β·x, unless it would not be finite.

    Args:
        directions: The directions, one per block.
        param_groups: The optimizer's parameter groups, with their β, ``lr``, and the
            ``first_order_lr`` of parameters that could not have a Newton direction.
        gradients: For the cosine.
    """
    pieces = {id(p): piece for block in directions for p, piece in block.pieces()}
    slow = {id(p) for block in directions if block.phase == "first-order" for p in block.parameters}
    changes: list[Change] = []
    steps: list[float] = []
    gradient_norms: list[float] = []
    inner, norms = 0.0, iter(gradients.norms)
    for group, seen in zip(param_groups, gradients.groups, strict=True):
        lengths = {False: float(group["lr"]), True: _first_order_rate(group)}
        for first_order, length in lengths.items():
            if length == 0.0:
                continue  # not even a direction that is infinite moves these
            moved = [
                p for p in group["params"] if id(p) in pieces and (id(p) in slow) == first_order
            ]
            changes.append((moved, [pieces[id(p)] for p in moved], length))
            steps += [length * norm for norm in tensor_norms(changes[-1][1])]
        for parameter, value in zip(seen.parameters, seen.values, strict=True):
            norm = next(norms)
            if id(parameter) in pieces:
                length = lengths[id(parameter) in slow]
                product = float((pieces[id(parameter)].double() * value).sum())
                inner += seen.downhill * length * product
                gradient_norms.append(norm)
    step_norm = math.hypot(*steps)
    if not _add(changes, step_norm):
        return NOT_APPLIED
    cosine = _cosine(inner, step_norm, math.hypot(*gradient_norms))
    return Applied(step_norm, cosine, finite=True)


def _first_order_rate(group: dict[str, Any]) -> float:
    return float(group["first_order_lr"]) if float(group["lr"]) > 0.0 else 0.0


def _add(changes: Sequence[Change], step_norm: float) -> bool:
    """Make the changes, whose joint norm is given, and return whether all sums are finite."""
    if not math.isfinite(step_norm):
        return False
    with torch.no_grad():
        for parameters, directions, length in changes:
            if parameters and step_norm >= _surely_finite(parameters[0].dtype):
                sums = private_torch.sums(parameters, directions, length)
                if not all(bool(torch.isfinite(total).all()) for total in sums):
                    return False
        for parameters, directions, length in changes:
            if parameters:
                private_torch.add_(parameters, directions, length)
    return True


@cache
def _surely_finite(dtype: torch.dtype) -> float:
    """Return a length of change that cannot carry any finite number to infinity."""
    # It is half a unit in the last place of the largest finite number, which rounds it away.
    format = torch.finfo(dtype)
    return format.max * format.eps / 4


def _cosine(inner: float, step_norm: float, gradient_norm: float) -> float | None:
    if step_norm == 0 or gradient_norm == 0:
        return None
    cosine = inner / step_norm / gradient_norm  # their product may leave the range
    return cosine if math.isfinite(cosine) else None
