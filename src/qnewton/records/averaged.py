"""How a step on one of many batches found its length, and what the next batch said of the last."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AveragedRecord:
    """One step along a direction that was averaged over batches.

    Attributes:
        length: α, the length of the step along the direction, before ``lr``.
        newton_length: The length at which the loss of the step's own batch is lowest along the
            direction, by its slope and its curvature there; α never exceeds it.
        agreement: z in [-1, 1], what following batches said of the steps before: above 0 their
            losses still fell at the end of the steps, so these were too short; below 0, too long.
            ``None`` before the second batch.
        curvature: dᵀHd/dᵀd along the direction, averaged over the batches it was measured on.
        passes: Forward and backward passes that the step took.
        undone: Whether the step was the way back to where the one before began.
        reason: Why this length, in one sentence.
    """

    length: float
    newton_length: float | None
    agreement: float | None
    curvature: float | None
    passes: int
    undone: bool
    reason: str
