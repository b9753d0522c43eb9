"""Watching a closure: its calls of ``backward``, of layers, and of the model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from qnewton.curvature.layers import Layer, LayerCall, LayerSignal, layers_of
from qnewton.operators.private_torch import version

_OWN_SCALE = (nn.LayerNorm, nn.RMSNorm)
_OTHERWISE = "or use kind='hessian', which needs no output"
_ACCUMULATES = (
    "the closure added to a .grad that it had not cleared, whose curvature and loss are unknown; "
    "begin the closure with optimizer.zero_grad() and loop over the micro-batches inside it, or "
    "let the optimizer repeat them: attach() or repeatable(), or under Lightning QNewton(self)"
)


class BackwardPass(NamedTuple):
    """One call of ``backward``.

    Attributes:
        root: What it differentiated, with its graph.
        calls: Which of the layers' calls came between the call before it and this one.
        outputs: Which of the model's calls.
        frees_graph: Whether it would free its graph, so that no later call shares it.
    """

    root: Tensor
    calls: slice
    outputs: slice
    frees_graph: bool


class BackwardRecorder(TorchFunctionMode):
    """Lets ``Tensor.backward`` run as it is, but keeps the graph and remembers the root.

    Args:
        parameters: Whose gradients to follow.
        keep_graph: Whether the graph is needed.
        accumulates: Whether the first call may add to gradients that are there.
        recorder: Records the layers' and the model's calls.

    Attributes:
        seen: Whether ``backward`` ran.
        root: What it differentiated since the gradients were cleared.
        passes: Its calls since then, with the graph.
        gradients: Copies of ``.grad`` after its last call.
        accumulated: Whether the first call found gradients.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        keep_graph: bool,
        accumulates: bool,
        recorder: "Recorder",
    ) -> None:
        super().__init__()
        self._parameters, self._recorder = parameters, recorder
        self._keep_graph, self._accumulates = keep_graph, accumulates
        self._marked = (0, 0)
        self.seen = False
        self.root: Tensor | None = None
        self.passes: list[BackwardPass] = []
        self.gradients: list[Tensor | None] = []
        self.accumulated = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not Tensor.backward:
            return func(*args, **kwargs)
        if kwargs.get("inputs") is not None:
            raise ValueError(
                "the closure calls backward(inputs=...), so its gradient is not that of one loss; "
                "call loss.backward() and freeze other parameters with requires_grad_(False)"
            )
        self._look_at_what_is_there()
        self.seen = True
        if not self._keep_graph:
            returned = func(*args, **kwargs)
        else:
            frees = not (kwargs.get("retain_graph") or kwargs.get("create_graph"))
            self._add_root(args[0], kwargs.get("gradient"), frees)
            returned = func(*args, **{**kwargs, "retain_graph": True})
        self.gradients = [
            None if p.grad is None else p.grad.detach().clone() for p in self._parameters
        ]
        return returned

    def _look_at_what_is_there(self) -> None:
        there = [p.grad for p in self._parameters if p.grad is not None]
        if self.seen:
            if not there:  # cleared in between, so what came before does not count
                self.root, self.accumulated = None, False
                self.passes.clear()
            return
        self.accumulated = any(
            bool((g.coalesce().values() if g.is_sparse else g).any()) for g in there
        )
        if self.accumulated and not self._accumulates:
            raise ValueError(_ACCUMULATES)

    def _add_root(self, loss: Tensor, gradient: Tensor | None, frees_graph: bool) -> None:
        # A copy, because the closure may go on to change its loss tensor in place.
        with torch.enable_grad():
            term = loss.clone() if gradient is None else (loss * gradient.detach()).sum()
            term = term.reshape(())
            self.root = term if self.root is None else self.root + term
        before = self._marked
        self._marked = len(self._recorder.calls), len(self._recorder.outputs)
        calls, outputs = map(slice, before, self._marked)
        self.passes.append(BackwardPass(term, calls, outputs, frees_graph))


@dataclass(frozen=True)
class RecordedOutput:
    """What one call of the model returned.

    Attributes:
        tensor: The output, or its ``logits``; ``None`` if there is neither.
        kind: The type of what was returned.
        version: Counts the tensor's in-place changes up to now.
    """

    tensor: Tensor | None
    kind: str
    version: int


