"""The records that an optimizer keeps of its last steps, and what they say of a run."""

import sys
from collections import deque

from qnewton.optimizer.loops import LoopOptimizer
from qnewton.records import Convergence, StepRecord
from qnewton.records.messages import check

RECORDS_KEPT = 1000
"""Step records kept in memory; a run folder keeps all of them."""


class RecordedOptimizer(LoopOptimizer):
    """An optimizer whose steps leave records.

    Attributes:
        records: Those of the last steps.
        print_every: Steps from one whose record is printed to the next; 0 prints none.
    """

    records: deque[StepRecord]
    print_every: int

    def _begin_records(self, print_every: int) -> None:
        check("print_every", print_every, "must be 0, to print nothing, or more", print_every >= 0)
        self.print_every = print_every
        self.records = deque(maxlen=RECORDS_KEPT)

    def _print_record(self) -> None:
        """Print the last step's record if it is due."""
        if self.print_every > 0 and self.records[-1].step % self.print_every == 0:
            sys.stdout.write(f"{self.records[-1]}\n")
            sys.stdout.flush()

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
