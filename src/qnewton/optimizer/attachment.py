"""Replaying a model's forward passes for training loops that never pass a closure."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from qnewton.curvature import Curvature, Evaluation

LossOf = Callable[[Any], Tensor]


@dataclass
class ForwardPass:
    """One training pass through the model, with what it takes to repeat it.

    Attributes:
        args: Positional arguments of the model.
        kwargs: Its keyword arguments.
        random_state: State of the CPU's random generator, and of the device's.
        device: Where the model was.
        autocast: Whether autocast was on there, and its dtype.
        loss: The loss it had; ``None`` until it returns.
        weight: ∂(what was differentiated)/∂loss: 1, or 1/k where a loop accumulates k passes;
            ``None`` until ``backward`` reaches the loss.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    random_state: tuple[Tensor, Tensor | None]
    device: torch.device
    autocast: tuple[bool, torch.dtype]
    loss: float = 0.0
    weight: float | None = None


class Attachment:
    """Remembers the forward passes since the last step and repeats them as one closure.

    A pass is repeated with the same arguments, random state and autocast, on copies of the
    model's buffers, so that dropout masks are the same and BatchNorm's running statistics are left
    alone. Python's and NumPy's random generators are not replayed.

    Args:
        model: The module whose calls are watched.
        loss_fn: Maps the model's output to the loss; the tensor that the loop differentiates.
    """

    def __init__(self, model: nn.Module, loss_fn: LossOf) -> None:
        self._model: nn.Module | None = model
        self._loss_fn = loss_fn
        self._passes: list[ForwardPass] = []
        self._begun: ForwardPass | None = None
        self._replaying = False
        self._begins = model.register_forward_pre_hook(self._begin, with_kwargs=True, prepend=True)
        self._ends = model.register_forward_hook(self._end)

    def remove(self) -> None:
        """Stop watching the model."""
        self._begins.remove()
        self._ends.remove()
        self.clear()

    def clear(self) -> None:
        """Forget the passes seen so far."""
        self._passes.clear()
        self._begun = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies and pickles of the model carry an attachment that watches nothing."""
        return _detached, ()

    @property
    def has_passes(self) -> bool:
        """Whether a training pass was seen since the last step."""
        return bool(self._passes)

    def evaluate(self, curvature: Curvature, keep_graph: bool) -> Evaluation:
        """Return the loss whose gradient the loop accumulated, with ``.grad`` as it stands.

        Args:
            curvature: Repeats the passes if their graph is needed.
            keep_graph: Whether it is.

        Raises:
            ValueError: If ``backward`` never reached the tensor that ``loss_fn`` returned.

        Cost: with ``keep_graph`` the forward and backward passes of the step, once more.
        """
        weighted = self._weighted()
        loss = sum(weight * seen.loss for weight, seen in weighted)
        parameters = curvature.parameters
        gradients = tuple(None if p.grad is None else p.grad.detach() for p in parameters)
        if not keep_graph:
            return Evaluation(loss, None, parameters, gradients)
        kept = [parameter.grad for parameter in parameters]
        self._replaying = True
        try:
            evaluation = curvature.evaluate(lambda: self._repeat_all(weighted))
        finally:
            self._replaying = False
            for parameter, gradient in zip(parameters, kept, strict=True):
                parameter.grad = gradient
        return replace(evaluation, loss=loss, gradients=gradients, returned=None)

    def repeat(self) -> Tensor:
        """Return the loss of the passes seen since the last step, at the present parameters."""
        self._replaying = True
        try:
            return self._repeat_all(self._weighted())
        finally:
            self._replaying = False

    def _repeat_all(self, weighted: Sequence[tuple[float, ForwardPass]]) -> Tensor:
        return torch.stack([weight * self._repeat(seen) for weight, seen in weighted]).sum()

    def _weighted(self) -> list[tuple[float, ForwardPass]]:
        weighted = [(seen.weight, seen) for seen in self._passes if seen.weight is not None]
        if not weighted:
            raise ValueError(
                "backward never reached the loss of the attached model; let loss_fn return the "
                "very tensor that the training loop differentiates, such as output.loss"
            )
        return weighted

    def _begin(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._model is None or self._replaying:
            return
        if not (self._model.training and torch.is_grad_enabled()):
            return
        device = next(self._model.parameters()).device
        self._begun = ForwardPass(
            args=args,
            kwargs=kwargs,
            random_state=(torch.get_rng_state(), _random_state(device)),
            device=device,
            autocast=(
                torch.is_autocast_enabled(device.type),
                torch.get_autocast_dtype(device.type),
            ),
        )

    def _end(self, _: nn.Module, args: Any, output: Any) -> None:
        if self._model is None or self._replaying or self._begun is None:
            return
        begun, self._begun = self._begun, None
        loss = self._loss_fn(output)
        if not loss.requires_grad:
            return
        begun.loss = float(loss.detach())

        def weigh(gradient: Tensor) -> None:
            begun.weight = (begun.weight or 0.0) + float(gradient)

        loss.register_hook(weigh)
        self._passes.append(begun)

    def _repeat(self, seen: ForwardPass) -> Tensor:
        assert self._model is not None
        buffers = {name: buffer.clone() for name, buffer in self._model.named_buffers()}
        kind, (enabled, dtype) = seen.device.type, seen.autocast
        cpu_state, device_state = seen.random_state
        with ExitStack() as stack:
            if device_state is None:
                stack.enter_context(torch.random.fork_rng(devices=[]))
            else:
                stack.enter_context(torch.random.fork_rng([seen.device], device_type=kind))
                torch.get_device_module(kind).set_rng_state(device_state, seen.device)
            torch.set_rng_state(cpu_state)
            stack.enter_context(torch.autocast(kind, dtype=dtype, enabled=enabled))
            output = functional_call(self._model, buffers, seen.args, dict(seen.kwargs))
            return self._loss_fn(output)


def _detached() -> Attachment:
    """Return what a copied model's hooks hold: an attachment that watches nothing."""
    copied = Attachment.__new__(Attachment)
    copied._model = None
    return copied


def _random_state(device: torch.device) -> Tensor | None:
    if device.type == "cpu":
        return None
    return torch.get_device_module(device.type).get_rng_state(device)
