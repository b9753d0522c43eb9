"""Repeating a loop's passes: for loops that pass no closure, or accumulate before they do."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from qnewton.curvature import (
    Curvature,
    Evaluation,
    KeptBuffer,
    RandomState,
    SeenBuffers,
    lent,
    together,
)

LossOf = Callable[[Any], Tensor]

NOT_REACHED = (
    "backward never reached the loss of the attached model; let loss_fn return the very tensor "
    "that the training loop differentiates, such as output.loss"
)

_NO_LOSS = (
    "a loop that computes its loss outside of the model, as the Trainer does under "
    "label_smoothing_factor or compute_loss_func, needs no attach(); let the optimizer repeat what "
    "computes the loss: trainer.compute_loss = optimizer.repeatable(trainer.compute_loss)"
)

_LEFT_OVER = (
    "the loop added to a .grad that it had not cleared after the last step, whose curvature and "
    "loss are unknown; call optimizer.zero_grad() after every step"
)


@dataclass
class ForwardPass:
    """One training pass, with what it takes to repeat it.

    Attributes:
        again: Computes its loss again.
        random_state: The random generators before it.
        device: Where the model was.
        autocast: Whether autocast was on there, and its dtype.
        buffers: The buffers of its modules before it.
        loss: The loss it had.
        weight: ∂(what was differentiated)/∂loss: 1, or 1/k where a loop accumulates k passes;
            ``None`` until ``backward`` reaches the loss.
    """

    again: Callable[[], Tensor]
    random_state: RandomState
    device: torch.device
    autocast: tuple[bool, torch.dtype]
    buffers: Sequence[KeptBuffer] = ()
    loss: float = 0.0
    weight: float | None = None

    @classmethod
    def begin(cls, again: Callable[[], Tensor], device: torch.device) -> "ForwardPass":
        """Remember the state before a pass."""
        return cls(
            again=again,
            random_state=RandomState(device),
            device=device,
            autocast=(
                torch.is_autocast_enabled(device.type),
                torch.get_autocast_dtype(device.type),
            ),
        )

    def repeat(self) -> Tensor:
        """Return the loss at the present parameters; buffers and generators stay as they are."""
        kind, (enabled, dtype) = self.device.type, self.autocast
        with ExitStack() as stack:
            stack.enter_context(self.random_state.replayed())
            stack.enter_context(torch.autocast(kind, dtype=dtype, enabled=enabled))
            stack.enter_context(lent(self.buffers))
            return self.again()


class Attachment:
    """Remembers the passes since the last step and repeats them as one closure.

    A pass is repeated with the same arguments, random state and autocast, from copies of the
    buffers that it began with, so that dropout masks and normalisers are the same and running
    statistics are left alone.

    Args:
        parameters: Returns what the optimizer trains.
    """

    def __init__(self, parameters: Callable[[], Sequence[Tensor]]) -> None:
        self._parameters = parameters
        self._passes: list[ForwardPass] = []
        self._begun: tuple[ForwardPass, SeenBuffers] | None = None
        self._left_over = False
        self._paused = False
        self._watches = True
        self._handles: list[Any] = []

    def watch_model(self, model: nn.Module, loss_fn: LossOf) -> None:
        """Remember the training passes of a module.

        Args:
            model: The module whose calls are watched.
            loss_fn: Maps the model's output to the loss; the tensor that the loop differentiates.
        """

        def begin(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self.is_watching and model.training:
                device = next(model.parameters()).device
                kept = dict(kwargs)
                seen = SeenBuffers(model, self._last_buffers())
                begun = ForwardPass.begin(lambda: loss_fn(model(*args, **kept)), device)
                self._begun = begun, seen

        def end(_: nn.Module, args: Any, output: Any) -> None:
            if self.is_watching and self._begun is not None:
                (begun, seen), self._begun = self._begun, None
                self._remember(begun, seen, _loss(output, loss_fn))

        self._handles += [
            model.register_forward_pre_hook(_Hook(self, begin), with_kwargs=True, prepend=True),
            model.register_forward_hook(_Hook(self, end)),
        ]

    def remember(
        self,
        loss_of: Callable[..., Any],
        args: Any,
        kwargs: Any,
        repeated: Callable[..., Any] | None = None,
    ) -> Any:
        """Call ``loss_of``, which returns a loss, or a tuple or mapping with one, and remember it.

        Args:
            loss_of: What to call.
            args: Its positional arguments; those that it may change are copied.
            kwargs: Its keyword arguments.
            repeated: What to call when the pass is repeated, if something else.
        """
        if not self.is_watching:
            return loss_of(*args, **kwargs)
        kept = [_copied(a) for a in args], {name: _copied(a) for name, a in kwargs.items()}
        again = functools.partial(_loss_of_call, repeated or loss_of, *kept)
        begun = ForwardPass.begin(again, self._parameters()[0].device)
        seen = SeenBuffers(None, self._last_buffers())
        with seen.watching():
            returned = loss_of(*args, **kwargs)
        if returned is not None:  # as a Lightning module says that a batch is left out
            self._remember(begun, seen, _loss(returned, _loss_in))
        return returned

    @property
    def is_watching(self) -> bool:
        """Whether a pass that begins now is to be remembered."""
        return self._watches and not self._paused and torch.is_grad_enabled()

    def remove(self) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()
        self._watches = False
        self.clear()

    def clear(self) -> None:
        """Forget the passes seen so far."""
        self._passes.clear()
        self._begun = None
        self._left_over = False

    def gradients_are_cleared(self) -> None:
        """Forget the passes whose gradients are gone, but not one whose ``backward`` is to come."""
        self._passes = [seen for seen in self._passes if seen.weight is None]
        self._left_over = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Make copies and pickles of the model carry an attachment that watches nothing."""
        return _detached, ()

    @property
    def has_passes(self) -> bool:
        """Whether a training pass was seen since the last step."""
        return bool(self._passes)

    @property
    def differentiated(self) -> int:
        """How many passes ``backward`` has reached since the last step."""
        return sum(seen.weight is not None for seen in self._passes)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Forget what was seen inside if it ends in an exception."""
        before = [*self._passes]
        try:
            yield
        except BaseException:
            self._passes = before
            raise

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Return a context in which passes are not remembered."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def quietly(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        """Return a closure whose passes are not remembered."""

        def run() -> Any:
            with self.paused():
                return closure()

        return run

    def evaluate(self, curvature: Curvature, keep_graph: bool) -> Evaluation:
        """Return the loss whose gradient the loop accumulated, with ``.grad`` as it stands.

        Args:
            curvature: Repeats the passes if their graph is needed.
            keep_graph: Whether it is.

        Raises:
            ValueError: If ``backward`` never reached the tensor that ``loss_fn`` returned, or
                ``.grad`` held something else before it did.

        Cost: with ``keep_graph`` the forward and backward passes of the step, once more; their
        activations are in memory together.
        """
        weighted = self._weighted()
        if self._left_over:
            raise ValueError(_LEFT_OVER)
        loss = sum(weight * seen.loss for weight, seen in weighted)
        parameters = curvature.parameters
        gradients = tuple(None if p.grad is None else p.grad.detach() for p in parameters)
        if not keep_graph:
            return Evaluation(loss, None, parameters, gradients)
        kept = [parameter.grad for parameter in parameters]
        alone = len(weighted) == 1
        try:
            parts = [
                (weight, curvature.evaluate(self.quietly(seen.repeat), alone=alone))
                for weight, seen in weighted
            ]
        finally:
            for parameter, gradient in zip(parameters, kept, strict=True):
                parameter.grad = gradient
        whole = replace(together(parts), loss=loss, gradients=gradients)
        return replace(whole, returned=None, differentiated=None)

    def repeat(self) -> Tensor:
        """Return the loss of the passes seen since the last step, at the present parameters."""
        with self.paused():
            return torch.stack([w * seen.repeat() for w, seen in self._weighted()]).sum()

    def _weighted(self) -> list[tuple[float, ForwardPass]]:
        weighted = [(seen.weight, seen) for seen in self._passes if seen.weight is not None]
        if not weighted:
            raise ValueError(NOT_REACHED)
        return weighted

    def _last_buffers(self) -> Sequence[KeptBuffer]:
        return self._passes[-1].buffers if self._passes else ()

    def _remember(self, begun: ForwardPass, seen: SeenBuffers, loss: Tensor) -> None:
        if not loss.requires_grad:
            return
        begun.loss, begun.buffers = float(loss.detach()), seen.before

        def weigh(gradient: Tensor) -> None:
            if self.differentiated == 0:
                gradients = [p.grad for p in self._parameters() if p.grad is not None]
                self._left_over = any(bool(g.any()) for g in gradients if not g.is_sparse)
            begun.weight = (begun.weight or 0.0) + float(gradient)

        loss.register_hook(weigh)
        self._passes.append(begun)


class RepeatableLoss:
    """A function that computes a loss, whose passes an attachment remembers.

    A copy of the module that it is a method of gets a copy that is watched by nobody.

    Args:
        attachment: Remembers them.
        loss_of: The function.
    """

    def __init__(self, attachment: Attachment, loss_of: Callable[..., Any]) -> None:
        functools.update_wrapper(self, loss_of)
        self._attachment = attachment
        self.loss_of = loss_of

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns."""
        return self._attachment.remember(self.loss_of, args, kwargs)


