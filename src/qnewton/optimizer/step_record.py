"""The end of every step: its record."""

import dataclasses
import warnings
from typing import Any

from qnewton.curvature import loss_value
from qnewton.operators.base import dtype_name
from qnewton.optimizer.step_context import NOTHING_IN_LOSS, Evaluated, StepContext, TakenStep
from qnewton.records import MeasuredSeconds, StepRecord
from qnewton.scheduler.pricing import step_seconds


def finish(context: StepContext, evaluated: Evaluated, taken: TakenStep) -> StepRecord:
    """Return what a step measured and did, with every stage priced where its work is known."""
    evaluation, applied, market = evaluated.evaluation, taken.applied, context.market
    flops, work = evaluation.forward_backward_flops, evaluation.work
    operations = None if work is None else work.operations
    if taken.averaged is not None and work is None:
        flops, operations = context.memory.pass_flops, context.memory.pass_operations
    record = StepRecord(
        step=context.step,
        phase=taken.phase,
        loss=evaluation.loss,
        gradient_norm=None if evaluated.is_apart else evaluated.gradients.norm,
        step_norm=applied.step_norm,
        decay_norm=applied.decay_norm,
        cosine=applied.cosine,
        parameters=sum(p.numel() for p in evaluation.parameters),
        forward_backward_flops=flops,
        measured=context.clock.seconds(),
        skipped=taken.skipped,
        held=taken.held,
        reason="warm-up" if taken.phase == "first-order" else None,
        graph_operations=operations,
        blocks=taken.update.blocks,
        abandoned=taken.update.abandoned,
        first_order_blocks=taken.first_order_blocks,
        newton_share=taken.newton_share,
        damping=taken.damping,
        averaged=taken.averaged,
    )
    if taken.averaged is not None:
        return record  # whoever reads a run prices it; here that took a tenth of the step
    if flops is None or record.has_unpriced_work:
        return record  # no stage without its work, no price for the step
    dtype = dtype_name(evaluation.parameters[0].dtype)
    priced = dataclasses.replace(market, dtype=dtype)
    try:
        return dataclasses.replace(record, modelled=step_seconds(record, context.policy, priced))
    except ValueError as refusal:
        # The step is taken; a calibration that lacks a rate leaves it without a price.
        warnings.warn(f"steps have no modelled seconds: {refusal}", stacklevel=2)
        return record


def frozen(step: int, returned: Any) -> StepRecord:
    """Return the record of a step on which every parameter is frozen.

    Args:
        step: Its number.
        returned: The loss.

    Raises:
        ValueError: If that is not one number.
    """
    return StepRecord(
        step=step,
        phase="newton",
        loss=loss_value(returned),
        gradient_norm=None,
        step_norm=0.0,
        cosine=None,
        parameters=0,
        measured=MeasuredSeconds(),
        skipped=f"{NOTHING_IN_LOSS}: all are frozen",
    )
