"""The curvature along a step, from two gradients of its own batch, and the loss at its end."""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from torch import Tensor

from qnewton.curvature import NUMERICAL, Reruns, evaluate_plainly
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

    def at(self, length: float, moves: Mapping[Tensor, Tensor]) -> tuple[float, float]:
        """Return the loss, and its slope gᵀx before clipping and accumulation.

        Both are not numbers where numbers end the closure, on all replicas if on one.

        Args:
            length: How far along the moves.
            moves: x, what is added to parameters; the others stay.

        Cost: a forward and a backward pass.
        """
        slopes: dict[int, float] = {}
        pieces = [moves.get(p) for p in self._parameters]
        with self._reruns.moved(pieces, length), ExitStack() as hooks:
            for parameter, piece in zip(self._parameters, pieces, strict=True):
                if piece is not None:
                    handle = parameter.register_hook(_adding(slopes, parameter, piece))
                    hooks.callback(handle.remove)
            try:
                loss = evaluate_plainly(self._closure, self._parameters).loss
                slope = math.fsum(slopes.values())
            except NUMERICAL:
                loss = slope = math.nan
        if self._replicas is not None:
            loss, slope = self._replicas.means(loss, slope)
        return loss, slope


def _adding(slopes: dict[int, float], parameter: Tensor, piece: Tensor) -> Callable[[Tensor], None]:
    def add(gradient: Tensor) -> None:
        before = slopes.get(id(parameter), 0.0)
        if parameter.grad is None or not bool(parameter.grad.any()):
            before = 0.0  # what the closure cleared is no part of its gradient
        slopes[id(parameter)] = before + inner(gradient.detach().flatten(), piece.flatten())

    return add


def measure_along(
    again: BatchAgain, state: LengthState, moves: Mapping[Tensor, Tensor], share: float
) -> Measured:
    """Return the state with xᵀHx/xᵀx of a move x, (g(θ + αx) - g(θ))ᵀx / αxᵀx, α the length.

    No second derivative is needed. Numbers that overflow at the end of a step teach nothing of it.

    Args:
        again: The step's batch.
        state: What is known of the length.
        moves: x, by parameter.
        share: By which the batch's loss counts.

    Cost: two forward and backward passes; three for the first measurement of a run.
    """
    square = sum(inner(move.flatten(), move.flatten()) for move in moves.values())

    def bend(length: float, ended: float) -> float:
        along = length * square
        return share * (ended - slope) / along if along else math.nan

    _, slope = again.at(0.0, moves)
    passes = 1
    if state.bend is None:
        passes += 1
        longest = again.size / square**0.5
        probe = _PROBE * longest
        state = state.with_bend(bend(probe, again.at(probe, moves)[1])).begun(longest)
    state = state.bounded()
    if state.length is None:
        return Measured(state, passes)
    loss, ended = again.at(state.length, moves)
    # It bounds the next step: this one ends where the loss was evaluated.
    state = state.with_bend(bend(state.length, ended))
    return Measured(state, passes + 1, loss if math.isfinite(loss) else None)


def loss_before(again: BatchAgain, state: LengthState, moves: Mapping[Tensor, Tensor]) -> float:
    """Return this batch's loss where the last step began; not a number where numbers end it.

    Cost: a forward and a backward pass.
    """
    return again.at(-(state.length or 0.0), moves)[0]
