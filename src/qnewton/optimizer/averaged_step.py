"""A step on one of many batches: averaged directions, and a length that the next batch judges.

The loss of the batch that made a step says little of the others. So no length is tried on it. What
counts is the slope of the *next* batch's loss where the step ended, which is at hand: if it still
falls along the step, steps are too short. Newton's length on the own batch is the upper bound.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.operators.scaling import inner
from qnewton.optimizer.along_the_step import BatchAgain, Measured, loss_before, measure_along
from qnewton.optimizer.averages import WIDTH_PER_PASS, GradientAverages
from qnewton.optimizer.data_change import leave_loss
from qnewton.optimizer.length_rule import LengthState
from qnewton.optimizer.memory import MOVED, Memory
from qnewton.optimizer.settings import one_sign
from qnewton.optimizer.step_context import Evaluated, StepContext, TakenStep
from qnewton.optimizer.update import Applied, Change, add_changes, tensor_norms
from qnewton.records import AveragedRecord

MEASURED_EVERY = 20
"""Steps from one measurement of the curvature along the step to the next."""

_MEASURED_FIRST = 4  # steps at the start that are all measured


@dataclass(frozen=True)
class _Move:
    """Where a step goes, per length α: β∘(d - w·θ), w the weight decay.

    Attributes:
        pieces: What is added to each parameter, together m.
        slope: gᵀm, with g as it is minimised.
        square: mᵀm.
        decay: ‖β∘w·θ‖.
    """

    pieces: dict[Tensor, Tensor]
    slope: float
    square: float
    decay: float

    @property
    def is_usable(self) -> bool:
        """Whether it goes anywhere, and its numbers are within their range."""
        return math.isfinite(self.slope) and 0.0 < self.square < math.inf


class AveragedStep:
    """Steps of whitened, averaged gradients, as SOAP's, whose length no learning rate sets.

    Reference: N. Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, arXiv:2409.11321.
    """

    needs_graph = False

    def __init__(self, budget: float) -> None:
        self._widest = int(WIDTH_PER_PASS * budget)

    def take(self, context: StepContext, evaluated: Evaluated) -> TakenStep:
        """Learn from the batch how the last step went, and move along the next direction."""
        evaluated.evaluation.release()
        state, sign = context.memory.length, one_sign(context.settings.groups)
        gradients = _gradients(context, evaluated, sign)
        with context.clock.stage("update"):
            skipped, passes = evaluated.reason_to_skip(), 1
            reason = skipped
            if reason is None and state.is_out(sign * evaluated.evaluation.loss):
                again, passes = BatchAgain(context, evaluated), 2
                before = loss_before(again, state, context.memory.own(MOVED))
                reason = _blame(state, sign, evaluated.evaluation.loss, before)
            if reason is not None and _undo(context.memory, state, evaluated):
                context.memory.length = state = state.undone()
                reason = f"{reason}, so the last step was undone"
                record = _record(state, reason, passes, undone=True)
                return TakenStep(skipped=reason, averaged=record)
            held = all(float(group["lr"]) == 0.0 for group in context.settings.groups)
            if skipped is None and not gradients:
                skipped = "every lr is 0, so nothing may move" if held else "there is no gradient"
            if skipped is None:
                return self._take(context, evaluated, gradients, sign, passes)
        return TakenStep(skipped=skipped, held=held)

    def _take(
        self,
        context: StepContext,
        evaluated: Evaluated,
        gradients: dict[Tensor, Tensor],
        sign: float,
        passes: int,
    ) -> TakenStep:
        memory, state = context.memory, context.memory.length
        share = state.share_of(evaluated.gradients.norm)
        if share < 1.0:
            gradients = {p: share * g for p, g in gradients.items()}
        told = None if state.length is None else _told(memory, gradients)
        norm = share * evaluated.gradients.norm
        state = state.with_batch(sign * evaluated.evaluation.loss, norm)
        if told is not None:
            state = state.with_told(told)
        # What is kept is changed in place, unless something may still raise.
        measures = state.steps < _MEASURED_FIRST or state.steps % MEASURED_EVERY == 0
        averages = {p: self._averages(memory, p, copied=measures) for p in gradients}
        move = _moved(context, state, averages, gradients)
        if not move.is_usable:
            return TakenStep(skipped="there is no direction: the gradient vanishes or overflows")
        state = state.with_slope(-move.slope / move.square)
        measured = Measured(state if measures else state.bounded(), passes=0)
        if measures:
            again = BatchAgain(context, evaluated)
            measured = measure_along(again, state, move.pieces, share)
        state = measured.state
        if state.length is None:
            return TakenStep(skipped="the curvature along the step is not finite")
        size = math.sqrt(move.square)
        changes = [Change([*move.pieces], [*move.pieces.values()], state.length)]
        if not add_changes(changes, state.length * size):
            return TakenStep(skipped="the update is not finite")
        for parameter, kept in averages.items():
            for name, tensor in kept.tensors.items():
                memory.own(name)[parameter] = tensor
        _keep_moves(memory, move.pieces)
        memory.length = state.with_step(move.square)
        leave_loss(memory, measured.loss)
        norms = norm * size
        applied = Applied(
            state.length * size,
            -move.slope / norms if 0.0 < norms < math.inf else None,
            finite=True,
            decay_norm=state.length * move.decay,
        )
        record = _record(state, _reason(state), passes + measured.passes)
        return TakenStep(applied=applied, averaged=record)

    def _averages(self, memory: Memory, parameter: Tensor, copied: bool) -> GradientAverages:
        kept = GradientAverages.kept(lambda name: memory.own(name).get(parameter))
        if kept is None:
            return GradientAverages.begin(parameter.detach(), self._widest)
        return kept.copied() if copied else kept


def _gradients(context: StepContext, evaluated: Evaluated, sign: float) -> dict[Tensor, Tensor]:
    """Return the gradients of what may move, as they are minimised."""
    moved = {p for g in context.settings.groups if float(g["lr"]) > 0.0 for p in g["params"]}
    pairs = zip(evaluated.curvature.parameters, evaluated.evaluation.gradients, strict=True)
    return {p: sign * g for p, g in pairs if g is not None and p in moved}


def _told(memory: Memory, gradients: Mapping[Tensor, Tensor]) -> float | None:
    """Return -gᵀm of the last move m and this batch's gradient; ``None`` without a last move."""
    moves = memory.own(MOVED)
    known = [inner(moves[p].flatten(), g.flatten()) for p, g in gradients.items() if p in moves]
    return -sum(known) if known else None


