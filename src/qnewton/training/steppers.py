"""What takes a training step and leaves a StepRecord: QNewton, or a first-order optimizer."""

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from qnewton.cost import modelled_seconds
from qnewton.optimizer import QNewton
from qnewton.optimizer.clock import StageClock
from qnewton.records import Calibration, StepRecord
from qnewton.training.flops import LinearFlops


class Stepper(Protocol):
    """Anything the training loop can take steps with."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer whose state a checkpoint keeps."""
        ...

    def step(self, closure: Callable[[], Tensor]) -> StepRecord:
        """Take one step with a closure that returns the live loss."""
        ...


class NewtonStepper:
    """Steps with QNewton, which leaves its own records."""

    def __init__(self, optimizer: QNewton) -> None:
        self.optimizer = optimizer

    def step(self, closure: Callable[[], Tensor]) -> StepRecord:
        """Take one QNewton step and return its record."""
        self.optimizer.step(closure)
        return self.optimizer.records[-1]


class FirstOrderStepper:
    """Steps with any first-order ``torch.optim`` optimizer and keeps the same records.

    Args:
        optimizer: The optimizer.
        model: The model, whose linear layers tell the operations of a pass.
        calibration: Prices the modelled clock.

    Attributes:
        next_step: Number of the next step; a resumed run sets it.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        model: nn.Module,
        calibration: Calibration,
    ) -> None:
        self.optimizer = optimizer
        self._model = model
        self._calibration = calibration
        self.next_step = 0

    def step(self, closure: Callable[[], Tensor]) -> StepRecord:
        """Take one step; a loss or gradient that is not finite changes nothing."""
        parameters = [p for p in self._model.parameters() if p.requires_grad]
        clock = StageClock(parameters[0].device)
        with clock.stage("forward_backward"):
            self.optimizer.zero_grad()
            with LinearFlops(self._model) as flops:
                loss = closure()
            loss.backward()
        before = [p.detach().clone() for p in parameters]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        gradient_norm = _norm(gradients)
        skipped = None
        if not (math.isfinite(loss.item()) and math.isfinite(gradient_norm)):
            skipped = f"the loss is {loss.item()} and the gradient norm {gradient_norm}"
        else:
            with clock.stage("update"):
                self.optimizer.step()
        moved = [p.detach() - b for p, b in zip(parameters, before, strict=True)]
        step_norm = _norm(moved)
        inner = -sum(
            float((m.double() * g.double()).sum()) for m, g in zip(moved, gradients, strict=True)
        )
        record = StepRecord(
            step=self.next_step,
            phase="first-order",
            loss=loss.item(),
            gradient_norm=gradient_norm,
            step_norm=step_norm,
            cosine=inner / (step_norm * gradient_norm) if step_norm * gradient_norm else None,
            parameters=sum(p.numel() for p in parameters),
            forward_backward_flops=flops.total,
            measured=clock.seconds(),
            skipped=skipped,
            reason=type(self.optimizer).__name__,
        )
        self.next_step += 1
        return dataclasses.replace(
            record, modelled=modelled_seconds(record, self._calibration, charged={})
        )


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))
