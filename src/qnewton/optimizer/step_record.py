"""The end of every step: its record."""

import dataclasses

from qnewton.cost import modelled_seconds, own_charges
from qnewton.optimizer.step_context import Evaluated, StepContext, Taken
from qnewton.records import StepRecord
from qnewton.scheduler.assignment import shared_makespan
from qnewton.scheduler.policy import facts_paid_for


def finish(context: StepContext, evaluated: Evaluated, taken: Taken) -> StepRecord:
    """Return what a step measured and did, with every stage priced where its work is known."""
    evaluation, applied, market = evaluated.evaluation, taken.applied, context.market
    record = StepRecord(
        step=context.step,
        phase=taken.phase,
        loss=evaluation.loss,
        gradient_norm=evaluated.gradients.norm,
        step_norm=applied.step_norm,
        cosine=applied.cosine,
        parameters=sum(p.numel() for p in evaluation.parameters),
        forward_backward_flops=evaluation.forward_backward_flops,
        measured=context.clock.seconds(),
        skipped=taken.skipped,
        reason="warm-up" if taken.phase == "first-order" else None,
        graph_operations=None if evaluation.work is None else evaluation.work.operations,
        blocks=taken.found.blocks,
        abandoned=taken.found.abandoned,
        first_order_blocks=taken.first_order_blocks,
        newton_share=taken.newton_share,
        damping=taken.damping,
    )
    if record.has_unpriced_work or evaluation.forward_backward_flops is None:
        return record  # no stage without its work, no price for the step
    charged = own_charges(record)
    modelled = modelled_seconds(
        record,
        market.calibration,
        charged=charged,
        surveyed=facts_paid_for(
            context.policy,
            market.hardware,
            (block.decision.quote(block.decision.chosen) for block in record.blocks),
        ),
        dtype=str(evaluation.parameters[0].dtype).removeprefix("torch."),
    )
    if modelled is not None:
        decisions = [block.decision for block in record.blocks]
        shared = shared_makespan(decisions, [charged[block.name] for block in record.blocks])
        if shared is not None:
            modelled = dataclasses.replace(modelled, solve=shared)
    return dataclasses.replace(record, modelled=modelled)
