"""Steps on a loss that can fall no further: it is kept, so that no later step looks again."""

import math

from qnewton.optimizer.local_loss import LocalLoss
from qnewton.optimizer.step_context import TakenStep
from qnewton.records import Convergence, DampingRecord

_SAME_SLOPE = 1e-3  # share of ‖g‖ that another order of summation may change it by


def rest_from(loss: LocalLoss) -> None:
    """Keep the loss of a step that tried what there is to try, and changed nothing."""
    memory = loss.context.memory
    memory.rests_at = loss.value
    memory.rests_slope, memory.rests_lr = loss.evaluated.gradients.norm, _lr(loss)


def resting(loss: LocalLoss) -> TakenStep | None:
    """Return a step that tries nothing, if an earlier one on the same loss found nothing to try.

    It is the same where its value, its slope and every lr are, so that other data, parameters that
    somebody moved, or a loss in other units wake the steps up again.

    Cost: a look at the settings of the groups.
    """
    memory = loss.context.memory
    at, slope = memory.rests_at, memory.rests_slope
    if at is None:
        return None
    same = abs(loss.value - at) <= loss.rounding and _lr(loss) == memory.rests_lr
    decays = any(group["weight_decay"] for group in loss.context.settings.groups)
    turned = abs(loss.evaluated.gradients.norm - slope) > _SAME_SLOPE * slope
    if not same or turned or decays:
        memory.rests_at, memory.settled = None, 0
        return None
    loss.evaluated.evaluation.release()
    record = DampingRecord(
        strength=memory.strength,
        next_strength=memory.strength,
        radius=memory.radius,
        next_radius=memory.radius,
        curvature=loss.evaluated.curvature.exact_kind,
        predicted=None,
        actual=None,
        ratio=None,
        tries=0,
        products=0,
        survey_products=0,
        length=0.0,
        clipped=False,
        negative_curvature=None,
        reason="nothing is tried, for an earlier step on the same loss tried everything",
        converged=Convergence.LOSS,
    )
    return TakenStep(skipped=Convergence.LOSS.sentence, damping=record)


def _lr(loss: LocalLoss) -> float:
    return math.hypot(*(float(group["lr"]) for group in loss.context.settings.groups))
