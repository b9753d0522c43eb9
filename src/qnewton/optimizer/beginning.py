"""What every evaluation of one step begins from, and what a step that raises goes back to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from qnewton.curvature import KeptBuffer, RandomState, Repeatable, SeenBuffers, lent
from qnewton.operators.private_torch import own_parameters
from qnewton.optimizer.numerical import is_numerical
from qnewton.records.messages import in_one_line


class KeptGradient:
    """The ``.grad`` of one parameter: the tensor itself, and a copy of its values."""

    def __init__(self, parameter: Tensor) -> None:
        self._parameter = parameter
        self._tensor = parameter.grad
        self._values = None if parameter.grad is None else parameter.grad.detach().clone()

    def put_back(self) -> None:
        """Make it ``.grad`` again, with the values it had."""
        self._parameter.grad = self._tensor
        if self._tensor is not None and self._values is not None:
            with torch.no_grad():
                self._tensor.copy_(self._values)

    def lend(self) -> None:
        """Make a new copy of it ``.grad``, that anybody may change."""
        self._parameter.grad = None if self._values is None else self._values.clone()


class Beginning:
    """Parameters, gradients, buffers, random and optimizer state before a step.

    Args:
        parameters: Trainable parameters.
        module: Their module, if known; the closure's others are found as it calls them.
        states: Dictionaries of the optimizer's state, whose values nobody changes in place.

    Attributes:
        parameters: The parameters.
        gradients: Their ``.grad``.
        values: Copies of them.

    Cost: a copy of parameters, gradients and buffers.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        module: nn.Module | None,
        states: Sequence[dict[str, Any]],
    ) -> None:
        self.parameters = tuple(parameters)
        self._all_generators = RandomState(parameters[0].device)
        self.gradients = [KeptGradient(parameter) for parameter in parameters]
        self.values = [parameter.detach().clone() for parameter in parameters]
        self._buffers = SeenBuffers(module)
        self._states = [(state, dict(state)) for state in states]

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Put everything back if an exception, or Ctrl-C, ends the step before its end."""
        try:
            yield
        except BaseException:
            self.put_back()
            raise

    def watching(self) -> ExitStack:
        """Return a context in which the closure's modules are found, before they run."""
        return self._buffers.watching()

    @cached_property
    def random_state(self) -> RandomState:
        """The states of the generators that the closure's first evaluation drew from."""
        return self._all_generators.drawn_from()

    def repeated(self, closure: Callable[[], Any]) -> Repeatable:
        """Return the closure so that it begins where it began first, in random states and buffers.

        An error about numbers becomes a ``FloatingPointError``.
        """

        def again() -> Any:
            try:
                with self.random_state.replayed(), lent(self.buffers_before()):
                    return closure()
            except Exception as error:
                if not is_numerical(error):
                    raise
                raise FloatingPointError(in_one_line(error)) from error

        return Repeatable(again)

    def put_back(self) -> None:
        """Leave no trace of the step."""
        self.put_parameters_back()
        for kept in [*self.gradients, *self._buffers.before]:
            kept.put_back()
        self._all_generators.put_back()
        for state, values in self._states:
            state.clear()
            state.update(values)

    def put_parameters_back(self) -> None:
        """Put every parameter back to where the step began."""
        with torch.no_grad():
            for parameter, values in zip(self.parameters, self.values, strict=True):
                parameter.copy_(values)

    def other_leaves(self) -> list[Tensor]:
        """Return what else of the closure's modules has a gradient."""
        known = set(map(id, self.parameters))
        found: dict[int, Tensor] = {}
        for module in self._buffers.modules.values():
            for parameter in own_parameters(module):
                if parameter.grad is not None:
                    found[id(parameter)] = parameter
        return [parameter for at, parameter in found.items() if at not in known]

    def buffers_before(self) -> list[KeptBuffer]:
        """Return the buffers as they were before the closure first ran."""
        return self._buffers.before

    def buffers_now(self) -> list[KeptBuffer]:
        """Return the same buffers as they are now."""
        return self._buffers.now()
