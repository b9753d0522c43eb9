"""The record of one step, and why it may be skipped."""

import dataclasses
import math

from qnewton.cost import Market, modelled_seconds, own_charges
from qnewton.curvature import Evaluation
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.newton import NewtonUpdate
from qnewton.optimizer.update import Applied, Gradients
from qnewton.records import DampingRecord, Phase, StepRecord
from qnewton.scheduler.assignment import shared_makespan
from qnewton.scheduler.policy import facts_paid_for


def reason_to_skip(evaluation: Evaluation, gradients: Gradients) -> str | None:
    """Return why a step from this loss and gradient cannot be taken; ``None`` if it can."""
    if not math.isfinite(evaluation.loss):
        return f"the loss is {evaluation.loss}"
    if not math.isfinite(gradients.norm):
        return "the gradient is not finite"
    return None


def step_record(
    *,
    step: int,
    phase: Phase,
    evaluation: Evaluation,
    gradients: Gradients,
    applied: Applied,
    skipped: str | None,
    found: NewtonUpdate,
    clock: StageClock,
    policy: str,
    market: Market,
    damping: DampingRecord | None = None,
) -> StepRecord:
    """Return what a step measured and did, with every stage priced where its work is known."""
    record = StepRecord(
        step=step,
        phase=phase,
        loss=evaluation.loss,
        gradient_norm=gradients.norm,
        step_norm=applied.step_norm,
        cosine=applied.cosine,
        parameters=sum(p.numel() for p in evaluation.parameters),
        forward_backward_flops=evaluation.forward_backward_flops,
        measured=clock.seconds(),
        skipped=skipped,
        reason="warm-up" if phase == "first-order" else None,
        graph_operations=None if evaluation.work is None else evaluation.work.operations,
        blocks=found.blocks,
        abandoned=found.abandoned,
        damping=damping,
    )
    if record.has_unpriced_work or evaluation.forward_backward_flops is None:
        return record  # no stage without its work, no price for the step
    charged = own_charges(record)
    modelled = modelled_seconds(
        record,
        market.calibration,
        charged=charged,
        surveyed=facts_paid_for(
            policy,
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
