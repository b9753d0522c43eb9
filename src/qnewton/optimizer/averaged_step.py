"""A step on one of many batches: averaged directions, and a length that the next batch judges.

The loss of the batch that made a step says little of the others. So no length is tried on it. What
counts is the slope of the *next* batch's loss where the step ended, which is at hand: if it still
falls along the step, steps are too short. Newton's length on the own batch is the upper bound.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qnewton.operators import private_torch
from qnewton.operators.scaling import inner
from qnewton.optimizer.along_the_step import BatchAgain, Measured, loss_before, measure_along
from qnewton.optimizer.averaged_systems import AveragedSystems
from qnewton.optimizer.averages import WIDTH_PER_PASS
from qnewton.optimizer.buckets import Bucket, Buckets
from qnewton.optimizer.data_change import leave_loss
from qnewton.optimizer.length_rule import LengthState
from qnewton.optimizer.memory import MOVED, Memory
from qnewton.optimizer.settings import one_sign
from qnewton.optimizer.step_context import Evaluated, NewtonUpdate, StepContext, TakenStep
from qnewton.optimizer.update import Applied, Change, add_changes, tensor_norms
from qnewton.records import AveragedRecord

MEASURED_EVERY = 20
"""Steps from one measurement of the curvature along the step to the next."""

_MEASURED_FIRST = 4  # steps at the start that are all measured


@dataclass(frozen=True, eq=False)
class _Part:
    """A bucket in a step.

    Attributes:
        bucket: The parameters.
        gradient: Theirs, as it is minimised, shape [n].
        lr: That of their group.
        weight_decay: The group's, w.
    """

    bucket: Bucket
    gradient: Tensor
    lr: float
    weight_decay: float

    def move(self, bucket: Bucket, state: LengthState) -> None:
        """Add the gradient to a bucket's averages, and make lr·(D - w·θ) its move."""
        bucket.turn(self.gradient, state.unit or 1.0, state.steps + 1)
        if self.lr != 1.0:
            bucket.move.mul_(self.lr)
        if self.weight_decay:
            with torch.no_grad():
                private_torch.add_(bucket.moves, bucket.parameters, -self.lr * self.weight_decay)


@dataclass(frozen=True)
class _Move:
    """Where a step goes, per length α: β∘(d - w·θ), w the weight decay.

    Attributes:
        buckets: What moves, and how, together m.
        slope: gᵀm, with g as it is minimised.
        square: mᵀm.
        decay: ‖β∘w·θ‖.
    """

    buckets: list[Bucket]
    slope: float
    square: float
    decay: float

    @property
    def is_usable(self) -> bool:
        """Whether it goes anywhere, and its numbers are within their range."""
        return math.isfinite(self.slope) and 0.0 < self.square < math.inf

    @property
    def pieces(self) -> dict[Tensor, Tensor]:
        """What is added to each parameter."""
        return {
            p: m
            for bucket in self.buckets
            for p, m in zip(bucket.parameters, bucket.moves, strict=True)
        }


class AveragedStep:
    """Steps of whitened, averaged gradients, as SOAP's, whose length no learning rate sets.

    Args:
        budget: Forward and backward passes that a step may cost.

    Reference: N. Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, arXiv:2409.11321.
    """

    needs_graph = False

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self._buckets = Buckets(int(WIDTH_PER_PASS * budget))
        self._systems = AveragedSystems()

    def take(self, context: StepContext, evaluated: Evaluated) -> TakenStep:
        """Learn from the batch how the last step went, and move along the next direction."""
        evaluated.evaluation.release()
        state, sign = context.memory.length, one_sign(context.settings.groups)
        loss = sign * evaluated.evaluation.loss
        with context.clock.stage("update"):
            skipped, passes = evaluated.reason_to_skip(), 1
            reason = skipped
            if reason is None and state.is_out(loss):
                again, passes = BatchAgain(context, evaluated), 2
                before = loss_before(again, state, context.memory.own(MOVED))
                reason = _blame(state, sign, evaluated.evaluation.loss, before)
            if reason is not None and _undo(context.memory, state, evaluated):
                context.memory.length = state = state.undone()
                reason = f"{reason}, so the last step was undone"
                record = _record(state, reason, passes, undone=True)
                return TakenStep(skipped=reason, averaged=record)
            held = all(float(group["lr"]) == 0.0 for group in context.settings.groups)
            if skipped is None:
                share = state.share_of(evaluated.gradients.norm)
                parts = [*self._parts(context, evaluated, sign * share)]
                if parts:
                    state = state.with_batch(loss, share * evaluated.gradients.norm)
                    taken = _take(context, evaluated, parts, state, share, passes)
                    return self._recorded(context, evaluated, parts, taken)
                skipped = "every lr is 0, so nothing may move" if held else "there is no gradient"
        return TakenStep(skipped=skipped, held=held)

    def _recorded(
        self, context: StepContext, evaluated: Evaluated, parts: Sequence[_Part], taken: TakenStep
    ) -> TakenStep:
        """Return what a step did, with the systems that it solved if it moved."""
        if taken.skipped is not None:
            return taken
        with context.clock.stage("survey"):
            blocks = self._systems.records(context, evaluated, [part.bucket for part in parts])
        return replace(taken, update=NewtonUpdate(blocks))

    def _parts(self, context: StepContext, evaluated: Evaluated, factor: float) -> Iterator[_Part]:
        """Yield what has a gradient and may move, with gradients times a factor."""
        pairs = zip(evaluated.curvature.parameters, evaluated.evaluation.gradients, strict=True)
        gradients = {id(p): g for p, g in pairs if g is not None}
        groups = context.settings.groups
        moved = [
            [p for p in group["params"] if id(p) in gradients] if float(group["lr"]) > 0.0 else []
            for group in groups
        ]
        for group, buckets in zip(groups, self._buckets.of(context.memory, moved), strict=True):
            for bucket in buckets:
                flat = bucket.joined([gradients[id(p)] for p in bucket.parameters], factor)
                yield _Part(bucket, flat, float(group["lr"]), float(group["weight_decay"]))


