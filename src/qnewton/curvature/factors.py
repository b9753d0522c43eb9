"""What the closed form needs of the graph: δ and γ of all layers, B and J of linear ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, grad
from qnewton.curvature.layers import LayerCall

# Entries of one batch of double backward passes through the activations (256 MB in float32).
_BATCH_ENTRIES = 1 << 26


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
    found = grad(root, [*outputs, *inputs], create_graph=True)
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
