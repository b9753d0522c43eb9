"""A closure run again: from the same random state and buffers, at moved parameters, put back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from qnewton.curvature.autograd import Gradients, flat
from qnewton.curvature.evaluation import Closure, Evaluation, evaluate
from qnewton.curvature.random_state import RandomState
from qnewton.curvature.watching import Recorder
from qnewton.operators.private_torch import inside_a_function, registered_buffers

NUMERICAL = (ArithmeticError, torch.linalg.LinAlgError)  # pyright: ignore[reportPrivateImportUsage]
"""Errors that say that a loss has no value at some parameters."""

_DATA: Any = Tensor.data
T = TypeVar("T", float, Tensor)

_CUTS = (Tensor.detach, _DATA.__get__)


class KeptBuffer(NamedTuple):
    """One registered buffer of a module.

    Attributes:
        module: The module.
        name: The buffer's name in it.
        tensor: The tensor itself; a module may register another one on its way.
        values: A copy of what it held.
    """

    module: nn.Module
    name: str
    tensor: Tensor | None
    values: Tensor | None

    @classmethod
    def of(cls, module: nn.Module, name: str, earlier: "KeptBuffer | None" = None) -> "KeptBuffer":
        """Copy the buffer as it is now; share an earlier copy if nothing has changed since."""
        tensor = registered_buffers(module)[name]
        if tensor is None:
            return cls(module, name, None, None)
        # By value: BatchNorm's kernels change a tensor without counting a new version of it.
        known = None if earlier is None or earlier.tensor is not tensor else earlier.values
        if earlier is not None and known is not None and torch.equal(tensor, known):
            return earlier
        return cls(module, name, tensor, tensor.detach().clone())

    def register(self, tensor: Tensor | None) -> None:
        """Make ``tensor`` the module's buffer of this name."""
        registered_buffers(self.module)[self.name] = tensor

    def put_back(self) -> None:
        """Register the tensor again, with the values it had."""
        self.register(self.tensor)
        if self.tensor is not None and self.values is not None:
            with torch.inference_mode() if self.tensor.is_inference() else torch.no_grad():
                self.tensor.copy_(self.values)


@contextmanager
def lent(buffers: Sequence[KeptBuffer]) -> Iterator[None]:
    """Register copies of what buffers held, and afterwards those that are registered now.

    A graph that was made inside stays valid, since nobody writes to the copies afterwards.
    """
    now = [registered_buffers(kept.module)[kept.name] for kept in buffers]
    copies: dict[int, Tensor] = {}  # a tensor may be registered in several modules
    for kept in buffers:
        if kept.values is not None and id(kept.tensor) not in copies:
            copies[id(kept.tensor)] = kept.values.clone()
        kept.register(copies.get(id(kept.tensor)))
    try:
        yield
    finally:
        for kept, tensor in zip(buffers, now, strict=True):
            kept.register(tensor)


class SeenBuffers:
    """Follows a closure to the modules it calls, and copies their buffers before they run.

    A module that is never called as a function, nor is part of one that is or of ``known``, is
    not seen, and neither is state that is no registered buffer.

    Args:
        known: A module that will be used in any case.
        earlier: Copies to share where nothing has changed since.

    Attributes:
        modules: The modules seen, by their id.
        before: Their buffers before they ran.

    Example:
        >>> seen, norm = SeenBuffers(None), nn.BatchNorm1d(1)
        >>> with seen.watching():
        ...     _ = norm(torch.tensor([[1.0], [3.0]]))
        >>> norm.running_mean
        tensor([0.2000])
        >>> for kept in seen.before:
        ...     kept.put_back()
        >>> norm.running_mean
        tensor([0.])

    Cost: a copy of every buffer.
    """

    def __init__(self, known: nn.Module | None, earlier: Sequence[KeptBuffer] = ()) -> None:
        self.modules: dict[int, nn.Module] = {}
        self.before: list[KeptBuffer] = []
        self._earlier = {(id(kept.module), kept.name): kept for kept in earlier}
        if known is not None:
            self._see(known)

    def watching(self) -> ExitStack:
        """Return a context in which modules are seen as they are called."""
        stack = ExitStack()
        handle = register_module_forward_pre_hook(self._called)
        stack.callback(handle.remove)
        return stack

    def now(self) -> list[KeptBuffer]:
        """Copy the buffers of all modules seen, as they are now."""
        return [KeptBuffer.of(kept.module, kept.name, kept) for kept in self.before]

    def _called(self, module: nn.Module, _: Any) -> None:
        if id(module) not in self.modules:
            self._see(module)

    def _see(self, called: nn.Module) -> None:
        for module in called.modules():
            if id(module) not in self.modules:
                self.modules[id(module)] = module
                self.before += [
                    KeptBuffer.of(module, name, self._earlier.get((id(module), name)))
                    for name in registered_buffers(module)
                ]


