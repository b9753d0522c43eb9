"""The loss at parameters that are only tried: no gradient, no random number, no buffer changes."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from qnewton.curvature import twice_differentiable
from qnewton.optimizer.beginning import Beginning, KeptGradient
from qnewton.optimizer.numerical import LinAlgError, is_numerical, is_of_torch
from qnewton.records.messages import in_one_line


class TrialLoss:
    """Evaluates a step's loss again, at whatever the parameters are by then.

    The closure runs as it is, from the buffers, gradients and random state that the step's first
    evaluation began from; all of them are put back to what they were after it. Its ``backward``
    calls only give every ``.grad`` a copy of the gradient that the first evaluation had, so that
    it may read and change them. Its own side effects (logging, a data iterator it draws from)
    happen again, as they do under ``torch.optim.LBFGS``.

    Args:
        closure: The step's closure.
        beginning: From before the closure first ran.
        gradients: Of the loss, one for each of the step's parameters.
        needs_graph: Whether an earlier step's closure was found to differentiate inside.
        keeps_graph: Whether somebody will ask for ``root``.

    Attributes:
        needs_graph: The same, and what this step found.
        root: The last loss with its graph, if that is kept and the closure differentiates one loss.
        error: The last error about numbers that ended an evaluation, in one line.

    Cost: one forward pass per call, and a copy of gradients and buffers.
    """

    def __init__(
        self,
        closure: Callable[[], Any],
        beginning: Beginning,
        gradients: Sequence[Tensor | None],
        needs_graph: bool = False,
        keeps_graph: bool = False,
    ) -> None:
        self._closure = closure
        self._beginning = beginning
        self._gradients = gradients
        self.needs_graph = needs_graph
        self.keeps_graph = keeps_graph
        self.root: Tensor | None = None
        self.error: str | None = None

    def __call__(self) -> float:
        """Return the loss, infinite where the closure ends in an error about numbers."""
        self.root = None
        try:
            with self._put_back():
                return self._evaluate()
        except Exception as error:
            if not is_numerical(error):
                raise
            self.error = in_one_line(error)
            return math.inf

    @contextmanager
    def _put_back(self) -> Iterator[None]:
        start = self._beginning
        leaves = [*start.parameters, *start.other_leaves()]
        gradients = [(leaf, leaf.grad) for leaf in leaves]
        buffers = start.buffers_now()
        self._others = [KeptGradient(leaf) for leaf in leaves[len(start.parameters) :]]
        try:
            yield
        finally:
            for leaf, gradient in gradients:
                leaf.grad = gradient
            for kept in buffers:
                kept.put_back()

    def _evaluate(self) -> float:
        if self.keeps_graph:
            return self._run(self._silent(), graph=True)
        if not self.needs_graph:
            silent = self._silent()
            try:
                return self._run(silent, graph=False)
            except RuntimeError as error:
                # A closure that differentiates inside (a residual of a differential equation)
                # needs the graph; whatever else was wrong is raised by the second run. What the
                # closure itself raises is not asked for twice.
                if is_numerical(error) or not (error is silent.raised or is_of_torch(error)):
                    raise
        found = self._run(self._silent(), graph=True)
        self.needs_graph = True
        return found

    def _run(self, silent: "_SilentBackward", graph: bool) -> float:
        for kept in self._beginning.buffers_before():
            kept.put_back()
        for kept in [*self._beginning.gradients, *self._others]:
            kept.lend()
        with ExitStack() as stack:
            stack.enter_context(self._beginning.random_state.replayed())
            stack.enter_context(torch.enable_grad() if graph else torch.no_grad())
            stack.enter_context(silent)
            stack.enter_context(twice_differentiable())  # as the loss was evaluated
            returned = self._closure()
        loss = returned if silent.total is None else silent.total
        if self.keeps_graph:
            self.root = silent.only if silent.terms else _live(returned)
        return float(loss.detach() if isinstance(loss, Tensor) else loss)

    def _silent(self) -> "_SilentBackward":
        return _SilentBackward(self._beginning.parameters, self._fill)

    def _fill(self) -> None:
        for parameter, gradient in zip(self._beginning.parameters, self._gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        for kept in self._others:
            kept.lend()


class _SilentBackward(TorchFunctionMode):
    """Lets ``Tensor.backward`` only fill the gradients, and names numbers that are not finite.

    With ``create_graph=True`` the loss may depend on the gradients, so they are computed.

    Args:
        parameters: The step's parameters.
        fill: Gives every ``.grad`` a value.

    Attributes:
        total: The value of what was to be differentiated since the gradients were cleared.
        terms: How many losses that is the sum of.
        only: The loss, if it is one.
        raised: The last error that one of PyTorch's functions raised.
    """

    def __init__(self, parameters: Sequence[Tensor], fill: Callable[[], None]) -> None:
        super().__init__()
        self._parameters = parameters
        self._fill = fill
        self.total: Tensor | None = None
        self.only: Tensor | None = None
        self.terms = 0
        self.raised: BaseException | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.backward:
            self._add(args[0], kwargs.get("gradient"))
            if not kwargs.get("create_graph"):
                self._fill()
                return None
        try:
            return func(*args, **kwargs)
        except RuntimeError as error:
            self.raised = error
            differentiates = func is Tensor.backward or func is torch.autograd.grad
            if not differentiates and not isinstance(error, _OF_THEIR_OWN):
                _refuse_numbers_not_finite(func, [*args, *kwargs.values()], error)
            raise

    def _add(self, loss: Tensor, gradient: Tensor | None) -> None:
        term = loss.detach().clone() if gradient is None else (loss * gradient).sum().detach()
        if all(parameter.grad is None for parameter in self._parameters):
            self.total, self.terms = None, 0
        self.terms += 1
        self.only = loss if gradient is None and self.terms == 1 else None
        self.total = term.reshape(()) if self.total is None else self.total + term.reshape(())


def _live(returned: Any) -> Tensor | None:
    live = isinstance(returned, Tensor) and returned.requires_grad
    return returned if live else None


_OF_THEIR_OWN = (torch.OutOfMemoryError, LinAlgError)


def _refuse_numbers_not_finite(func: Any, arguments: Sequence[Any], error: RuntimeError) -> None:
    """Raise ``FloatingPointError`` if a function failed on numbers that are not finite."""
    # PyTorch refuses the binary cross-entropy of a probability that is not a number by a
    # ``RuntimeError`` like any other.
    tensors = [arg for arg in arguments if isinstance(arg, Tensor) and arg.is_floating_point()]
    if any(not bool(torch.isfinite(tensor).all()) for tensor in tensors):
        name = getattr(func, "__name__", func)
        raise FloatingPointError(f"{name} of numbers that are not finite: {error}") from error
