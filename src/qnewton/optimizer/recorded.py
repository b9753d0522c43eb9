"""The records that an optimizer keeps of its last steps, and what they say of a run."""

import sys
import warnings
from collections import deque
from typing import TYPE_CHECKING, SupportsIndex, overload

from torch.utils.hooks import RemovableHandle

from qnewton.optimizer.loggers import Send
from qnewton.optimizer.loops import LoopOptimizer
from qnewton.optimizer.replicas import Replicas
from qnewton.records import Cause, Convergence, Health, HealthWarning, StepRecord, scalars
from qnewton.records.messages import check

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

RECORDS_KEPT = 1000
"""Step records kept in memory; a run folder keeps all of them."""

_LOOK_EVERY, _LOOKS = 8, 8


class KeptRecords(deque[StepRecord]):
    """The records of the last steps, the oldest first; slices of it are lists.

    Example:
        >>> KeptRecords(maxlen=5)[-3:]
        []
    """

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> StepRecord: ...
    @overload
    def __getitem__(self, at: slice, /) -> list[StepRecord]: ...
    def __getitem__(self, at: SupportsIndex | slice, /) -> StepRecord | list[StepRecord]:
        """Return one record, or those of a slice."""
        return list(self)[at] if isinstance(at, slice) else super().__getitem__(at)


class RecordedOptimizer(LoopOptimizer):
    """An optimizer whose steps leave records.

    Attributes:
        records: Those of the last steps.
        print_every: Steps from one whose record is printed to the next; 0 prints none.
    """

    records: KeptRecords
    print_every: int
    _process_group: "ProcessGroup | None"

    def _begin_records(self, print_every: int) -> None:
        check("print_every", print_every, "must be 0, to print nothing, or more", print_every >= 0)
        self.print_every = print_every
        self.records = KeptRecords(maxlen=RECORDS_KEPT)

    def _print_record(self, step: int) -> None:
        """Print a step's record if it is due; a step without a loss has none."""
        recorded = bool(self.records) and self.records[-1].step == step
        due = self.print_every > 0 and step % self.print_every == 0
        if recorded and due and Replicas.first(self._process_group):
            sys.stdout.write(f"{self.records[-1]}\n")
            sys.stdout.flush()

    def _begin_without_hooks(self) -> None:
        super()._begin_without_hooks()
        self._warned: set[Cause] = set()

    def _warn_of_findings(self) -> None:
        """Warn of each thing that goes wrong, once; of several processes the first one warns.

        Cost: a look at all records every eighth step, and more rarely where those are many: some
        microseconds per step.
        """
        # A power of two, for a step is a multiple of some share of all steps far more often.
        every = max(_LOOK_EVERY, 1 << (len(self.records) // _LOOKS).bit_length())
        if (self.records[-1].step + 1) % every or not Replicas.first(self._process_group):
            return
        for finding in self.health.findings:
            if finding.cause not in self._warned:
                self._warned.add(finding.cause)
                # Above are the step, PyTorch's wrapper of it, and the loop.
                warnings.warn(str(finding), HealthWarning, stacklevel=4)

    @property
    def health(self) -> Health:
        """How the run goes, by the records that are kept: what is wrong, and what to do.

        The optimizer itself warns of each thing that goes wrong, once, by a
        :class:`~qnewton.HealthWarning`.

        Example:
            >>> import torch
            >>> from qnewton import QNewton
            >>> w = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
            >>> optimizer = QNewton([w])
            >>> loss = optimizer.step(lambda: (w - 1).square().sum())
            >>> print(optimizer.health)
            healthy: loss 13, 0% of the steps refused, λ 0.02
            >>> optimizer.health.findings
            ()
        """
        maximize = any(group["maximize"] for group in self.param_groups)
        return Health.of(self.records, maximize)

    def log(self, send: Send, every: int = 1) -> RemovableHandle:
        """Send the numbers of every step, or of every so many, to a logger.

        Args:
            send: Called with the numbers by their names (:func:`~qnewton.records.scalars`), health
                included, and the step. :func:`to_tensorboard`, :func:`to_wandb`,
                :func:`to_mlflow`, :func:`to_lightning` and :func:`to_trainer` make it from loggers.
            every: Steps from one that is sent to the next, counted from step 0.

        Returns:
            What ends it: ``remove()``.

        Raises:
            ValueError: If ``every`` is below 1.

        What ``send`` raises goes up from the step, which is over by then. A copy of the optimizer
        does not log. Of several processes log from the first, but Lightning's and the Trainer's
        from all.

        Cost: a look at all records, a tenth of a millisecond for 1,000, and what the logger takes.

        Example:
            >>> import torch
            >>> from qnewton import QNewton
            >>> w = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
            >>> optimizer = QNewton([w])
            >>> handle = optimizer.log(lambda values, step: print(step, values["qnewton/loss"]))
            >>> loss = optimizer.step(lambda: (w - 1).square().sum())
            0 13.0
        """
        check("every", every, "must be at least 1", every >= 1)

        seen = self.records[-1] if self.records else None

        def after_step(*_: object) -> None:
            nonlocal seen
            last = self.records[-1] if self.records else None
            if last is None or last is seen:
                return  # a step without a loss leaves no record
            seen = last
            if last.step % every == 0:
                send(scalars(last, self.health), last.step)

        return self.register_step_post_hook(after_step)

    @property
    def converged(self) -> Convergence | None:
        """Why steps on the same loss can do nothing more; ``None`` while they can.

        Only a step that sets its λ tells, and none that decays weights; in a loop over batches
        the next loss is another.

        Example:
            >>> import torch
            >>> from qnewton import QNewton
            >>> w = torch.nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
            >>> optimizer = QNewton([w])
            >>> while not optimizer.converged:
            ...     loss = optimizer.step(lambda: (w - 1).square().sum())
            >>> w.tolist(), optimizer.converged.sentence
            ([1.0, 1.0], 'the step is lost in the rounding of the parameters')
        """
        last = self.records[-1].damping if self.records else None
        return None if last is None else last.converged