def single_output(outputs: Sequence[RecordedOutput]) -> Tensor:
    """Return the output of the model's only call.

    Raises:
        ValueError: If there was not exactly one call, or it returned no tensor; with the way out.
    """
    if not outputs:
        raise ValueError(
            "the closure never called the model with gradients, so there is no output to "
            f"differentiate at; call model(inputs) in the closure, {_OTHERWISE}"
        )
    if len(outputs) > 1:
        raise ValueError(
            f"the closure called the model {len(outputs)} times, limit 1; concatenate the inputs "
            f"into one batch, or call backward after each call, {_OTHERWISE}"
        )
    [output] = outputs
    if output.tensor is None:
        raise ValueError(
            f"the model returned {output.kind}; return one tensor, or an object or mapping with "
            f"logits, {_OTHERWISE}"
        )
    if version(output.tensor) != output.version:
        raise ValueError(
            f"the closure overwrote the model's logits in place; work on a copy, {_OTHERWISE}"
        )
    return output.tensor


def _logits(output: Any) -> Tensor | None:
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    return found if isinstance(found, Tensor) else None


class Recorder:
    """Records what a closure calls: the outputs of a model, and more in subclasses.

    Args:
        model: Whose outputs to record; ``None`` for nobody's.

    Attributes:
        outputs: What the model's calls returned.
        calls: Passes through layers, in the order they ran.
        through_backward: Whether to go on until ``backward`` of a returned loss is done.
    """

    through_backward = False

    def __init__(self, model: nn.Module | None = None) -> None:
        self._model = model
        self.outputs: list[RecordedOutput] = []
        self.calls: list[LayerCall] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Return a context in which calls are recorded."""
        with ExitStack() as stack:
            for handle in self._hooks():
                stack.callback(handle.remove)
            yield

    def _hooks(self) -> Iterator[Any]:
        if self._model is not None:
            yield self._model.register_forward_hook(self._model_ran)

    def _model_ran(self, module: nn.Module, args: Any, output: Any) -> Any:
        tensor = output if isinstance(output, Tensor) else _logits(output)
        if tensor is not None and not tensor.requires_grad:
            return None
        changes = 0 if tensor is None else version(tensor)
        self.outputs.append(RecordedOutput(tensor, type(output).__name__, changes))
        # The closure gets a copy, which it may overwrite. An output object is left as it is: a
        # loss computed inside the model already hangs on its logits.
        return output.clone() if isinstance(output, Tensor) else None


class LayerRecorder(Recorder):
    """Records passes through linear and convolution layers with their graph, too.

    Args:
        layers: The layers.
        model: Whose outputs to record; ``None`` for nobody's.
    """

    def __init__(self, layers: Sequence[Layer], model: nn.Module | None) -> None:
        super().__init__(model)
        self._layers = layers

    def _hooks(self) -> Iterator[Any]:
        for layer in self._layers:
            yield layer.register_forward_pre_hook(_own_input, with_kwargs=True)
            yield layer.register_forward_hook(self._layer_ran, with_kwargs=True, prepend=True)
        yield from super()._hooks()

    def _layer_ran(self, layer: Layer, args: Any, kwargs: Any, output: Tensor) -> Tensor:
        if not output.requires_grad:
            return output
        self.calls.append(LayerCall(layer, args[0] if args else kwargs["input"], output))
        # Downstream gets a copy: an in-place activation would overwrite the pre-activation.
        return output.clone()


def _own_input(layer: Layer, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Give the layer a copy of its input, whose gradient is then that of this use alone."""
    given = args[0] if args else kwargs["input"]
    if not given.requires_grad:
        return args, kwargs
    if args:
        return (given.clone(), *args[1:]), kwargs
    return args, {**kwargs, "input": given.clone()}


