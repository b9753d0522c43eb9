"""Momentum in the least-squares sense: a step keeps what earlier batches told of it (SPRING).

With φ the last step, s = argmin ‖Js + r‖² + λ‖s - c‖², c = μφ, solves (JᵀJ + λI)s = -g + λc. It is
solved for x = s - c, (JᵀJ + λI)x = -g - JᵀJc: a sum of squares again, of the residuals r + Jc, so
that nothing is new to who prices and solves it.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qnewton.curvature import pieces_of
from qnewton.operators import LinearSystem, LowRankOperator
from qnewton.optimizer.local_loss import LocalLoss
from qnewton.optimizer.memory import MOMENTUM
from qnewton.optimizer.step_context import NewtonUpdate

_NOTE = "solved around the last step, as momentum asks"


def carried(loss: LocalLoss) -> Tensor | None:
    """Return c = μφ in the step's variables, shape [N]; ``None`` where nothing is carried over."""
    last = loss.context.memory.vector(MOMENTUM, loss.parameters)
    if last is None or loss.kind == "hessian":
        return None
    shares = loss.setting("damping_momentum") * (loss.flat_lengths > 0.0)
    found = loss.metric.variables(shares.to(last) * last)
    return found if bool(found.any()) else None


def around(
    systems: Sequence[LinearSystem], parameters: Sequence[Tensor], center: Tensor
) -> list[LinearSystem]:
    """Return the systems of x where those given are of s = c + x: H x = b - H c.

    Args:
        systems: One per block, undamped.
        parameters: θ, in the order of c.
        center: c, shape [N].

    Cost: a product each.
    """
    at = pieces_of(parameters, center)
    return [
        _around(system, torch.cat([at[id(p)] for p in system.parameters])) for system in systems
    ]


def _around(system: LinearSystem, center: Tensor) -> LinearSystem:
    operator, record = system.operator, system.curvature
    noted = record and replace(record, reason=f"{record.reason}; {_NOTE}")
    system = replace(system, curvature=noted)
    if isinstance(operator, LowRankOperator) and system.target is not None:
        return system.with_target(system.target - operator.factor.project(center))
    return system.with_rhs(system.rhs - operator @ center)


def with_center(update: NewtonUpdate, parameters: Sequence[Tensor], center: Tensor) -> NewtonUpdate:
    """Return the directions s = c + x, where those given are x."""
    at = pieces_of(parameters, center)
    directions = tuple(
        replace(d, flat=d.flat + torch.cat([at[id(p)] for p in d.parameters]))
        for d in update.directions or ()
    )
    return update if update.directions is None else replace(update, directions=directions)


def keep_directions(loss: LocalLoss, update: NewtonUpdate) -> None:
    """Keep φ, the directions that were taken; where none was Newton's it is zero."""
    if not any(group["damping_momentum"] for group in loss.context.settings.groups):
        return
    newton = [d for d in update.directions or () if d.phase == "newton"]
    known = {id(p): piece for d in newton for p, piece in d.flat_pieces()}
    pieces = [known.get(id(p), torch.zeros_like(p).flatten()) for p in loss.parameters]
    keep_step(loss, loss.flat_lengths * torch.cat(pieces))


def keep_step(loss: LocalLoss, moved: Tensor) -> None:
    """Keep φ, the step that was taken as it is at lr 1, where a group has momentum.

    Args:
        loss: Where it was taken.
        moved: What it moved the parameters by, shape [N].
    """
    memory = loss.context.memory
    used = any(group["damping_momentum"] for group in loss.context.settings.groups)
    if used or memory.vector(MOMENTUM, loss.parameters) is not None:
        lengths = loss.flat_lengths.to(moved)
        step = torch.where(lengths > 0.0, moved / lengths, torch.zeros_like(moved))
        memory.keep_vector(MOMENTUM, loss.parameters, step)
