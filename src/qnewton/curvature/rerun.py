"""A closure run again, at parameters that are moved for a moment, with everything put back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from qnewton.curvature.autograd import flat
from qnewton.curvature.buffers import LentBuffers, RandomState
from qnewton.curvature.evaluation import Closure, Evaluation, evaluate
from qnewton.curvature.watching import Recorder
from qnewton.operators.private_torch import inside_a_function


@dataclass(frozen=True)
class Look:
    """What one more run of the closure showed.

    Attributes:
        evaluation: The loss, and its graph if asked for.
        gradients: What ``backward`` brought to each parameter in this run, before accumulation,
            averaging and clipping; ``None`` where it brought nothing.
        flat: The same as one vector; nothing counts as 0.
        precision: The coarsest floating dtype that an operation of the closure returned.
        holds_constant: Whether something that depends on parameters was used without its
            gradient: detached, or under ``no_grad``.
    """

    evaluation: Evaluation
    gradients: tuple[Tensor | None, ...]
    flat: Tensor
    precision: torch.dtype
    holds_constant: bool


@dataclass(frozen=True)
class Repeatable:
    """A closure that begins from the same random state and buffers, and puts them back, itself."""

    closure: Closure

    def __call__(self) -> Any:
        """Run it."""
        return self.closure()


class Looks:
    """Runs a closure again from the same random state and buffers, as often as one likes.

    Parameters, gradients and buffers of every module that runs, and the random states, are put
    back; the closure's own side effects happen again.

    Args:
        closure: The step's closure.
        parameters: Trainable parameters.
        model: Their module, if known; modules that the closure calls are found without it.
        others: Other leaves that ``backward`` brings gradients to.

    Attributes:
        parameters: The same.
        size: Their norm, or 1 if that is less.
    """

    def __init__(
        self,
        closure: Closure,
        parameters: Sequence[Tensor],
        model: nn.Module | None = None,
        others: Sequence[Tensor] = (),
    ) -> None:
        self._closure, self._others = closure, tuple(others)
        self.parameters = tuple(parameters)
        self.size = max(1.0, float(torch.cat([p.detach().flatten() for p in parameters]).norm()))
        self._model = model

    @contextmanager
    def look(self, move: Tensor, keep_graph: bool = False) -> Iterator[Look]:
        """Yield what the closure gives at θ + ``move``, where the parameters are until then.

        Args:
            move: Shape [N].
            keep_graph: Keep the graph of the loss, for second derivatives.

        Raises:
            Exception: Whatever the closure raises.

        Cost: one forward and backward pass.
        """
        found: dict[int, Tensor] = {}
        watch = _Watch()

        def watched() -> Any:
            with watch:
                return self._closure()

        with ExitStack() as stack:
            self._put_back_after(stack)
            self._move(move)
            with ExitStack() as hooks:
                for parameter in self.parameters:
                    parameter.grad = None
                    handle = parameter.register_hook(_adding(found, parameter))
                    hooks.callback(handle.remove)
                recorder = Recorder() if keep_graph else None
                evaluation = evaluate(watched, self.parameters, recorder)
            precision = max(watch.dtypes, key=lambda kind: torch.finfo(kind).eps)
            brought = tuple(found.get(id(p)) for p in self.parameters)
            vector = flat(brought, self.parameters).detach()
            yield Look(evaluation, brought, vector, precision, watch.holds_constant)

    def _move(self, move: Tensor) -> None:
        pieces = move.split([p.numel() for p in self.parameters])
        for parameter, piece in zip(self.parameters, pieces, strict=True):
            # Not in place: a graph that is still needed holds the parameters as they were.
            parameter.data = parameter.data + piece.view_as(parameter)

    def _put_back_after(self, stack: ExitStack) -> None:
        kept = [(p, p.data, p.grad) for p in self.parameters]
        others = [(p, p.grad) for p in self._others]
        for parameter, gradient in others:
            parameter.grad = None if gradient is None else gradient.clone()

        def put_back() -> None:
            for parameter, data, gradient in kept:
                parameter.data, parameter.grad = data, gradient
            for parameter, gradient in others:
                parameter.grad = gradient

        stack.callback(put_back)
        if not isinstance(self._closure, Repeatable):
            lent = LentBuffers(self._model)
            stack.callback(lent.give_back)
            stack.enter_context(lent.watching())
        stack.enter_context(RandomState(self.parameters[0].device).replayed())


def _adding(found: dict[int, Tensor], parameter: Tensor) -> Callable[[Tensor], None]:
    def add(gradient: Tensor) -> None:
        known = found.get(id(parameter))
        if parameter.grad is None or not bool(parameter.grad.any()):
            known = None  # what the closure cleared is no part of its gradient
        gradient = gradient.detach()
        found[id(parameter)] = gradient.clone() if known is None else known + gradient

    return add


class _Watch(TorchFunctionMode):
    """Notes the floating dtypes that occur, and whether gradients are cut off anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: set[torch.dtype] = {torch.float64}
        self.holds_constant = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.is_floating_point():
            if result.requires_grad:
                self.dtypes.add(result.dtype)
            without = not torch.is_grad_enabled() and not inside_a_function()
            # A detached number is a loss to be returned or written down, as a rule.
            cut = (without or func in _CUTS) and result.numel() > 1
            if cut and any(isinstance(a, Tensor) and a.requires_grad for a in args):
                self.holds_constant = True
        return result


NUMERICAL = (ArithmeticError, torch.linalg.LinAlgError)  # pyright: ignore[reportPrivateImportUsage]
"""Errors that say that a loss has no value at some parameters."""

_DATA: Any = Tensor.data
_CUTS = (Tensor.detach, _DATA.__get__)
