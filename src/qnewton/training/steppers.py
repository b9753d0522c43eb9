"""What takes a training step and leaves a StepRecord: QNewton, or a first-order optimizer."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from qnewton.cost import modelled_seconds
from qnewton.optimizer import QNewton, StageHook
from qnewton.optimizer.clock import StageClock
from qnewton.records import Calibration, StepRecord


class Stepper(Protocol):
    """Anything the training loop can take steps with."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer whose state a checkpoint keeps."""
        ...

    def step(self, closure: Callable[[], Tensor], number: int) -> StepRecord:
        """Take step ``number`` with a closure that returns the live loss."""
        ...

    def on_stage(self, hook: StageHook) -> None:
        """Have ``hook`` told when a stage of a Newton step begins."""
        ...


class NewtonStepper:
    """Steps with QNewton, which leaves its own records."""

    def __init__(self, optimizer: QNewton) -> None:
        self.optimizer = optimizer

    def step(self, closure: Callable[[], Tensor], number: int) -> StepRecord:
        """Take one QNewton step and return its record; the optimizer numbers its own steps."""
        self.optimizer.step(closure)
        return self.optimizer.records[-1]

    def on_stage(self, hook: StageHook) -> None:
        """Have ``hook`` told when a stage begins."""
        self.optimizer.register_stage_hook(hook)


class FirstOrderStepper:
    """Steps with any first-order ``torch.optim`` optimizer and keeps the same records.

    Args:
        optimizer: The optimizer.
        model: The model, whose linear layers tell the operations of a pass.
        calibration: Prices the modelled clock.
    """

    def __init__(self, optimizer: Optimizer, model: nn.Module, calibration: Calibration) -> None:
        self.optimizer = optimizer
        self._model = model
        self._calibration = calibration

    def on_stage(self, hook: StageHook) -> None:
        """Do nothing: a first-order step is too short to tell its stages."""

    def step(self, closure: Callable[[], Tensor], number: int) -> StepRecord:
        """Take one step; a loss or gradient that is not finite changes nothing."""
        parameters = [p for p in self._model.parameters() if p.requires_grad]
        clock = StageClock(parameters[0].device)
        with clock.stage("forward_backward"):
            self.optimizer.zero_grad()
            with linear_flops(self._model) as flops:
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
        pairs = zip(moved, gradients, strict=True)
        inner = -sum(float((m.double() * g.double()).sum()) for m, g in pairs)
        record = StepRecord(
            step=number,
            phase="first-order",
            loss=loss.item(),
            gradient_norm=gradient_norm,
            step_norm=step_norm,
            cosine=inner / (step_norm * gradient_norm) if step_norm * gradient_norm else None,
            parameters=sum(p.numel() for p in parameters),
            forward_backward_flops=sum(flops) if flops else None,
            measured=clock.seconds(),
            skipped=skipped,
            reason=type(self.optimizer).__name__,
        )
        return dataclasses.replace(
            record, modelled=modelled_seconds(record, self._calibration, charged={})
        )


@contextmanager
def linear_flops(model: nn.Module) -> Iterator[list[float]]:
    """Collect 6·rows·in·out for every call of an ``nn.Linear`` while it is active.

    A multiply-add is two operations, and takes place once forward and twice backward; whatever is
    no linear layer is left out.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> with linear_flops(layer) as flops:
        ...     _ = layer(torch.zeros(5, 3))
        >>> flops
        [180.0]
    """
    flops: list[float] = []

    def count(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        flops.append(6.0 * output.numel() * inputs[0].shape[-1])

    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield flops
    finally:
        for handle in handles:
            handle.remove()


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))
