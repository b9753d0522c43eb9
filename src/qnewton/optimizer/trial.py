"""The loss at parameters that are only tried: no gradient, no random number, no buffer changes."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class RandomState:
    """The random generators' states before a step's closure ran, for the same dropout masks.

    Python's and NumPy's generators are not replayed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._own = None if device.type == "cpu" else self._module().get_rng_state(device)

    def replay(self, stack: ExitStack) -> None:
        """Go back to these states until ``stack`` is left."""
        if self._own is None:
            stack.enter_context(torch.random.fork_rng(devices=[]))
        else:
            kind = self._device.type
            stack.enter_context(torch.random.fork_rng([self._device], device_type=kind))
            self._module().set_rng_state(self._own, self._device)
        torch.set_rng_state(self._cpu)

    def _module(self) -> Any:
        return torch.get_device_module(self._device.type)


class TrialLoss:
    """Evaluates a step's loss again, at whatever the parameters are by then.

    The closure runs as it is, but its ``backward`` calls do nothing, ``.grad`` and the module's
    buffers are put back, and random numbers repeat. Its own side effects (logging, a data
    iterator it draws from) happen again, as they do under ``torch.optim.LBFGS``.

    Args:
        closure: The step's closure.
        parameters: Trainable parameters.
        module: Their module, if known, for its buffers.
        random_state: From before the closure first ran.
        needs_graph: Whether an earlier step's closure was found to differentiate inside.

    Attributes:
        needs_graph: The same, and what this step found.

    Cost: one forward pass a call.
    """

    def __init__(
        self,
        closure: Callable[[], Any],
        parameters: Sequence[Tensor],
        module: nn.Module | None,
        random_state: RandomState,
        needs_graph: bool = False,
    ) -> None:
        self._closure = closure
        self._parameters = parameters
        self._module = module
        self._random_state = random_state
        self.needs_graph = needs_graph

    def __call__(self) -> float:
        """Return the loss; the closure has shown before that it returns one number."""
        gradients = [parameter.grad for parameter in self._parameters]
        buffers = [] if self._module is None else [(b, b.clone()) for b in self._module.buffers()]
        try:
            return self._evaluate()
        finally:
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.grad = gradient
            with torch.no_grad():
                for buffer, kept in buffers:
                    buffer.copy_(kept)

    def _evaluate(self) -> float:
        if not self.needs_graph:
            try:
                return self._run(graph=False)
            except RuntimeError:
                # A closure that differentiates inside (a residual of a differential equation)
                # needs the graph; whatever else was wrong is raised by the second run.
                self.needs_graph = True
        return self._run(graph=True)

    def _run(self, graph: bool) -> float:
        with ExitStack() as stack:
            self._random_state.replay(stack)
            stack.enter_context(torch.enable_grad() if graph else torch.no_grad())
            stack.enter_context(_SilentBackward())
            returned = self._closure()
            return float(returned.detach() if isinstance(returned, Tensor) else returned)


class _SilentBackward(TorchFunctionMode):
    """Lets ``Tensor.backward`` do nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.backward:
            return None
        return func(*args, **(kwargs or {}))
