"""The training loop, to be read from top to bottom."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from qnewton.records import MetricRecord, StepRecord
from qnewton.runs import RunWriter
from qnewton.training.checkpoint import save_checkpoint
from qnewton.training.steppers import Stepper
from qnewton.workloads import Workload


@dataclass(frozen=True)
class Progress:
    """What a progress display is told after every step."""

    record: StepRecord
    metric: MetricRecord | None
    measured_seconds: float
    modelled_seconds: float | None


@dataclass(frozen=True)
class TrainingResult:
    """The records of a finished training, those of an interrupted beginning included.

    Attributes:
        records: One a step.
        metrics: One an evaluation.
        reached: Steps at the first evaluation that met the target; ``None`` if none did.
    """

    records: tuple[StepRecord, ...]
    metrics: tuple[MetricRecord, ...]
    reached: int | None


def train(
    workload: Workload,
    model: nn.Module,
    stepper: Stepper,
    *,
    steps: int,
    seed: int,
    target: float | None = None,
    writer: RunWriter | None = None,
    checkpoint_every: int = 10,
    past: TrainingResult | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> TrainingResult:
    """Train until ``steps`` steps are taken or the target is met.

    Every step is recorded before the next begins. The measured clock counts the steps' own
    stages; evaluating, recording and checkpointing are on no clock.

    Args:
        workload: Data, loss and evaluation.
        model: The model, moved in place.
        stepper: Takes the steps.
        steps: Steps in all, counted from the very first.
        seed: Draws the batches.
        target: Test accuracy at which training stops; ``None`` to take all steps.
        writer: Where records and checkpoints go; ``None`` keeps them in memory alone.
        checkpoint_every: Steps between checkpoints.
        past: What an interrupted run already recorded.
        on_step: Told of every step.
    """
    records = list(past.records) if past is not None else []
    metrics = list(past.metrics) if past is not None else []
    reached = past.reached if past is not None else None
    measured = sum(record.measured.total for record in records)
    modelled = _modelled_total(records)
    batches = workload.batches(seed, first_step=len(records))
    while len(records) < steps and (target is None or reached is None):
        inputs, targets = next(batches)

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            return workload.loss(model(inputs), targets)

        record = stepper.step(closure)
        records.append(record)
        measured += record.measured.total
        if modelled is not None:
            modelled = None if record.modelled is None else modelled + record.modelled.total
        done, metric = len(records), None
        if done % workload.evaluate_every == 0 or done == steps:
            loss, accuracy = workload.evaluate(model)
            metric = MetricRecord(
                step=done,
                test_loss=loss,
                test_accuracy=accuracy,
                measured_seconds=measured,
                modelled_seconds=modelled,
            )
            metrics.append(metric)
            if target is not None and accuracy >= target:
                reached = done
        if writer is not None:
            writer.append_step(record)
            if metric is not None:
                writer.append_metric(metric)
            if done % checkpoint_every == 0 or done == steps or reached == done:
                save_checkpoint(writer, done, model, stepper)
        on_step(Progress(record, metric, measured, modelled))
    return TrainingResult(tuple(records), tuple(metrics), reached)


def _modelled_total(records: Sequence[StepRecord]) -> float | None:
    if any(record.modelled is None for record in records):
        return None
    return sum(record.modelled.total for record in records if record.modelled is not None)
