"""Passes through linear and convolution layers, seen as linear maps on patches."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from qnewton.curvature.autograd import batched_grad, grad
from qnewton.curvature.blocks import slices_of
from qnewton.curvature.routes import Refused

# Entries of one batch of double backward passes through the activations (256 MB in float32).
_BATCH_ENTRIES = 1 << 26

Layer = nn.Linear | nn.Conv1d | nn.Conv2d


def layers_of(model: nn.Module) -> list[Layer]:
    """Return the linear and convolution layers of ``model`` that own trainable parameters.

    Subclasses may compute anything, so they are not among them.
    """
    return [
        layer
        for layer in model.modules()
        if type(layer) in (nn.Linear, nn.Conv1d, nn.Conv2d)
        and isinstance(layer, Layer)
        and any(p.requires_grad for p in layer.parameters())
    ]


@dataclass(frozen=True)
class LayerCall:
    """One pass through a layer, recorded with its graph.

    At each of T output positions of sample n the layer maps a patch of its input linearly:

        s[n,t,q] = Σ_p W[q,p] U[n,t,p] + b[q].

    A linear layer on [n, in] has T = 1 and U = a; on [n, positions…, in] its patches are the
    vectors at the positions. A convolution's patches hold in = channels·offsets entries in the
    order of its weight, one offset a kernel entry, with zeros where they reach past the border.

    Attributes:
        layer: The module.
        input: What the layer received; its gradient is that of this one use.
        output: s, before anything downstream can overwrite it.

    Example:
        >>> layer, signal = nn.Conv1d(1, 2, 3), torch.arange(4.0).view(1, 1, 4)
        >>> call = LayerCall(layer, signal, layer(signal))
        >>> call.patches()
        tensor([[[0., 1., 2.],
                 [1., 2., 3.]]])
        >>> (call.samples, call.positions, call.inputs, call.outputs)
        (1, 2, 3, 2)
    """

    layer: Layer
    input: Tensor
    output: Tensor

    @property
    def samples(self) -> int:
        """n, the leading dimension."""
        return self.output.shape[0]

    @property
    def positions(self) -> int:
        """T, output positions of a sample."""
        return math.prod(self._places(self.output))

    @property
    def outputs(self) -> int:
        """Units, or output channels."""
        return self.layer.weight.shape[0]

    @property
    def inputs(self) -> int:
        """Entries of a patch."""
        return self.channels * self.offsets

    @property
    def channels(self) -> int:
        """Entries of the input at one position."""
        return self.layer.weight.shape[1]

    @property
    def offsets(self) -> int:
        """Kernel entries a channel; 1 for a linear layer."""
        return math.prod(self.layer.weight.shape[2:])

    def refusal(self) -> Refused | None:
        """Return what keeps this pass from being a linear map on patches, or ``None``."""
        layer, shape = self.layer, tuple(self.input.shape)
        if not isinstance(layer, Layer):
            return Refused("scales its input entry by entry")
        if not isinstance(layer, nn.Linear):
            if layer.groups != 1:
                return Refused(f"has groups={layer.groups}, not 1")
            if layer.padding_mode != "zeros":
                return Refused(f"has padding_mode={layer.padding_mode!r}, not 'zeros'")
        if self.input.ndim < layer.weight.ndim:
            return Refused(f"got an input of shape {shape}, without a batch dimension")
        return None

    def detached(self) -> "LayerCall":
        """Return the pass without its graph, for its sizes and values."""
        return LayerCall(self.layer, self.input.detach(), self.output.detach())

    def patch_shape(self, lead: torch.Size) -> tuple[int, int] | None:
        """Return (T, in) if the leading dimensions ``lead`` are samples, and T positions of each.

        ``None`` where they are not, and for a pass that is no linear map on patches.
        """
        shape = self.input.shape
        if shape[: len(lead)] != lead or self.refusal() is not None:
            return None
        if isinstance(self.layer, nn.Linear):
            return (math.prod(shape[len(lead) : -1]), shape[-1]) if len(shape) > len(lead) else None
        return (self.positions, self.inputs) if len(lead) == 1 else None

    def patches(self) -> Tensor:
        """Return U, detached and in the dtype of the weight: [n, T, in], contiguous."""
        signal = self.numbers(self.input.detach())
        if isinstance(self.layer, nn.Linear):
            return signal.mT.contiguous()
        table = self._reads(self.layer)
        return pad(signal, (0, 1))[:, :, table].flatten(1, 2).mT.contiguous()

    def by_channel(self, tensor: Tensor) -> Tensor:
        """Return a tensor shaped as the input or output as [n, channels, positions].

        Dimensions before the samples are kept; δ by position is ``by_channel(delta).mT``.
        """
        if isinstance(self.layer, nn.Linear):
            leading = tensor.ndim - self.output.ndim + 1
            return tensor.reshape(*tensor.shape[:leading], -1, tensor.shape[-1]).mT
        return tensor.flatten(2 - self.layer.weight.ndim)

    def numbers(self, tensor: Tensor) -> Tensor:
        """Return :meth:`by_channel` in the dtype of the weight."""
        return self.by_channel(tensor).to(self.layer.weight.dtype)

    def shaped(self, tensor: Tensor, like: Tensor) -> Tensor:
        """Return [..., n, channels, positions] in the shape of ``like``, the input or output."""
        ordered = tensor.mT if isinstance(self.layer, nn.Linear) else tensor
        return ordered.reshape(*tensor.shape[:-3], *like.shape)

    def spread(self, delta: Tensor) -> Tensor:
        """Return δ laid over the input's X positions, D: [n, X, out, offsets], contiguous.

        D[n,x,q,o] = δ[n,q,t] where the patch at t reads x at offset o, else 0, so that
        Σ_t δ[n,q,t] U[n,t,(c,o)] = Σ_x D[n,x,q,o] a[n,c,x] for every input a, and
        Σ_{q,o} D[n,x,q,o] W[q,(c,o)] is the gradient in the input.
        """
        if isinstance(self.layer, nn.Linear):
            return delta.mT.contiguous()[..., None]
        table = self._reads(self.layer)
        pixels, outside = math.prod(self._places(self.input)), delta.shape[2]
        read_by = table.new_full((len(table), pixels + 1), outside)
        read_by.scatter_(1, table, torch.arange(outside, device=table.device).expand_as(table))
        laid = pad(delta, (0, 1))[:, :, read_by[:, :pixels]]  # [n, out, offsets, X]
        return laid.permute(0, 3, 1, 2).contiguous()

    def signal(self, signal: Tensor | None, lead: torch.Size, width: int) -> "LayerSignal":
        """Return both sides of the derivative of a pass that :meth:`patch_shape` knows."""
        if signal is None:
            signal = self.output.new_zeros((width, *self.output.shape))
        samples = math.prod(lead)
        inputs = self.patches().reshape(samples, -1, self.inputs)
        sides = self.numbers(signal).mT.reshape(width, samples, -1, self.outputs)
        return LayerSignal(self.detached(), inputs, sides.transpose(0, 1).contiguous())

    def _places(self, tensor: Tensor) -> torch.Size:
        """Return the sizes of the dimensions over which positions run."""
        return tensor.shape[1:-1] if isinstance(self.layer, nn.Linear) else tensor.shape[2:]

    def _reads(self, layer: nn.Conv1d | nn.Conv2d) -> Tensor:
        """Return which input position a patch reads: [offsets, T], X where past the border."""
        device = self.input.device
        index = torch.zeros((1, 1), dtype=torch.int64, device=device)
        inside = torch.ones((1, 1), dtype=torch.bool, device=device)
        sizes, targets = self._places(self.input), self._places(self.output)
        for axis, (size, target) in enumerate(zip(sizes, targets, strict=True)):
            kernel, dilation = layer.kernel_size[axis], layer.dilation[axis]
            if layer.padding == "same":
                before = dilation * (kernel - 1) // 2
            else:
                before = 0 if isinstance(layer.padding, str) else int(layer.padding[axis])
            offset = torch.arange(kernel, device=device)[:, None] * dilation
            place = torch.arange(target, device=device) * layer.stride[axis] + offset - before
            index = (
                (index[:, None, :, None] * size + place[None, :, None, :]).flatten(2).flatten(0, 1)
            )
            valid = (place >= 0) & (place < size)
            inside = (inside[:, None, :, None] & valid[None, :, None, :]).flatten(2).flatten(0, 1)
        return torch.where(inside, index, math.prod(sizes))


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


@dataclass(frozen=True)
class Place:
    """The unknowns of one layer in a block; ``None`` is not in the block."""

    weight: slice | None
    bias: slice | None

    @property
    def parts(self) -> tuple[slice, ...]:
        """The slices that are in the block."""
        return tuple(part for part in (self.weight, self.bias) if part is not None)


def places(
    calls: Mapping[int, LayerCall], parameters: Sequence[Tensor], rest: Sequence[Tensor] = ()
) -> dict[int, Place]:
    """Return the place of every layer that has parameters in a block, in the order they ran.

    Args:
        calls: Passes through layers, by index.
        parameters: The block's parameters in order.
        rest: Those of them that count as no layer's.
    """
    slices = slices_of(parameters)
    for parameter in rest:
        del slices[id(parameter)]
    found = {
        m: Place(slices.get(id(call.layer.weight)), slices.get(id(call.layer.bias)))
        for m, call in calls.items()
    }
    return {m: place for m, place in found.items() if place.parts}


class Adjoints(NamedTuple):
    """Gradients in what layers give and receive, with their graph.

    Attributes:
        deltas: δ_m = ∂L/∂s_m, shaped as the output; zeros where the loss does not depend on it.
        received: γ_m = δ_m·W_m, the gradient in the layer's own copy of its input; ``None``
            where the input depends on no parameter, or if not asked for.
    """

    deltas: tuple[Tensor, ...]
    received: tuple[Tensor | None, ...]


def adjoints(root: Tensor, calls: Sequence[LayerCall], received: bool) -> Adjoints:
    """Differentiate ``root`` in the outputs, and if asked the inputs, of ``calls``; one pass."""
    outputs = [call.output for call in calls]
    inputs = [call.input for call in calls if received and call.input.requires_grad]
    found = grad(root, [*outputs, *inputs], live=True)
    deltas = (torch.zeros_like(s) if d is None else d for s, d in zip(outputs, found, strict=False))
    known = {id(x): gradient for x, gradient in zip(inputs, found[len(outputs) :], strict=True)}
    return Adjoints(tuple(deltas), tuple(known.get(id(call.input)) for call in calls))


@dataclass
class LayerFactors:
    """Per-sample derivatives of a loss through linear layers, by the index of their call.

    With s_l = W_l a_{l-1} + b_l, and every loss factor (such as 1/n) inside δ:

    Attributes:
        inputs: a_{m-1}, shape [n, in_m].
        deltas: δ_m = ∂L/∂s_m, shape [n, out_m].
        second: B^{lm}[n, j, q] = ∂δ_m[n, q]/∂s_l[n, j] for l ≤ m, shape [n, out_l, out_m].
        jacobians: J^{lm}[n, j, r] = ∂a_{m-1}[n, r]/∂s_l[n, j] for l < m, shape
            [n, out_l, in_m]; a missing pair is zero.
    """

    inputs: dict[int, Tensor] = field(default_factory=dict)
    deltas: dict[int, Tensor] = field(default_factory=dict)
    second: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    jacobians: dict[tuple[int, int], Tensor] = field(default_factory=dict)


def layer_factors(
    calls: Mapping[int, LayerCall], deltas: Sequence[Tensor], cross: bool
) -> LayerFactors:
    """Differentiate δ with respect to the pre-activations of linear layers.

    Samples must not interact: the derivatives of all samples come from one backward pass over
    their sum. Whether they do is for the probe to find out.

    Args:
        calls: Each layer's single pass, inputs of shape [n, in], in the order they ran.
        deltas: Live δ of every call.
        cross: Also B and J between different layers.

    Raises:
        ValueError: If the loss cannot be differentiated twice.

    Cost: Σ out_m double backward passes and, with ``cross``, Σ in_m backward passes, all through
    activations only; n·(Σ out_m)² entries.

    Reference: Dangel, Harmeling and Hennig 2020 (arXiv:1902.01813), Hessian backpropagation.
    """
    factors = LayerFactors()
    indices = list(calls)
    for position, (late, call) in enumerate(calls.items()):
        dtype = call.layer.weight.dtype
        factors.inputs[late] = call.input.detach().to(dtype).contiguous()
        factors.deltas[late] = deltas[late].detach().to(dtype)
        before = indices[:position] if cross else []
        upstream = [calls[early].output for early in (*before, late)]
        for early, second in zip((*before, late), _per_sample(deltas[late], upstream), strict=True):
            if second is None:
                second = call.output.new_zeros((*calls[early].output.shape, call.outputs))
            factors.second[early, late] = second.to(dtype)
        if before:
            for early, jacobian in zip(before, _per_sample(call.input, upstream[:-1]), strict=True):
                if jacobian is not None:
                    factors.jacobians[early, late] = jacobian.to(dtype)
    return factors


def _per_sample(value: Tensor, inputs: Sequence[Tensor]) -> list[Tensor | None]:
    """Return ∂value[n, q]/∂input[n, j] as [n, j, q] for each input; ``None`` is zero."""
    if not value.requires_grad:
        return [None] * len(inputs)
    samples, width = value.shape
    unit = torch.eye(width, dtype=value.dtype, device=value.device)
    chunk = max(1, _BATCH_ENTRIES // max(1, samples * sum(x.shape[1] for x in (value, *inputs))))
    parts = [
        batched_grad([value], inputs, [rows[:, None, :].expand(-1, samples, -1)])
        for rows in unit.split(chunk)
    ]
    return [None if column[0] is None else _join(column) for column in zip(*parts, strict=True)]


def _join(chunks: tuple[Tensor, ...]) -> Tensor:
    """Return chunks of [q, n, j] as one contiguous [n, j, q]."""
    whole = chunks[0] if len(chunks) == 1 else torch.cat(chunks)
    return whole.permute(1, 2, 0).contiguous()
