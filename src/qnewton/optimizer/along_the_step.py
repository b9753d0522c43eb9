"""The curvature along a step, from two gradients of its own batch, and the loss at its end."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature import NUMERICAL, Reruns, flat
from qnewton.operators.scaling import inner
from qnewton.optimizer.length_rule import LengthState
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


class BatchAgain:
    """A step's loss and gradient at other parameters: the means over all replicas.

    Args:
        context: Where the step takes place.
        evaluated: The loss, with what evaluates it again.

    Attributes:
        size: The norm of the parameters, or 1 if that is less.
    """

    def __init__(self, context: StepContext, evaluated: Evaluated) -> None:
        self._replicas = context.replicas
        self._parameters = evaluated.curvature.parameters
        self._reruns = Reruns(evaluated.again, self._parameters)
        self.size = self._reruns.size

    def at(self, length: float, moves: Mapping[Tensor, Tensor]) -> tuple[float, Tensor]:
        """Return the loss, and the gradient before clipping and accumulation, shape [N].

        Args:
            length: How far along the moves.
            moves: What is added to parameters; the others stay.

        Cost: a forward and a backward pass.
        """
        with self._reruns.at(length * self.flat(moves)) as found:
            loss, gradient = found.evaluation.judged_loss, found.flat
        if self._replicas is not None:
            both = self._replicas.average_(torch.cat([gradient, gradient.new_tensor([loss])]))
            loss, gradient = float(both[-1]), both[:-1]
        return loss, gradient

    def flat(self, moves: Mapping[Tensor, Tensor]) -> Tensor:
        """Return moves as one vector, shape [N]."""
        return flat([moves.get(p) for p in self._parameters], self._parameters)


def measure_along(
    again: BatchAgain, state: LengthState, moves: Mapping[Tensor, Tensor], share: float
) -> Measured:
    """Return the state with xᵀHx/xᵀx of a move x, (g(θ + αx) - g(θ))ᵀx / αxᵀx, α the length.

    No second derivative is needed.

    Args:
        again: The step's batch.
        state: What is known of the length.
        moves: x, by parameter.
        share: By which the batch's loss counts.

    Cost: two forward and backward passes; three for the first measurement of a run.
    """
    move = again.flat(moves)
    square = inner(move, move)

    def bend(length: float, ended: Tensor) -> float:
        return share * (inner(ended, move) - slope) / (length * square)

    passes = 1
    try:
        slope = inner(again.at(0.0, moves)[1], move)
        if state.bend is None:
            passes += 1
            longest = again.size / square**0.5
            probe = _PROBE * longest
            state = state.with_bend(bend(probe, again.at(probe, moves)[1])).begun(longest)
        state = state.bounded()
        if state.length is not None:
            passes += 1
            loss, ended = again.at(state.length, moves)
            # It bounds the next step: this one ends where the loss was evaluated.
            return Measured(state.with_bend(bend(state.length, ended)), passes, loss)
    except (*NUMERICAL, ZeroDivisionError):
        pass  # numbers that overflow at the end of a step teach nothing of it
    return Measured(state.bounded(), passes)


def loss_before(
    again: BatchAgain, state: LengthState, moves: Mapping[Tensor, Tensor]
) -> float | None:
    """Return this batch's loss where the last step began; ``None`` where numbers end it.

    Cost: a forward and a backward pass.
    """
    try:
        return again.at(-(state.length or 0.0), moves)[0]
    except NUMERICAL:
        return None
