"""What one ordinary backward pass says of every layer: its inputs, and what came back to it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from qnewton.curvature.outputs import RecordedOutput, output_recorder
from qnewton.curvature.patches import LayerCall, layers_of

_OWN_SCALE = (nn.LayerNorm, nn.RMSNorm)


def scales_of(model: nn.Module) -> list[nn.Module]:
    """Return the normalisations of ``model`` that scale each entry by a weight of its own.

    ``nn.LayerNorm`` and ``nn.RMSNorm``, and classes of other libraries named ``…RMSNorm`` or
    ``…LayerNorm``: s = w ∘ x̂ (+ b), with x̂ free of parameters and one vector a position.
    """
    return [
        module
        for module in model.modules()
        if (type(module) in _OWN_SCALE or type(module).__name__.endswith(("RMSNorm", "LayerNorm")))
        and {name for name, _ in module.named_parameters()} <= {"weight", "bias"}
        and isinstance(getattr(module, "weight", None), Tensor)
        and any(p.requires_grad for p in module.parameters())
    ]


@dataclass
class LayerPass:
    """One pass through a linear, convolution or scaling layer, and the gradient at its output.

    Attributes:
        layer: The module.
        input: What it received, detached.
        output: What it returned, detached.
        signal: Σ over backward calls of ∂loss/∂output; ``None`` if none came back.
    """

    layer: nn.Module
    input: Tensor
    output: Tensor
    signal: Tensor | None = None

    def normalised(self) -> Tensor:
        """Return x̂ of a scaling layer: its output at weight 1 and bias 0."""
        plain = {
            name: torch.ones_like(p) if name == "weight" else torch.zeros_like(p)
            for name, p in self.layer.named_parameters()
        }
        with torch.no_grad():
            return functional_call(self.layer, plain, (self.input,))

    def as_call(self) -> LayerCall:
        """Return the pass of a linear or convolution layer as a map on patches."""
        layer: Any = self.layer
        return LayerCall(layer, self.input, self.output)


class SignalRecorder:
    """Watches one forward and backward pass through a model's layers; neither is repeated.

    Args:
        model: The model.
        parameters: The parameters whose blocks are wanted; layers with none of them are not
            kept.

    Attributes:
        passes: Of each layer with wanted parameters, its passes in the order they ran.
        outputs: What the model's calls returned.
        output_gradient: ∂loss/∂output of the model, summed over backward calls.

    Example:
        >>> net, x = nn.Linear(2, 1), torch.ones(3, 2)
        >>> recorder = SignalRecorder(net, list(net.parameters()))
        >>> with recorder.watching():
        ...     net(x).sum().backward()
        >>> recorder.passes[id(net)][0].signal
        tensor([[1.],
                [1.],
                [1.]])
    """

    def __init__(self, model: nn.Module, parameters: Sequence[Tensor]) -> None:
        self._model = model
        wanted = {id(p) for p in parameters}
        self._layers = [*layers_of(model), *scales_of(model)]
        self._kept = {
            id(layer) for layer in self._layers if any(id(p) in wanted for p in layer.parameters())
        }
        owned = {id(p) for layer in self._layers for p in layer.parameters()}
        self.covers_all = wanted <= owned
        self._restart()

    def watching(self) -> ExitStack:
        """Return a context in which forward and backward passes are recorded, from a clean start.

        Cost: a reference to every kept layer's input and output gradient until the next start.
        """
        self._restart()
        self._on = True
        stack = ExitStack()
        stack.callback(self._stop)
        for layer in self._layers:
            handle = layer.register_forward_hook(self._layer_ran, with_kwargs=True)
            stack.callback(handle.remove)
        handle = self._model.register_forward_hook(output_recorder(self.outputs))
        stack.callback(handle.remove)
        handle = self._model.register_forward_hook(self._model_ran)
        stack.callback(handle.remove)
        return stack

    def release(self) -> None:
        """Let go of all that was recorded."""
        self._restart()

    def _restart(self) -> None:
        self.passes: dict[int, list[LayerPass]] = {}
        self.outputs: list[RecordedOutput] = []
        self.output_gradient: Tensor | None = None
        self._on = False

    def _stop(self) -> None:
        self._on = False

    def _layer_ran(self, layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        if not output.requires_grad:
            return
        if id(layer) not in self._kept:
            return
        given = args[0] if args else next(iter(kwargs.values()))
        seen = LayerPass(layer, given.detach(), output.detach())
        self.passes.setdefault(id(layer), []).append(seen)

        def add(gradient: Tensor) -> None:
            if self._on:
                seen.signal = gradient if seen.signal is None else seen.signal + gradient

        output.register_hook(add)

    def _model_ran(self, module: nn.Module, args: Any, output: Any) -> None:
        recorded = self.outputs[-1].tensor if self.outputs else None
        if recorded is None or len(self.outputs) > 1:
            return  # several calls have no one output, which is refused after the closure

        def add(gradient: Tensor) -> None:
            if self._on:
                before = self.output_gradient
                self.output_gradient = gradient if before is None else before + gradient

        recorded.register_hook(add)
