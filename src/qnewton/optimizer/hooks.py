"""Who is told what while a step runs."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from qnewton.operators import LinearSystem
from qnewton.records import BlockRecord

SolutionHook = Callable[[int, LinearSystem, BlockRecord, Tensor], None]

StageHook = Callable[[int, str], None]
"""What is called when a stage of a step begins, with the step and the name of the stage."""


@dataclass(frozen=True)
class StepHooks:
    """The hooks of one optimizer, in the order they were registered.

    Attributes:
        solution: Called with step, treated system, record and direction of every solved block.
        stage: Called with step and name when a stage begins.
    """

    solution: OrderedDict[int, SolutionHook] = field(default_factory=OrderedDict)
    stage: OrderedDict[int, StageHook] = field(default_factory=OrderedDict)

    def tell_solution(
        self, step: int, system: LinearSystem, record: BlockRecord, direction: Tensor
    ) -> None:
        """Call every solution hook."""
        for hook in self.solution.values():
            hook(step, system, record, direction)

    def stage_listener(self, step: int) -> Callable[[str], None] | None:
        """Return what tells the stage hooks of ``step``; ``None`` if there are none."""
        if not self.stage:
            return None

        def tell(name: str) -> None:
            for hook in self.stage.values():
                hook(step, name)

        return tell
