"""What the closed form needs of the graph: δ, B and J of every linear layer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, not_twice_differentiable
from qnewton.curvature.capture import LayerCall

# Entries of one batch of double backward passes through the activations (256 MB in float32).
_BATCH_ENTRIES = 1 << 26


@dataclass(frozen=True)
class LayerFactors:
    """Per-sample derivatives of a loss through linear layers, in the order the layers ran.

    With s_l = W_l a_{l-1} + b_l, and every loss factor (such as 1/n) inside δ:

    Attributes:
        inputs: a_{m-1}, shape [n, in_m].
        deltas: δ_m = ∂L/∂s_m, shape [n, out_m].
        second: B^{lm}[n, j, q] = ∂δ_m[n, q]/∂s_l[n, j] for l ≤ m, shape [n, out_l, out_m].
        jacobians: J^{lm}[n, j, r] = ∂a_{m-1}[n, r]/∂s_l[n, j] for l < m, shape
            [n, out_l, in_m]; a missing pair is zero.
    """

    inputs: tuple[Tensor, ...]
    deltas: tuple[Tensor, ...]
    second: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    jacobians: dict[tuple[int, int], Tensor] = field(default_factory=dict)


def layer_factors(root: Tensor, calls: Sequence[LayerCall], cross: bool) -> LayerFactors:
    """Differentiate ``root`` twice with respect to the pre-activations of ``calls``.

    Samples must not interact: the derivatives of all samples come from one backward pass over
    their sum. Whether they do is for the probe to find out.

    Args:
        root: Live scalar loss; its graph is kept.
        calls: Each linear layer's single pass, inputs of shape [n, in].
        cross: Also B and J between different layers.

    Raises:
        ValueError: If the loss cannot be differentiated twice.

    Cost: Σ out_m double backward passes and, with ``cross``, Σ in_m backward passes, all through
    activations only; n·(Σ out_m)² entries.

    Reference: Dangel, Harmeling and Hennig 2020 (arXiv:1902.01813), Hessian backpropagation.
    """
    outputs = [call.output for call in calls]
    with torch.enable_grad():
        try:
            found = torch.autograd.grad(root, outputs, create_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise not_twice_differentiable(error) from error
    deltas = [torch.zeros_like(s) if d is None else d for s, d in zip(outputs, found, strict=True)]
    dtype = calls[0].layer.weight.dtype
    factors = LayerFactors(
        inputs=tuple(call.input.detach().to(dtype).contiguous() for call in calls),
        deltas=tuple(delta.detach().to(dtype) for delta in deltas),
    )
    for late, (delta, call) in enumerate(zip(deltas, calls, strict=True)):
        first = 0 if cross else late
        upstream = outputs[first : late + 1]
        for early, second in enumerate(_per_sample(delta, upstream), start=first):
            if second is None:
                second = delta.new_zeros((*outputs[early].shape, delta.shape[1]))
            factors.second[early, late] = second.to(dtype)
        if cross and late > 0:
            for early, jacobian in enumerate(_per_sample(call.input, outputs[:late])):
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