class LentBuffers(SeenBuffers):
    """Follows a closure, too, and lends modules copies; a graph may still hold the buffers.

    Gradients of modules' parameters beside those known add up in copies, too.

    Args:
        known: A module that will be used in any case.
        parameters: Whose gradients somebody else cares for.
    """

    def __init__(self, known: nn.Module | None, parameters: Sequence[Tensor] = ()) -> None:
        self._gradients: list[tuple[Tensor, Tensor | None]] = []
        self._cared_for = set(map(id, parameters))
        super().__init__(known)

    def give_back(self) -> None:
        """Give every module its own buffers, and every parameter its gradient, again."""
        for kept in self.before:
            kept.register(kept.tensor)
        for parameter, gradient in self._gradients:
            parameter.grad = gradient

    def _see(self, called: nn.Module) -> None:
        first = len(self.before)
        super()._see(called)
        # A tensor may be registered in several modules, which then share its copy.
        copies = {id(kept.tensor): kept.values for kept in reversed(self.before)}
        for kept in self.before[first:]:
            kept.register(copies[id(kept.tensor)])
        for parameter in called.parameters():
            if id(parameter) not in self._cared_for:
                self._cared_for.add(id(parameter))
                gradient = parameter.grad
                self._gradients.append((parameter, gradient))
                parameter.grad = None if gradient is None else gradient.clone()


@dataclass(frozen=True)
class Repeatable:
    """A closure that begins from the same random state and buffers, and puts them back, itself.

    Attributes:
        closure: The closure.
    """

    closure: Closure

    def __call__(self) -> Any:
        """Run it."""
        return self.closure()


class Rerun(NamedTuple):
    """What one more run of the closure showed.

    Attributes:
        evaluation: The loss, and its graph if asked for.
        gradients: What ``backward`` brought to each parameter in this run, before accumulation,
            averaging and clipping.
        flat: The same as one vector.
        precision: The coarsest floating dtype that an operation of the closure returned.
        holds_constant: Whether something that depends on parameters was used without its
            gradient: detached, or under ``no_grad``.
    """

    evaluation: Evaluation
    gradients: Gradients
    flat: Tensor
    precision: torch.dtype
    holds_constant: bool


class Reruns:
    """Runs a closure again, as often as one likes; its own side effects happen again.

    Args:
        closure: The step's closure.
        parameters: Trainable parameters.
        model: Their module, if known; modules that the closure calls are found without it.
        others: Other leaves that ``backward`` brings gradients to.
    """

    def __init__(
        self,
        closure: Closure,
        parameters: Sequence[Tensor],
        model: nn.Module | None = None,
        others: Sequence[Tensor] = (),
    ) -> None:
        self._closure, self._others, self._model = closure, others, model
        self._parameters = parameters

    @cached_property
    def size(self) -> float:
        """The norm of the parameters, or 1 if that is less."""
        flattened = torch.cat([p.detach().flatten() for p in self._parameters])
        return max(1.0, float(flattened.norm()))

    @contextmanager
    def at(self, move: Tensor, keep_graph: bool = False) -> Iterator[Rerun]:
        """Yield what the closure gives at θ + ``move``, where the parameters are until then."""
        found: dict[int, Tensor] = {}
        watch = _Watch()

        def watched() -> Any:
            with watch:
                return self._closure()

        pieces = move.split([p.numel() for p in self._parameters])
        pairs = zip(pieces, self._parameters, strict=True)
        with self.moved([piece.view_as(parameter) for piece, parameter in pairs]):
            with ExitStack() as hooks:
                for parameter in self._parameters:
                    handle = parameter.register_hook(summing(found, parameter, torch.clone))
                    hooks.callback(handle.remove)
                recorder = Recorder() if keep_graph else None
                evaluation = evaluate(watched, self._parameters, recorder)
            precision = max(watch.dtypes, key=lambda kind: torch.finfo(kind).eps)
            brought = [found.get(id(p)) for p in self._parameters]
            vector = flat(brought, self._parameters).detach()
            yield Rerun(evaluation, brought, vector, precision, watch.holds_constant)

    @contextmanager
    def moved(self, pieces: Sequence[Tensor | None], length: float = 1.0) -> Iterator[None]:
        """Return a context with parameters at θ + ``length``·x, and no gradients.

        Everything is put back afterwards: parameters, gradients, buffers and random generators.

        Args:
            pieces: x, one for each parameter; ``None`` where it stays.
            length: The length.

        Cost: a copy of what moves, and one of every buffer.
        """
        with ExitStack() as stack:
            self._put_back_after(stack)
            for parameter, piece in zip(self._parameters, pieces, strict=True):
                if piece is not None and length != 0.0:
                    # Not in place: a graph that is still needed holds the parameters as they were.
                    parameter.data = torch.add(parameter.data, piece, alpha=length)
                parameter.grad = None
            yield

    def _put_back_after(self, stack: ExitStack) -> None:
        kept = [(p, p.data, p.grad) for p in self._parameters]
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
            lent = LentBuffers(self._model, [*self._parameters, *self._others])
            stack.callback(lent.give_back)
            stack.enter_context(lent.watching())
        begun = RandomState(self._parameters[0].device)
        stack.callback(lambda: begun.drawn_from().put_back())


def summing(
    found: dict[int, T], parameter: Tensor, part: Callable[[Tensor], T]
) -> Callable[[Tensor], None]:
    """Return a hook that sums what ``part`` makes of each gradient that ``backward`` brings.

    Args:
        found: Where the sum is kept, by the parameter's identity.
        parameter: What the hook is registered at.
        part: Linear; its result is not changed later.
    """

    def add(gradient: Tensor) -> None:
        known = found.get(id(parameter))
        if parameter.grad is None or not bool(parameter.grad.any()):
            known = None  # what the closure cleared is no part of its gradient
        brought = part(gradient.detach())
        found[id(parameter)] = brought if known is None else known + brought

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
