"""What went into a layer and what came back to its output, sample by sample."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from qnewton.curvature.capture import LayerCall


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

    ``None`` where they are not, and for convolutions in groups, with padding given by name or
    other than zeros.
    """
    layer, shape = call.layer, call.input.shape
    if shape[: len(lead)] != lead:
        return None
    if isinstance(layer, nn.Linear):
        return (math.prod(shape[len(lead) : -1]), shape[-1]) if len(shape) > len(lead) else None
    batched = len(shape) == layer.weight.ndim and len(lead) == 1
    plain = layer.groups == 1 and layer.padding_mode == "zeros"
    if not batched or not plain or isinstance(layer.padding, str):
        return None
    return math.prod(call.output.shape[2:]), layer.weight[0].numel()


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
    a, d = call.input.detach().to(layer.weight.dtype), signal.to(layer.weight.dtype)
    if isinstance(layer, nn.Linear):
        samples = math.prod(lead)
        a = a.reshape(samples, -1, a.shape[-1])
        d = d.reshape(width, samples, -1, d.shape[-1])
    else:
        a, d = _patches(layer, a), d.flatten(3).mT
    # Without its graph, so that an operator made of signals keeps no graph alive.
    detached = LayerCall(layer, call.input.detach(), call.output.detach())
    return LayerSignal(detached, a.contiguous(), d.transpose(0, 1).contiguous())


def _patches(layer: nn.Conv1d | nn.Conv2d, inputs: Tensor) -> Tensor:
    """Return what the kernel saw at every position, [n, T, channels·kernel]."""
    assert not isinstance(layer.padding, str)
    kernel, padding = tuple(layer.kernel_size), tuple(layer.padding)
    dilation, stride = tuple(layer.dilation), tuple(layer.stride)
    if isinstance(layer, nn.Conv1d):
        inputs = inputs[:, :, None]
        kernel, dilation, stride = (1, *kernel), (1, *dilation), (1, *stride)
        padding = (0, *padding)
    return unfold(inputs, kernel, dilation, padding, stride).mT
