"""Which step is taken where λ sets itself: Newton's, or one on one of many batches."""

import math

from qnewton.optimizer.automatic_damping import AutomaticDamping
from qnewton.optimizer.averaged_step import AveragedStep
from qnewton.optimizer.data_change import DEFAULT_BUDGET, is_batch, notice
from qnewton.optimizer.memory import Memory
from qnewton.optimizer.own_judge import hear, look_at_squares
from qnewton.optimizer.settings import one_sign
from qnewton.optimizer.step_context import Evaluated, StepContext, StepMethod


class SelfDamped:
    """Newton's steps, which stay the same object, and averaged ones within a budget."""

    def __init__(self) -> None:
        self._newton = AutomaticDamping()
        self._averaged = AveragedStep(DEFAULT_BUDGET)

    def before(self, memory: Memory, unknowns: int, budget: float) -> StepMethod:
        """Return the step to prepare for; the very first one shows the graph of the loss.

        Args:
            memory: What steps saw.
            unknowns: N.
            budget: Forward and backward passes per step on a batch; infinite for no limit.
        """
        if memory.squares is None or not is_batch(memory, unknowns, budget):
            return self._newton
        return self._of(budget)

    def after(
        self, prepared: StepMethod, context: StepContext, evaluated: Evaluated, budget: float
    ) -> StepMethod:
        """Return the step to take once its loss tells whether data change."""
        memory, evaluation = context.memory, evaluated.evaluation
        if prepared is not self._newton and not isinstance(prepared, AveragedStep):
            return prepared
        notice(memory, evaluation.judged_loss)
        if prepared is not self._newton or math.isinf(budget):
            return prepared
        parameters = evaluated.curvature.parameters
        unknowns = sum(p.numel() for p in parameters)
        look_at_squares(memory, evaluation, unknowns)
        if evaluation.work is not None:
            memory.pass_flops = evaluation.work.flops
            memory.pass_operations = evaluation.work.operations
        if memory.promised is not None and evaluated.reason_to_skip() is None:
            sign = one_sign(context.settings.groups)
            hear(memory, parameters, sign * evaluation.gradient(parameters))
        return self._of(budget) if is_batch(memory, unknowns, budget) else prepared

    def _of(self, budget: float) -> AveragedStep:
        if self._averaged.budget != budget:
            self._averaged = AveragedStep(budget)
        return self._averaged