class SignalRecorder(Recorder):
    """Records one forward and backward pass through a model's layers; neither is repeated.

    Args:
        model: The model.
        parameters: The parameters whose blocks are wanted; layers with none of them are not
            kept.

    Attributes:
        covers_all: Whether every parameter belongs to a linear, convolution or scaling layer.

    Cost: a reference to every kept layer's input and output gradient until the next start.

    Example:
        >>> net, x = nn.Linear(2, 1), torch.ones(3, 2)
        >>> recorder = SignalRecorder(net, list(net.parameters()))
        >>> with recorder.watching():
        ...     net(x).sum().backward()
        >>> [call] = recorder.passes(net.weight)
        >>> recorder.signal(call, torch.Size([3]), scale=2.0).signals.flatten()
        tensor([2., 2., 2.])
    """

    through_backward = True

    def __init__(self, model: nn.Module, parameters: Sequence[Tensor]) -> None:
        super().__init__(model)
        self._owners: dict[int, list[nn.Module]] = {id(p): [] for p in parameters}
        self._kept: list[nn.Module] = []
        for layer in (*layers_of(model), *_scales_of(model)):
            wanted = [id(p) for p in layer.parameters() if id(p) in self._owners]
            self._kept += [layer] if wanted else []
            for parameter in wanted:
                self._owners[parameter].append(layer)
        self.covers_all = all(self._owners.values())
        self.release()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Return a context in which passes are recorded, from a clean start."""
        self.release()
        self._on = True
        try:
            with super().watching():
                yield
        finally:
            self._on = False

    def release(self) -> None:
        """Let go of all that was recorded."""
        self.calls, self.outputs = [], []
        self._ran: dict[int, list[LayerCall]] = {}
        self._signals: dict[int, Tensor] = {}
        self._normalised: dict[int, Tensor] = {}
        self._on = False

    @property
    def output_gradient(self) -> Tensor | None:
        """∂loss/∂output of the model, summed over backward calls; ``None`` if none came back."""
        return self._signals.get(id(self))

    def passes(self, parameter: Tensor) -> list[LayerCall]:
        """Return the passes through the layers that own ``parameter``."""
        layers = self._owners[id(parameter)]
        return [call for layer in layers for call in self._ran.get(id(layer), ())]

    def signal(self, call: LayerCall, lead: torch.Size, scale: float) -> LayerSignal:
        """Return the two sides of a pass, ``scale`` times what came back to its output."""
        signal, layer = self._signals.get(id(call)), cast("Any", call.layer)
        dtype = layer.weight.dtype
        scaled = None if signal is None else scale * signal.to(dtype)[None]
        if isinstance(layer, Layer):
            return call.signal(scaled, lead, 1)
        if id(call) not in self._normalised:
            # A scaling layer has x̂ in place of its input: its output at weight 1 and bias 0.
            plain = {
                name: torch.ones_like(p) if name == "weight" else torch.zeros_like(p)
                for name, p in layer.named_parameters()
            }
            with torch.no_grad():
                self._normalised[id(call)] = functional_call(layer, plain, (call.input,)).to(dtype)
        normalised = self._normalised[id(call)]
        scaled = torch.zeros_like(normalised) if scaled is None else scaled
        size = (len(call.input), -1, layer.weight.numel())
        return LayerSignal(call, normalised.reshape(size), scaled.reshape(size)[:, None])

    def _hooks(self) -> Iterator[Any]:
        for layer in self._kept:
            yield layer.register_forward_hook(self._layer_ran, with_kwargs=True)
        yield from super()._hooks()

    def _layer_ran(self, layer: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        if not output.requires_grad:
            return
        given = args[0] if args else next(iter(kwargs.values()))
        call = LayerCall(layer, given.detach(), output.detach())
        self.calls.append(call)
        self._ran.setdefault(id(layer), []).append(call)

        self._add_up(id(call), output)

    def _model_ran(self, module: nn.Module, args: Any, output: Any) -> Any:
        returned = super()._model_ran(module, args, output)
        recorded = self.outputs[-1].tensor if self.outputs else None
        # Several calls have no one output, which is refused after the closure.
        if recorded is not None and len(self.outputs) == 1:
            self._add_up(id(self), recorded)
        return returned

    def _add_up(self, key: int, tensor: Tensor) -> None:
        """Add up what comes back to ``tensor`` while this watches."""

        def add(gradient: Tensor) -> None:
            if self._on:
                before = self._signals.get(key)
                self._signals[key] = gradient if before is None else before + gradient

        tensor.register_hook(add)


def _scales_of(model: nn.Module) -> list[nn.Module]:
    """Return the normalisations of ``model`` that scale each entry by a weight of its own."""
    # ``nn.LayerNorm`` and ``nn.RMSNorm``, and classes of other libraries named ``…RMSNorm`` or
    # ``…LayerNorm``: s = w ∘ x̂ (+ b), with x̂ free of parameters and one vector a position.
    return [
        module
        for module in model.modules()
        if (type(module) in _OWN_SCALE or type(module).__name__.endswith(("RMSNorm", "LayerNorm")))
        and {name for name, _ in module.named_parameters()} <= {"weight", "bias"}
        and isinstance(getattr(module, "weight", None), Tensor)
        and any(p.requires_grad for p in module.parameters())
    ]
