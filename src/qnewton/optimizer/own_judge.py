"""Whether the batch that made a step may judge it, which a batch of many residuals may.

A sum of M squares fits N unknowns to its own noise by a share of N/M. Where data change, a step on
twice as many residuals as unknowns is therefore Newton's, and its own batch tries its lengths, as
long as the batches that follow agree: along a step m of which the quadratic model promises p, the
next batch's loss falls by about p - gᵀm, with g its gradient at the end of the step.
"""

import math
from collections.abc import Sequence

from torch import Tensor

from qnewton.curvature import Evaluation, count_squares
from qnewton.operators.scaling import inner
from qnewton.optimizer.memory import MOVED, Memory

_ENOUGH = 2  # residuals per unknown
_NEWEST = 0.2


def look_at_squares(memory: Memory, evaluation: Evaluation, unknowns: int) -> None:
    """Learn from a first graph whether the loss has enough residuals to judge its own steps."""
    if memory.squares is None and evaluation.root is not None:
        memory.squares = count_squares(evaluation.root) or 0
        memory.judges = memory.squares >= _ENOUGH * unknowns


def promise(
    memory: Memory, parameters: Sequence[Tensor], moved: Tensor, promised: float | None
) -> None:
    """Keep a step, shape [N], and the decrease it promises, where the next batch is another one."""
    if memory.same < 0 and memory.judges:
        memory.promised = promised
        memory.keep_vector(MOVED, parameters, moved)


def hear(memory: Memory, parameters: Sequence[Tensor], gradient: Tensor) -> None:
    """Learn from the next batch what the last step brought, and stop where it brings nothing.

    Args:
        memory: What the last step left.
        parameters: θ.
        gradient: Of the loss that is minimised, where the last step ended, shape [N].
    """
    promised, memory.promised = memory.promised, None
    moved = memory.vector(MOVED, parameters)
    if moved is None or promised is None or not promised > 0.0:
        return
    brought = 1.0 - inner(moved, gradient) / promised
    if not math.isfinite(brought):
        brought = -1.0
    # One batch out of the ordinary is not enough.
    memory.brought += _NEWEST * (max(min(brought, 1.0), -3.0) - memory.brought)
    if memory.brought < 0.0:
        memory.judges = False
