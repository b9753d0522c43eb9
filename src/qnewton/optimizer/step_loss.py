"""The loss of one step: a closure, the passes that an attachment remembers, or both."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from qnewton.curvature import Curvature, Evaluation
from qnewton.optimizer.attachment import NOT_REACHED, Attachment


def evaluate_step(
    curvature: Curvature,
    closure: Callable[[], Any] | None,
    attachment: Attachment | None,
    keep_graph: bool,
) -> tuple[Evaluation, Callable[[], Any]]:
    """Evaluate the closure or, without one, repeat the passes that an attachment remembers.

    A closure that adds to the gradients of earlier passes is evaluated for them, and then all
    passes are repeated, its own among them.

    Returns:
        The evaluation, and what evaluates the same loss again.

    Raises:
        ValueError: If the gradients are of passes that nobody remembers.
    """
    if closure is None:
        assert attachment is not None
        return attachment.evaluate(curvature, keep_graph), attachment.repeat
    if attachment is None:
        return curvature.evaluate(closure, curvature=keep_graph), closure
    earlier = attachment.differentiated
    evaluation = curvature.evaluate(closure, curvature=keep_graph, accumulates=earlier > 0)
    if not evaluation.accumulated:
        again = attachment.quietly(closure)
        return replace(evaluation, closure=again if keep_graph else None), again
    if attachment.differentiated == earlier:
        raise ValueError(NOT_REACHED)
    evaluation.release()
    whole = attachment.evaluate(curvature, keep_graph)
    return replace(whole, returned=evaluation.returned), attachment.repeat
