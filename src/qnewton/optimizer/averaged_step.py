"""A step on one of many batches: averaged directions, and a length that the next batch judges.

The loss of the batch that made a step says little of the others. So no length is tried on it. What
counts is the slope of the *next* batch's loss where the step ended, which is at hand: if it still
falls along the step, steps are too short. Newton's length on the own batch is the upper bound.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qnewton.operators import private_torch
from qnewton.operators.scaling import inner
from qnewton.optimizer.along_the_step import BatchAgain, Measured, loss_before, measure_along
from qnewton.optimizer.averaged_systems import AveragedSystems
from qnewton.optimizer.averages import WIDTH_PER_PASS, turns_at
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

    def move(self, unit: float, step: int) -> None:
        """Add the gradient to the averages, and make lr·(D - w·θ) the bucket's move."""
        bucket = self.bucket
        bucket.turn(self.gradient, unit, step)
        if self.lr != 1.0:
            bucket.move.mul_(self.lr)
        if self.weight_decay:
            with torch.no_grad():
                private_torch.add_(bucket.moves, bucket.parameters, -self.lr * self.weight_decay)

    def decays(self) -> list[float]:
        """Return ‖lr·w·θ‖ of every parameter."""
        if not self.weight_decay:
            return []
        norms = tensor_norms([p.detach() for p in self.bucket.parameters])
        return [self.lr * self.weight_decay * norm for norm in norms]


@dataclass(frozen=True)
class _Move:
    """Where a step goes, per length α: m = β∘(d - w·θ), w the weight decay.

    Attributes:
        slope: gᵀm, with g as it is minimised.
        square: mᵀm.
        decay: ‖β∘w·θ‖.
    """

    slope: float
    square: float
    decay: float

    @property
    def is_usable(self) -> bool:
        """Whether it goes anywhere, and its numbers are within their range."""
        return math.isfinite(self.slope) and 0.0 < self.square < math.inf


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
        memory, groups = context.memory, context.settings.groups
        state, sign = memory.length, one_sign(groups)
        loss = sign * evaluated.evaluation.loss
        with context.clock.stage("update"):
            skipped, passes = evaluated.reason_to_skip(), 1
            reason = None if evaluated.is_apart else skipped  # no step made this loss what it is
            if reason is None and state.is_out(loss):
                again, passes = BatchAgain(context, evaluated), 2
                before = loss_before(again, state, memory.own(MOVED))
                reason = _blame(state, sign, evaluated.evaluation.loss, before)
            if reason is not None and _undo(memory, state, evaluated):
                memory.length = state = state.undone()
                reason = f"{reason}, so the last step was undone"
                record = _record(state, reason, passes, undone=True)
                return TakenStep(skipped=reason, averaged=record)
            if skipped is None:
                share = state.share_of(evaluated.gradients.norm)
                parts = self._parts(context, evaluated, sign * share)
                if parts:
                    state = state.with_batch(loss, share * evaluated.gradients.norm)
                    taken = _take(context, evaluated, parts, state, share, passes)
                    if taken.averaged is None:
                        memory.own(MOVED).clear()
                    else:
                        self._buckets.leave(memory)
                        _share(context, parts)
                    return self._recorded(context, evaluated, parts, taken)
            held = all(float(group["lr"]) == 0.0 for group in groups)
            none = "no parameter that has a gradient may move"
            nothing = "every lr is 0, so nothing may move" if held else none
        return TakenStep(skipped=skipped or nothing, held=held)

    def _recorded(
        self, context: StepContext, evaluated: Evaluated, parts: Sequence[_Part], taken: TakenStep
    ) -> TakenStep:
        """Return what a step did, with the systems that it solved if it moved."""
        if taken.skipped is not None:
            return taken
        with context.clock.stage("survey"):
            blocks = self._systems.records(context, evaluated, [part.bucket for part in parts])
        return replace(taken, update=NewtonUpdate(blocks))

    def _parts(self, context: StepContext, evaluated: Evaluated, factor: float) -> list[_Part]:
        """Return what has a gradient and may move, with gradients times a factor."""
        memory, groups = context.memory, context.settings.groups
        parameters, gradients = evaluated.curvature.parameters, evaluated.evaluation.gradients
        found: list[_Part] = []
        for bucket, number, positions in self._buckets.of(memory, groups, parameters, gradients):
            own = [g for at in positions if (g := gradients[at]) is not None]
            flat = bucket.joined(own, factor)
            lr, decay = float(groups[number]["lr"]), float(groups[number]["weight_decay"])
            found.append(_Part(bucket, flat, lr, decay))
        return found