def _keep_moves(memory: Memory, moves: Mapping[Tensor, Tensor]) -> None:
    """Keep what the last step moved, and nothing of what it left where it was."""
    kept = memory.own(MOVED)
    kept.clear()
    kept.update(moves)


def _moved(
    context: StepContext,
    state: LengthState,
    averages: Mapping[Tensor, GradientAverages],
    gradients: Mapping[Tensor, Tensor],
) -> _Move:
    step, unit = state.steps + 1, state.unit or 1.0
    pieces: dict[Tensor, Tensor] = {}
    decays: list[float] = []
    for group in context.settings.groups:
        lr, decay = float(group["lr"]), float(group["weight_decay"])
        own = [p for p in group["params"] if p in gradients]
        for p in own:
            pieces[p] = lr * averages[p].direction(gradients[p] / unit, step)
        if decay and own:
            with torch.no_grad():
                for p in own:
                    pieces[p].sub_(p, alpha=lr * decay)
                decays += [lr * decay * norm for norm in tensor_norms([p.detach() for p in own])]
    flat = {p: piece.flatten() for p, piece in pieces.items()}
    slope = sum(inner(gradients[p].flatten(), piece) for p, piece in flat.items())
    square = sum(inner(piece, piece) for piece in flat.values())
    return _Move(pieces, slope, square, math.hypot(*decays))


def _blame(state: LengthState, sign: float, loss: float, before: float | None) -> str | None:
    """Return why the last step is to blame for a loss far out; ``None`` if the batch is."""
    assert state.loss is not None
    if before is None or sign * (loss - before) <= (sign * loss - state.loss) / 2:
        return None
    return f"the loss rose from {before:.3g} to {loss:.3g} on one batch"


def _undo(memory: Memory, state: LengthState, evaluated: Evaluated) -> bool:
    """Go back along the last step if there is one, and return whether there is."""
    present = set(evaluated.curvature.parameters)
    moves = {p: m for p, m in memory.own(MOVED).items() if p in present}
    if not moves or not state.length:
        return False
    with torch.no_grad():
        Change([*moves], [*moves.values()], -state.length).make()
    _keep_moves(memory, {})
    return True


def _record(state: LengthState, reason: str, passes: int, undone: bool = False) -> AveragedRecord:
    return AveragedRecord(
        length=state.length or 0.0,
        newton_length=state.newton_length,
        agreement=state.agreement,
        curvature=state.bend,
        passes=passes,
        undone=undone,
        reason=reason,
    )


def _reason(state: LengthState) -> str:
    agreement = state.agreement
    if agreement is None:
        return "a short one, until a batch has judged a step"
    if state.length == state.newton_length:
        return f"z = {agreement:.2f}, and Newton's length is the limit"
    said = "fall" if agreement > 0.0 else "rise"
    return f"z = {agreement:.2f}: at the end of steps the next batches' losses {said} along them"
