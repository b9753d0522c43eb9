"""The curvature along a step, from two gradients of its own batch, and the loss at its end."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature import NUMERICAL, Reruns
from qnewton.operators.scaling import inner
from qnewton.optimizer.length_rule import LengthState
from qnewton.optimizer.memory import MOVED
from qnewton.optimizer.step_context import Evaluated, StepContext

_PROBE = 1e-3  # share of the parameters' length that the very first measurement goes


@dataclass(frozen=True)
class Measured:
    """What was measured along a step.

    Attributes:
        state: What is known of its length now; the length is that of the step.
        passes: Forward and backward passes that it took.
        loss: Of the same batch where the step ends; ``None`` where numbers ended it.
    """

    state: LengthState
    passes: int
    loss: float | None = None


def measure_along(
    context: StepContext, evaluated: Evaluated, state: LengthState, move: Tensor, share: float
) -> Measured:
    """Return the state with xᵀHx/xᵀx of a move x, (g(θ + αx) - g(θ))ᵀx / αxᵀx, α the length.

    The gradients are those before clipping and accumulation, and no second derivative is needed.

    Args:
        context: Where the step takes place.
        evaluated: The loss, with what evaluates it again.
        state: What is known of the length.
        move: x, shape [N], of all of the curvature's parameters.
        share: By which the batch's loss counts.

    Cost: two forward and backward passes; three for the first measurement of a run.
    """
    curvature, replicas = evaluated.curvature, context.replicas
    reruns = Reruns(evaluated.again, curvature.parameters)
    square = inner(move, move)

    def at(length: float) -> tuple[float, Tensor]:
        with reruns.at(length * move) as found:
            flat = found.flat if replicas is None else replicas.average_(found.flat.clone())
            return found.evaluation.judged_loss, flat

    def bend(length: float, ended: Tensor) -> float:
        return share * (inner(ended, move) - slope) / (length * square)

    passes = 1
    try:
        slope = inner(at(0.0)[1], move)
        if state.bend is None:
            probe = _PROBE * reruns.size / square**0.5
            state = state.with_bend(bend(probe, at(probe)[1]))
            passes += 1
            state = state.begun(reruns.size / square**0.5)
        state = state.bounded()
        if state.length is not None:
            passes += 1
            loss, ended = at(state.length)
            # It bounds the next step: this one ends where the loss was evaluated.
            return Measured(state.with_bend(bend(state.length, ended)), passes, loss)
    except (*NUMERICAL, ZeroDivisionError):
        pass  # numbers that overflow at the end of a step teach nothing of it
    return Measured(state.bounded(), passes)


def loss_before(evaluated: Evaluated, state: LengthState, context: StepContext) -> float | None:
    """Return this batch's loss where the last step began; ``None`` where numbers end it.

    Cost: a forward and a backward pass.
    """
    memory, parameters = context.memory, evaluated.curvature.parameters
    moves = memory.own(MOVED)
    back = torch.cat([moves.get(p, torch.zeros_like(p)).flatten() for p in parameters])
    try:
        with Reruns(evaluated.again, parameters).at(-(state.length or 0.0) * back) as found:
            loss = found.evaluation.judged_loss
    except NUMERICAL:
        return None
    replicas = context.replicas
    return loss if replicas is None else float(replicas.average_(back.new_tensor([loss])))