class _Hook:
    """A forward hook that copies and pickles of the model carry as one that does nothing."""

    def __init__(self, attachment: Attachment, hook: Callable[..., None]) -> None:
        self._attachment = attachment
        self._hook = hook

    def __call__(self, *given: Any) -> None:
        if self._attachment._watches:
            self._hook(*given)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Hook, (_detached(), _nothing)


def _nothing(*_: Any) -> None:
    """Do nothing."""


def _loss(returned: Any, loss_fn: LossOf) -> Tensor:
    try:
        loss = loss_fn(returned)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"no loss in what the model returned ({error!r}); {_NO_LOSS}") from error
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        found = tuple(loss.shape) if isinstance(loss, Tensor) else loss
        raise ValueError(f"the loss in what the model returned is {found}; {_NO_LOSS}")
    return loss


def _loss_in(returned: Any) -> Tensor:
    if isinstance(returned, Mapping):
        return returned["loss"]
    return returned[0] if isinstance(returned, tuple) else returned


def _loss_of_call(loss_of: Callable[..., Any], args: Any, kwargs: Any) -> Tensor:
    copies = [_copied(a) for a in args], {name: _copied(a) for name, a in kwargs.items()}
    return _loss_in(loss_of(*copies[0], **copies[1]))


def _copied(given: Any) -> Any:
    """Return an argument that a loss may change as a copy, and a wrapped model as the model."""
    # DistributedDataParallel would wait for a ``backward`` that second derivatives do not call.
    if isinstance(given, DistributedDataParallel):
        return given.module
    return type(given)(given) if type(given) in (dict, list) else given


def _detached() -> Attachment:
    """Return what a copied model's hooks hold: an attachment that watches nothing."""
    copied = Attachment(tuple)
    copied._watches = False
    return copied
