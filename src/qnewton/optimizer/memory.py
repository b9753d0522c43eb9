"""What steps leave for later ones: named fields over the flat numbers of the state."""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar, overload

from qnewton.optimizer.earlier import recall, recall_survey, remember, remember_survey
from qnewton.records import BlockRecord, Earlier, Spectrum
from qnewton.scheduler.policy import POLICIES

T = TypeVar("T")


class _Number(Generic[T]):
    """A field that is kept under its own name, with what it is as a run begins."""

    def __init__(self, first: T) -> None:
        self._first = first

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, memory: None, owner: type) -> "_Number[T]": ...
    @overload
    def __get__(self, memory: "Memory", owner: type) -> T: ...
    def __get__(self, memory: "Memory | None", owner: type) -> "T | _Number[T]":
        return self if memory is None else memory.numbers.get(self._name, self._first)

    def __set__(self, memory: "Memory", value: T) -> None:
        memory.numbers[self._name] = value


class Memory:
    """What earlier steps left.

    The optimizer's state is a flat dictionary of plain numbers, since distributed checkpoints keep
    nothing else. All of its names are given here, and in the curvature's memory of its routes.

    Args:
        numbers: The optimizer's state.
        survey_every: Steps from one survey to the next.

    Attributes:
        step: The present step.
        newton: Whether the Newton phase has begun.
        damping: λ; ``None`` before the first step that sets it.
        radius: Δ.
        usual_gradient: The usual ‖g‖.
        exact_from: The step from which the Hessian is looked at again, after a saddle.
        exact_wait: How many steps the last wait was.
        saddle_from: The step from which a stationary point is looked at again.
    """

    step = _Number(0)
    newton = _Number(False)
    damping = _Number[float | None](None)
    radius = _Number(1.0)
    usual_gradient = _Number(0.0)
    exact_from = _Number(0)
    exact_wait = _Number(1)
    saddle_from = _Number(0)

    @property
    def strength(self) -> float:
        """λ, once a step has set it."""
        assert self.damping is not None
        return float(self.damping)

    def __init__(self, numbers: dict[str, Any], survey_every: int = 1) -> None:
        self.numbers = numbers
        self._survey_every = survey_every

    def earlier(self, block: str) -> Earlier | None:
        """Return what the last solve of a block left."""
        return recall(self.numbers, block, self.step)

    def surveyed(self, block: str) -> Spectrum | None:
        """Return what a survey of a block found that is recent enough, if there is one."""
        return recall_survey(self.numbers, block, self.step - self._survey_every + 1)

    def keep(self, blocks: Iterable[BlockRecord], tolerance: float, measured: bool) -> None:
        """Keep what the blocks' surveys and solves found.

        Args:
            blocks: Their records.
            tolerance: Relative residual that the solvers were asked for.
            measured: Whether their facts were surveyed.
        """
        for record in blocks:
            if measured and record.facts.spectrum.measured_at is None and self._survey_every > 1:
                remember_survey(self.numbers, record, self.step)
            if record.attempts and not POLICIES.get(record.decision.policy).needs_entries:
                remember(self.numbers, record, self.step, tolerance)