def _take(
    context: StepContext,
    evaluated: Evaluated,
    parts: Sequence[_Part],
    state: LengthState,
    share: float,
    passes: int,
) -> TakenStep:
    memory, sign = context.memory, one_sign(context.settings.groups)
    if state.length is not None and memory.own(MOVED):
        # -gᵀm of the last move m and this batch's gradient.
        state = state.with_told(-sum(inner(part.bucket.move, part.gradient) for part in parts))
    measures = state.steps < _MEASURED_FIRST or state.steps % MEASURED_EVERY == 0
    with _put_back(parts) if measures else nullcontext():
        with context.clock.stage("solve"):
            move = _moved(parts, state)
        if not move.is_usable:
            return TakenStep(skipped="there is no direction: the gradient vanishes or overflows")
        state = state.with_slope(-move.slope / move.square)
        measured = Measured(state.bounded(), passes=0)
        if measures:
            moves = {p: m for part in parts for p, m in part.bucket.pieces}
            left = sign * move.slope / share
            again = BatchAgain(context, evaluated)
            measured = measure_along(again, state, moves, share, left, memory.agreed)
            memory.agreed = measured.agreed
    state = measured.state
    if state.length is None:
        return TakenStep(skipped="the curvature along the step is not finite")
    size = math.sqrt(move.square)
    changes = [Change(part.bucket.parameters, part.bucket.moves, state.length) for part in parts]
    if not add_changes(changes, state.length * size):
        return TakenStep(skipped="the update is not finite")
    memory.length = state.with_step(move.square)
    leave_loss(memory, measured.loss)
    norms = share * evaluated.gradients.norm * size
    applied = Applied(
        state.length * size,
        -move.slope / norms if 0.0 < norms < math.inf else None,
        finite=True,
        decay_norm=state.length * move.decay,
    )
    return TakenStep(
        applied=applied, averaged=_record(state, _reason(state), passes + measured.passes)
    )


def _share(context: StepContext, parts: Sequence[_Part]) -> None:
    """Make replicas go on from the first one's parameters and averages, where eigenvectors turn.

    Other machines round differently, and near eigenvalues that are equal other vectors come of it.

    Cost: five numbers per parameter and the factors, every tenth step.
    """
    if context.replicas is not None and turns_at(context.memory.length.steps):
        for part in parts:
            context.replicas.take_first_([*part.bucket.parameters, *part.bucket.held])


@contextmanager
def _put_back(parts: Sequence[_Part]) -> Iterator[None]:
    """Put averages and moves back if an exception comes out."""
    kept = [(tensor, tensor.clone()) for part in parts for tensor in part.bucket.held]
    try:
        yield
    except BaseException:
        for tensor, values in kept:
            tensor.copy_(values)
        raise


def _moved(parts: Sequence[_Part], state: LengthState) -> _Move:
    """Add gradients to the averages, and make the direction the buckets' moves."""
    slope = square = 0.0
    for part in parts:
        part.move(state.unit or 1.0, state.steps + 1)
        slope += inner(part.gradient, part.bucket.move)
        square += inner(part.bucket.move, part.bucket.move)
    return _Move(slope, square, math.hypot(*(norm for part in parts for norm in part.decays())))


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
