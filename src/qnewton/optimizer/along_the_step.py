"""The curvature along a step, from two gradients of its own batch, and the loss at its end."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor

from qnewton.curvature import NUMERICAL, Reruns, evaluate_plainly, summing
from qnewton.operators.scaling import inner
from qnewton.optimizer.length_rule import LengthState
from qnewton.optimizer.step_context import Evaluated, StepContext

_PROBE = 1e-3  # share of the parameters' length that the very first measurement goes
_SURE = 4  # measurements in a row that agree, before a closure's gradient is taken for the loss's
_OFF = 1e-4  # share of a slope that rounding may change


@dataclass(frozen=True)
class Measured:
    """What was measured along a step.

    Attributes:
        state: What is known of its length now; the length is that of the step.
        passes: Forward and backward passes that it took.
        loss: Of the same batch where the step ends; ``None`` where numbers ended it.
        agreed: How many measurements in a row found the slope of the gradient that was left.
    """

    state: LengthState
    passes: int
    loss: float | None = None
    agreed: int = 0


class Along(NamedTuple):
    """What a batch says at a point along a move x.

    Attributes:
        loss: The loss.
        slope: gᵀx, before the closure clips or accumulates.
        left: The same of what the closure leaves in ``.grad``.
    """

    loss: float
    slope: float
    left: float


class BatchAgain:
    """A step's loss and its slope at other parameters: the means over all replicas.

    Args:
        context: Where the step takes place.
        evaluated: The loss, with what evaluates it again.
    """

    def __init__(self, context: StepContext, evaluated: Evaluated) -> None:
        self._replicas = context.replicas
        self._parameters = evaluated.curvature.parameters
        self._closure = evaluated.again
        self._reruns = Reruns(evaluated.again, self._parameters)

    @property
    def size(self) -> float:
        """The norm of the parameters, or 1 if that is less."""
        return self._reruns.size

    def at(self, length: float, moves: Mapping[Tensor, Tensor]) -> Along:
        """Return what the closure says; no numbers where it ends in an error about numbers.

        Args:
            length: How far along the moves.
            moves: x, what is added to parameters; the others stay.

        Cost: a forward and a backward pass.
        """
        slopes: dict[int, float] = {}
        pieces = [moves.get(p) for p in self._parameters]
        moved = [(p, m) for p, m in zip(self._parameters, pieces, strict=True) if m is not None]
        with self._reruns.moved(pieces, length), ExitStack() as hooks:
            for parameter, piece in moved:
                hook = summing(slopes, parameter, partial(_product, piece))
                hooks.callback(parameter.register_hook(hook).remove)
            try:
                loss = evaluate_plainly(self._closure, self._parameters).loss
            except NUMERICAL:
                found = Along(math.nan, math.nan, math.nan)
            else:
                left = sum(_product(piece, p.grad) for p, piece in moved if p.grad is not None)
                found = Along(loss, sum(slopes.values()), left)
        return found if self._replicas is None else Along(*self._replicas.means(*found))


def _product(piece: Tensor, gradient: Tensor) -> float:
    return inner(gradient.flatten(), piece.flatten())


def measure_along(
    again: BatchAgain,
    state: LengthState,
    moves: Mapping[Tensor, Tensor],
    share: float,
    left: float,
    agreed: int,
) -> Measured:
    """Return the state with xᵀHx/xᵀx of a move x, (g(θ + αx) - g(θ))ᵀx / αxᵀx, α the length.

    No second derivative is needed. Numbers that overflow at the end of a step teach nothing of it.

    Args:
        again: The step's batch.
        state: What is known of the length.
        moves: x, by parameter.
        share: By which the batch's loss counts.
        left: gᵀx with what the closure left in ``.grad`` at the beginning.
        agreed: How many measurements in a row found the slope of the gradient that was left.

    Cost: a forward and backward pass; one more as long as the closure may clip its gradient, or
    draw other numbers each time; and one more for the first measurement of a run.
    """
    square = sum(_product(move, move) for move in moves.values())
    slope, passes, sure = left, 0, agreed >= _SURE
    if not sure:
        slope, passes = again.at(0.0, moves).slope, 1
        agreed = agreed + 1 if _agree(slope, left) else 0

    def bend(length: float, ended: float) -> float:
        along = length * square
        return share * (ended - slope) / along if along else math.nan

    if state.bend is None:
        passes += 1
        longest = again.size / square**0.5
        probe = _PROBE * longest
        state = state.with_bend(bend(probe, again.at(probe, moves).slope)).begun(longest)
    state = state.bounded()
    if state.length is None:
        return Measured(state, passes)
    ended = again.at(state.length, moves)
    passes += 1
    if sure and not _agree(ended.slope, ended.left):
        slope, passes, agreed = again.at(0.0, moves).slope, passes + 1, 0
    # It bounds the next step: this one ends where the loss was evaluated.
    state = state.with_bend(bend(state.length, ended.slope))
    return Measured(state, passes, ended.loss if math.isfinite(ended.loss) else None, agreed)


def _agree(slope: float, left: float) -> bool:
    return abs(left - slope) <= _OFF * abs(slope)


def loss_before(again: BatchAgain, state: LengthState, moves: Mapping[Tensor, Tensor]) -> float:
    """Return this batch's loss where the last step began; not a number where numbers end it.

    Cost: a forward and a backward pass.
    """
    return again.at(-(state.length or 0.0), moves).loss
