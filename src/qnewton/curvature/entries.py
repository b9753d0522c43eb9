"""The large matrix products of the closed form, written straight into the Hessian.

Shapes: a layer has inputs ``a`` [n, in]; B is [n, out_l, out_m]; weights are row-major, so row
(j, p) of a layer's block is unit j and input p.
"""

import itertools

import torch
from torch import Tensor

from qnewton.operators.symmetric import mirror_upper_

# 8 MB in float32: what one product reads stays near the cache, and is allocated only once.
WORKSPACE_ENTRIES = 1 << 21
# From this many inputs on, the symmetry of each aᵀ diag(b) a is worth exploiting.
_WIDE = 256
# Width of its panels: narrower ones skip more of the lower half, wider ones multiply faster.
_PANEL = 128
# Up to this many inputs, products of pairs of inputs are fewer than the rows of a strip.
_NARROW = 4
# Below this share of nonzero samples, gathering them costs less than multiplying by zeros.
_GATHER_BELOW = 0.8


def own_flops(samples: int, inputs: int, outputs: int) -> float:
    """Return the operations of :func:`fill_own`, nothing skipped."""
    pairs = outputs * (outputs + 1) / 2
    columns = sum(
        min(_PANEL, inputs - start) * (inputs - start) for start in range(0, inputs, _PANEL)
    )
    entries = columns if inputs >= _WIDE else inputs**2
    return 2.0 * samples * entries * pairs


def fill_own(target: Tensor, a: Tensor, second: Tensor, workspace: Tensor) -> None:
    """Write a layer's own weight block, Σ_n a[p] B[j,q] a[r], bitwise symmetric.

    Args:
        target: View of the Hessian, [(out·in), (out·in)].
        a: Layer inputs, [n, in].
        second: B of the layer, [n, out, out].
        workspace: Scratch memory, 1-D.
    """
    inputs = a.shape[1]
    if inputs >= _WIDE:
        _fill_own_wide(target, a, second)
    elif inputs <= _NARROW:
        _fill_own_narrow(target, a, second)
    else:
        for j, rows in enumerate(_active_rows(second.abs().sum(2))):
            strip = target[j * inputs : (j + 1) * inputs, j * inputs :]
            _fill_strip(strip, a, [(second[:, j, j:], a)], rows, workspace)
        mirror_upper_(target)


def fill_cross(
    target: Tensor,
    a: Tensor,
    later: Tensor,
    second: Tensor,
    turned: tuple[Tensor, Tensor] | None,
    workspace: Tensor,
) -> None:
    """Write the weight block between layers l < m, Σ_n a_l[p] (B[j,q] a_m[r] + δ[q] J[j,r]).

    Args:
        target: View of the Hessian, [(out_l·in_l), (out_m·in_m)].
        a: Inputs of layer l, [n, in_l].
        later: Inputs of layer m, [n, in_m].
        second: B^{lm}, [n, out_l, out_m].
        turned: δ_m, [n, out_m], and J^{lm}, [n, out_l, in_m]; ``None`` for zero.
        workspace: Scratch memory, 1-D.
    """
    inputs = a.shape[1]
    magnitude = second.abs().sum(2)
    if turned is not None:
        magnitude += turned[1].abs().sum(2)
    for j, rows in enumerate(_active_rows(magnitude)):
        terms = [(second[:, j], later)]
        if turned is not None:
            terms.append((turned[0], turned[1][:, j]))
        _fill_strip(target[j * inputs : (j + 1) * inputs], a, terms, rows, workspace)


def _active_rows(magnitude: Tensor) -> list[Tensor | None]:
    """Return for each column the rows that are not zero; ``None`` means (nearly) all."""
    active = magnitude != 0
    counts = active.sum(0).tolist()
    return [
        active[:, j].nonzero().squeeze(1) if count < _GATHER_BELOW * len(active) else None
        for j, count in enumerate(counts)
    ]


def _fill_strip(
    strip: Tensor,
    a: Tensor,
    terms: list[tuple[Tensor, Tensor]],
    rows: Tensor | None,
    workspace: Tensor,
) -> None:
    """Write unit j's rows: aᵀ C with C[n,(q,r)] = Σ w[n,q] x[n,r], one or two ``terms`` (w, x)."""
    if rows is not None:
        # Each tensor once, by identity: a layer's own inputs stand on both sides.
        taken = {tensor: tensor[rows] for tensor in {a, *itertools.chain(*terms)}}
        a, terms = taken[a], [(taken[w], taken[x]) for w, x in terms]
    (weights, later), *others = terms
    samples, width = later.shape
    if samples == 0:
        strip.zero_()
        return
    step = max(1, workspace.numel() // (samples * width))
    for start in range(0, weights.shape[1], step):
        stop = min(start + step, weights.shape[1])
        size = samples * (stop - start) * width
        space = workspace if size <= workspace.numel() else later.new_empty(size)
        combined = space[:size].view(samples, stop - start, width)
        torch.mul(weights[:, start:stop, None], later[:, None, :], out=combined)
        for w, x in others:
            combined.addcmul_(w[:, start:stop, None], x[:, None, :])
        torch.mm(a.mT, combined.view(samples, -1), out=strip[:, start * width : stop * width])


def _fill_own_narrow(target: Tensor, a: Tensor, second: Tensor) -> None:
    """Write the own block by one product of all pairs of inputs with all pairs of units."""
    samples, inputs = a.shape
    outputs = second.shape[1]
    pairs = (a[:, :, None] * a[:, None, :]).view(samples, -1)
    found = (pairs.mT @ second.reshape(samples, -1)).view(inputs, inputs, outputs, outputs)
    shaped = target.view(outputs, inputs, outputs, inputs)
    shaped.copy_(found.permute(2, 0, 3, 1))
    mirror_upper_(target)


def _fill_own_wide(target: Tensor, a: Tensor, second: Tensor) -> None:
    """Write the own block pair by pair: block (j,q) is S = aᵀ diag(B[:,j,q]) a, and so is (q,j)."""
    # S being symmetric, only panels right of its diagonal are multiplied.
    outputs, inputs = second.shape[1], a.shape[1]
    rows = _active_rows(second.flatten(1))
    space, product = torch.empty_like(a), a.new_empty((inputs, inputs))
    for q in range(outputs):
        across = slice(q * inputs, (q + 1) * inputs)
        for j in range(q + 1):
            weights, left, kept = second[:, j, q], a, rows[j * outputs + q]
            if kept is not None:
                weights, left = weights[kept], a[kept]
            scaled = torch.mul(left, weights[:, None], out=space[: left.shape[0]])
            for start in range(0, inputs, _PANEL):
                panel = scaled[:, start : start + _PANEL].mT
                torch.mm(panel, left[:, start:], out=product[start : start + _PANEL, start:])
            mirror_upper_(product)
            down = slice(j * inputs, (j + 1) * inputs)
            target[down, across] = product
            if j != q:
                target[across, down] = product
