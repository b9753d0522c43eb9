"""The training loop, to be read from top to bottom."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from qnewton.records import MetricRecord, StepRecord
from qnewton.runs import Run, RunConfig, RunWriter
from qnewton.training.request import TrainingRequest
from qnewton.training.steppers import Stepper
from qnewton.workloads import Workload


@dataclass(frozen=True)
class Session:
    """A training run ready to start: nothing in it has been trained yet."""

    request: TrainingRequest
    config: RunConfig
    workload: Workload
    model: nn.Module
    stepper: Stepper

    def state(self) -> bytes:
        """Return model, optimizer and random state: what a resumed run goes on from."""
        buffer = io.BytesIO()
        parts = {
            "model": self.model.state_dict(),
            "optimizer": self.stepper.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        torch.save(parts, buffer)
        return buffer.getvalue()

    def restore(self, data: bytes) -> None:
        """Go back to a :meth:`state`; only plain tensors are unpickled."""
        parts = torch.load(io.BytesIO(data), weights_only=True)
        self.model.load_state_dict(parts["model"])
        self.stepper.optimizer.load_state_dict(parts["optimizer"])
        torch.set_rng_state(parts["random"])


@dataclass(frozen=True)
class Progress:
    """What a progress display gets after every step."""

    record: StepRecord
    metric: MetricRecord | None
    measured_seconds: float
    modelled_seconds: float | None


@dataclass(frozen=True)
class TrainingResult:
    """The records of a finished training, those of an interrupted beginning included.

    Attributes:
        records: One per step.
        metrics: One per evaluation.
        reached: Steps at the first evaluation that met the target; ``None`` if none did.
    """

    records: tuple[StepRecord, ...]
    metrics: tuple[MetricRecord, ...]
    reached: int | None


def train(
    session: Session,
    *,
    writer: RunWriter | None = None,
    past: Run | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[Sequence[StepRecord]], bool] = lambda _: False,
) -> TrainingResult:
    """Train until the steps of the request are taken, its target is met, or ``stop`` says so.

    Every step is recorded before the next begins. The measured clock counts the steps' own
    stages; evaluating, recording and checkpointing are on no clock.

    Args:
        session: What is trained; its model is moved in place.
        writer: Where records and checkpoints go; ``None`` keeps them in memory alone.
        past: What an interrupted run already recorded; its steps count, too.
        on_step: Told of every step.
        stop: Given all records after every step; the training ends where it returns true.
    """
    request, workload, model = session.request, session.workload, session.model
    records = [] if past is None else list(past.steps)
    metrics = [] if past is None else list(past.metrics)
    reached = next((m.step for m in metrics if _met(request, m.test_accuracy)), None)
    measured, modelled = 0.0, 0.0
    for record in records:
        measured, modelled = _clocks(measured, modelled, record)
    batches = workload.batches(request.seed, first_step=len(records))
    ended = len(records) >= request.steps or reached is not None
    while not ended:
        closure = partial(_loss, workload, model, *next(batches))
        record = session.stepper.step(closure, len(records))
        records.append(record)
        measured, modelled = _clocks(measured, modelled, record)
        done, metric = len(records), None
        ended = done == request.steps or stop(records)
        if ended or done % workload.evaluate_every == 0:
            loss, accuracy = workload.evaluate(model)
            metric = MetricRecord(
                step=done,
                test_loss=loss,
                test_accuracy=accuracy,
                measured_seconds=measured,
                modelled_seconds=modelled,
            )
            metrics.append(metric)
            if _met(request, accuracy):
                reached, ended = done, True
        if writer is not None:
            writer.append_step(record)
            if metric is not None:
                writer.append_metric(metric)
            if ended or done % request.checkpoint_every == 0:
                writer.save_checkpoint(done, session.state())
        on_step(Progress(record, metric, measured, modelled))
    return TrainingResult(tuple(records), tuple(metrics), reached)


def _met(request: TrainingRequest, accuracy: float) -> bool:
    return request.target is not None and accuracy >= request.target


def _loss(workload: Workload, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    return workload.loss(model(inputs), targets)


def _clocks(
    measured: float, modelled: float | None, record: StepRecord
) -> tuple[float, float | None]:
    """Return both clocks after a step; a step without a price leaves no modelled sum."""
    priced = None if record.modelled is None else record.modelled.total
    both = None if modelled is None or priced is None else modelled + priced
    return measured + record.measured.total, both
