"""Whether data change from step to step, seen in the loss at parameters that nobody changed."""

import math

from qnewton.cost.kernels import ROWS_A_CALL
from qnewton.optimizer.memory import Memory

_SURE = 2  # losses in a row that were the same, before data are taken to be
_OFF = 1e-4  # share of the loss that another order of summation may change it by
DEFAULT_BUDGET = 10.0
"""Forward and backward passes that a step on one of many batches may cost."""

_FEW_OF_SQUARES = 2048  # unknowns of a least-squares problem, as a rule of all its points


def leave_loss(memory: Memory, loss: float | None) -> None:
    """Keep the loss of a step's batch where the step left the parameters, if it is known."""
    memory.left = loss


def notice(memory: Memory, loss: float) -> None:
    """Compare a step's first loss with the one that the last step left at the same parameters.

    Example:
        >>> memory = Memory({})
        >>> for left, begun in [(2.0, 2.0), (1.0, 1.0), (0.9, 1.1)]:
        ...     leave_loss(memory, left)
        ...     notice(memory, begun)
        ...     print(memory.same)
        1
        2
        1
    """
    left, memory.left = memory.left, None
    if left is None:
        return
    same = abs(loss - left) <= _OFF * abs(left)
    memory.same = min(memory.same + 1, _SURE) if same else max(memory.same - 1, -_SURE)


def is_batch(memory: Memory, unknowns: int, budget: float) -> bool:
    """Return whether a step is taken for one of many batches, so that it has a budget.

    Where data change it is, unless the batch may judge its own step. Until the loss was the same
    twice it is for many unknowns: more than rows of second derivatives in the budget, or than a
    formed matrix of a sum of squares may have.

    Args:
        memory: What steps saw.
        unknowns: N.
        budget: The most forward and backward passes.
    """
    if math.isinf(budget) or memory.judges or memory.same >= _SURE:
        return False
    few = max(ROWS_A_CALL * budget, _FEW_OF_SQUARES if memory.squares else 0)
    return memory.same < 0 or unknowns > few
