"""What takes a training step and leaves a StepRecord: QNewton, or a first-order optimizer."""

import dataclasses
import math
from collections.abc import Callable
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
            forward_backward_flops=flops.total,
            measured=clock.seconds(),
            skipped=skipped,
            reason=type(self.optimizer).__name__,
        )
        return dataclasses.replace(
            record, modelled=modelled_seconds(record, self._calibration, charged={})
        )


class LinearFlops:
    """Counts 6·rows·in·out for every call of an ``nn.Linear`` while it is active.

    Two operations a multiply-add, once forward and twice backward; everything that is not a
    linear layer is left out. ``total`` is ``None`` when no linear layer was called.

    Example:
        >>> import torch
        >>> layer = nn.Linear(3, 2)
        >>> with LinearFlops(layer) as flops:
        ...     _ = layer(torch.zeros(5, 3))
        >>> flops.total
        180.0
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        self.total: float | None = None

    def __enter__(self) -> "LinearFlops":
        self._handles = [layer.register_forward_hook(self._count) for layer in self._layers]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _count(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        rows = output.numel() // output.shape[-1]
        work = 6.0 * rows * inputs[0].shape[-1] * output.shape[-1]
        self.total = (self.total or 0.0) + work


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))
