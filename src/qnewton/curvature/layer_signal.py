"""What went into a layer and what came back to its output, sample by sample."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qnewton.curvature.patches import LayerCall


@dataclass(frozen=True)
class LayerSignal:
    """The two sides of a weight's derivative, Σ_t d[i,c,t] ⊗ a[i,t] for sample i.

    Attributes:
        call: The layer's pass, detached.
        inputs: a, shape [n, T, in]; of a convolution what the kernel saw at each position.
        signals: d, shape [n, c, T, out].
    """

    call: LayerCall
    inputs: Tensor
    signals: Tensor


def patch_shape(call: LayerCall, lead: torch.Size) -> tuple[int, int] | None:
    """Return (T, in) of a pass whose leading dimensions are the samples ``lead``.

    ``None`` where they are not, and for a pass that is no linear map on patches.
    """
    shape = call.input.shape
    if shape[: len(lead)] != lead or call.obstacle() is not None:
        return None
    if isinstance(call.layer, nn.Linear):
        return (math.prod(shape[len(lead) : -1]), shape[-1]) if len(shape) > len(lead) else None
    return (call.positions, call.inputs) if len(lead) == 1 else None


def layer_signal(
    call: LayerCall, signal: Tensor | None, lead: torch.Size, width: int
) -> LayerSignal:
    """Return the signal of a pass that :func:`patch_shape` knows.

    Args:
        call: The pass.
        signal: What came back, shape [c, *output.shape]; ``None`` for nothing.
        lead: The samples.
        width: c.

    Cost: one copy of both sides; of a convolution kernel-size copies of its input.
    """
    layer = call.layer
    if signal is None:
        signal = call.output.new_zeros((width, *call.output.shape))
    samples = math.prod(lead)
    inputs = call.patches().reshape(samples, -1, call.inputs)
    sides = call.by_channel(signal.to(layer.weight.dtype)).mT
    signals = sides.reshape(width, samples, -1, call.outputs).transpose(0, 1).contiguous()
    # Without its graph, so that an operator made of signals keeps no graph alive.
    detached = LayerCall(layer, call.input.detach(), call.output.detach())
    return LayerSignal(detached, inputs, signals)
