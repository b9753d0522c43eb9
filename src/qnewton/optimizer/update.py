"""Turning directions into parameter changes, all of them or none."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress, islice
from typing import Any

import torch
from torch import Tensor

from qnewton.operators import private_torch
from qnewton.operators.scaling import safe_norm
from qnewton.records import Phase

_TRUSTED = (1e-15, 1e18)
"""Norms between these two come from squares that float32 can hold."""


@dataclass(frozen=True)
class Change:
    """What some parameters of one group become, (1 - share)·θ + length·x.

    Attributes:
        parameters: θ.
        directions: x.
        length: β, with the sign of x.
        share: β times ``weight_decay``; 0 for parameters that the gradient does not reach.
    """

    parameters: list[Tensor]
    directions: list[Tensor]
    length: float
    share: float = 0.0

    def result(self) -> tuple[Tensor, ...]:
        """Return what the parameters would be."""
        kept = self.parameters
        if self.share:
            kept = private_torch.products(kept, 1.0 - self.share)
        return private_torch.sums(kept, self.directions, self.length)

    def make(self) -> None:
        """Change them."""
        if self.share:
            private_torch.multiply_(self.parameters, 1.0 - self.share)
        private_torch.add_(self.parameters, self.directions, self.length)


@dataclass(frozen=True)
class GroupGradients:
    """The gradients of one parameter group, of those parameters that have one.

    Attributes:
        parameters: The parameters.
        values: Their ``.grad``, not a copy.
        downhill: The sign that turns them into a direction of improvement: -1, or +1 where the
            group maximizes.
        rate: The group's ``first_order_lr``, or 0 where its ``lr`` is 0: then nothing moves it.
        weight_decay: The group's.
    """

    parameters: list[Tensor]
    values: list[Tensor]
    downhill: float
    rate: float
    weight_decay: float


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
            rate, decay = _first_order_rate(group), float(group["weight_decay"])
            groups.append(GroupGradients(parameters, values, downhill, rate, decay))
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
        decay_norm: ‖β·w·θ‖₂ that weight decay took off the parameters.
    """

    step_norm: float
    cosine: float | None
    finite: bool
    decay_norm: float = 0.0


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
    """Take the first-order step θ ← (1 - β·w)·θ - β·g, unless it would not be finite.

    Cost: one pass over the parameters; the norms are known already.
    """
    steps: list[float] = []
    inner, norms = 0.0, iter(gradients.norms)
    for group in gradients.groups:
        for norm in islice(norms, len(group.values)):
            steps.append(group.rate * norm)
            inner += group.rate * norm * norm
    step_norm = math.hypot(*steps)
    changes = [
        Change(g.parameters, g.values, g.rate * g.downhill, g.rate * g.weight_decay)
        for g in gradients.groups
        if g.rate
    ]
    decayed = decay_norm([(change.parameters, change.share) for change in changes])
    if not add_changes(changes, step_norm):
        return NOT_APPLIED
    cosine = _cosine(inner, step_norm, gradients.norm)
    return Applied(step_norm, cosine, finite=True, decay_norm=decayed)


def apply_directions(
    directions: Sequence[Direction], param_groups: Sequence[dict[str, Any]], gradients: Gradients
) -> Applied:
    """Take the Newton step θ ← (1 - β·w)·θ + β·x, unless it would not be finite.

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
            along = [pieces[id(p)] for p in moved]
            steps += [length * norm for norm in tensor_norms(along)]
            changes += _changes(moved, along, length, float(group["weight_decay"]))
        for parameter, value in zip(seen.parameters, seen.values, strict=True):
            norm = next(norms)
            if id(parameter) in pieces:
                length = lengths[id(parameter) in slow]
                product = float((pieces[id(parameter)].double() * value).sum())
                inner += seen.downhill * length * product
                gradient_norms.append(norm)
    step_norm = math.hypot(*steps)
    decayed = decay_norm([(change.parameters, change.share) for change in changes])
    if not add_changes(changes, step_norm):
        return NOT_APPLIED
    cosine = _cosine(inner, step_norm, math.hypot(*gradient_norms))
    return Applied(step_norm, cosine, finite=True, decay_norm=decayed)


def _first_order_rate(group: dict[str, Any]) -> float:
    return float(group["first_order_lr"]) if float(group["lr"]) > 0.0 else 0.0


def _changes(
    parameters: list[Tensor], directions: list[Tensor], length: float, weight_decay: float
) -> Iterator[Change]:
    """Yield what decays, and what does not because no gradient reaches it."""
    if not weight_decay:
        yield Change(parameters, directions, length)
        return
    for reached, share in ((True, length * weight_decay), (False, 0.0)):
        chosen = [(p.grad is not None) == reached for p in parameters]
        yield Change(
            [*compress(parameters, chosen)], [*compress(directions, chosen)], length, share
        )


def decay_norm(decays: Sequence[tuple[list[Tensor], float]]) -> float:
    """Return ‖β·w·θ‖₂ of parameters θ with their shares β·w."""
    with torch.no_grad():
        norms = ((tensor_norms(values), share) for values, share in decays if share)
        return math.hypot(*(share * norm for found, share in norms for norm in found))


def add_changes(changes: Sequence[Change], step_norm: float) -> bool:
    """Make the changes, whose joint norm is given, and return whether all sums are finite."""
    if not math.isfinite(step_norm):
        return False
    with torch.no_grad():
        made = [change for change in changes if change.parameters]
        for change in made:
            long = step_norm >= _surely_finite(change.parameters[0].dtype)
            if (long or change.share > 1.0) and not all(
                bool(torch.isfinite(total).all()) for total in change.result()
            ):
                return False
        for change in made:
            change.make()
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