def _take(
    context: StepContext,
    evaluated: Evaluated,
    parts: Sequence[_Part],
    state: LengthState,
    share: float,
    passes: int,
) -> TakenStep:
    memory = context.memory
    told = None if state.length is None else _told(memory, parts)
    if told is not None:
        state = state.with_told(told)
    measures = state.steps < _MEASURED_FIRST or state.steps % MEASURED_EVERY == 0
    # What is kept is changed in place, unless something may still raise.
    with context.clock.stage("solve"):
        move = _moved(parts, state, copied=measures)
    if not move.is_usable:
        memory.own(MOVED).clear()
        return TakenStep(skipped="there is no direction: the gradient vanishes or overflows")
    state = state.with_slope(-move.slope / move.square)
    measured = Measured(state if measures else state.bounded(), passes=0)
    if measures:
        again = BatchAgain(context, evaluated)
        measured = measure_along(again, state, move.pieces, share)
    state = measured.state
    if state.length is None:
        return TakenStep(skipped="the curvature along the step is not finite")
    if measures:
        with context.clock.stage("solve"):
            move = _moved(parts, state, copied=False)
    size = math.sqrt(move.square)
    changes = [Change(bucket.parameters, bucket.moves, state.length) for bucket in move.buckets]
    if not add_changes(changes, state.length * size):
        memory.own(MOVED).clear()
        return TakenStep(skipped="the update is not finite")
    moved = memory.own(MOVED)
    moved.clear()
    moved.update(move.pieces)
    memory.length = state.with_step(move.square)
    leave_loss(memory, measured.loss)
    norms = share * evaluated.gradients.norm * size
    applied = Applied(
        state.length * size,
        -move.slope / norms if 0.0 < norms < math.inf else None,
        finite=True,
        decay_norm=state.length * move.decay,
    )
    record = _record(state, _reason(state), passes + measured.passes)
    return TakenStep(applied=applied, averaged=record)


def _told(memory: Memory, parts: Sequence[_Part]) -> float | None:
    """Return -gᵀm of the last move m and this batch's gradient; ``None`` without a last move."""
    moved = memory.own(MOVED)
    if not any(p in moved for part in parts for p in part.bucket.parameters):
        return None
    return -sum(inner(part.bucket.move, part.gradient) for part in parts)


def _moved(parts: Sequence[_Part], state: LengthState, copied: bool) -> _Move:
    """Add gradients to the averages, or to copies of them, and return the direction."""
    slope = square = 0.0
    decays: list[float] = []
    buckets: list[Bucket] = []
    for part in parts:
        bucket = part.bucket.copied() if copied else part.bucket
        if part.weight_decay:
            norms = tensor_norms([p.detach() for p in bucket.parameters])
            decays += [part.lr * part.weight_decay * norm for norm in norms]
        part.move(bucket, state)
        slope += inner(part.gradient, bucket.move)
        square += inner(bucket.move, bucket.move)
        buckets.append(bucket)
    return _Move(buckets, slope, square, math.hypot(*decays))


def _blame(state: LengthState, sign: float, loss: float, before: float) -> str | None:
    """Return why the last step is to blame for a loss far out; ``None`` if the batch is."""
    assert state.loss is not None
    if not sign * (loss - before) > (sign * loss - state.loss) / 2:
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
    memory.own(MOVED).clear()
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
