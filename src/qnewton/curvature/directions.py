"""Rows of the Hessian by differentiating δ along directions in the weights of a layer."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from qnewton.curvature.adjoints import Adjoints
from qnewton.curvature.autograd import batched_grad
from qnewton.curvature.patches import LayerCall
from qnewton.curvature.places import Place
from qnewton.curvature.symmetric import mirror_upper_

# Entries of the largest activation times the directions in a batch: what one operation reads and
# writes then stays in a core's cache, and small networks still share the cost of each call.
_BATCH_ENTRIES = 1 << 19
_MAX_BATCH = 256


class Directions:
    """Second derivatives of a loss along directions in the weights of layers on patches.

    A direction V in layer l (the bias as last column) moves s_l by U_l·V. With
    φ = Σ_{n,t} δ_l·(U_l V), differentiating through activations only gives at every layer m

        C_m = ∂φ/∂s_m,    R_m = ∂φ/∂γ_m (how V moves the input of m),

    and the row of the Hessian

        (H V)_m[q,r] = Σ_n ( Σ_t C_m[n,q,t] U_m[n,r,t] + Σ_x D_m[n,x,q,o] R_m[n,c,x] ),  r = (c,o),

    where D is δ laid over input positions (:meth:`LayerCall.spread`). C and R come from the layers
    after l alone; for layers before l, φ is also differentiated through U_l. Samples may interact.

    Args:
        calls: The layers, in the order they ran, each once.
        adjoints: Their δ and γ.

    Reference: the R-operator of Pearlmutter 1994 (Neural Computation 6:147), restricted to
    activations, with the weights' part as matrix products.
    """

    def __init__(self, calls: Sequence[LayerCall], adjoints: Adjoints) -> None:
        self._calls = tuple(calls)
        self._adjoints = adjoints
        self._dtype = calls[0].layer.weight.dtype
        self._kept_patches: dict[int, Tensor] = {}
        self._kept_spread: dict[int, Tensor] = {}

    def fill(
        self, matrix: Tensor, layer: int, places: Mapping[int, Place], others: Sequence[int]
    ) -> None:
        """Write a layer's rows and columns: its own block and those shared with other layers.

        Args:
            matrix: The Hessian of a block, [N, N].
            layer: Index of the layer whose directions are taken.
            places: Where layers' parameters sit in the matrix.
            others: Indices of the other layers to pair it with.

        Cost: a double backward pass a parameter of the layer, through the activations after it
        (and before it as far as ``others`` lie there), and 2·n·T·in·out operations a pair of such
        a parameter and another layer, half for its own block.
        """
        unknowns = places[layer].unknowns(self._calls[layer])
        before = any(other < layer for other in others)
        step = self._batch(layer, before)
        for start in range(0, len(unknowns), step):
            chunk = unknowns[start : start + step]
            outputs, cotangents = self._units(layer, chunk, before)
            found = self._differentiate(outputs, cotangents, [layer, *others])
            rows = torch.tensor([row for _, _, row in chunk], device=matrix.device)
            for m, (inner, moved) in found.items():
                # They come unit by unit: of the own block, columns of earlier units are mirrored.
                first = chunk[0][0] if m == layer else 0
                weight, bias = self._contract(m, inner, moved, len(chunk), first)
                self._put(matrix, rows, places[m], weight, bias)
        self._mirror(matrix, places[layer], [places[other] for other in others])

    def flops(self, layer: int, places: Mapping[int, Place], others: Sequence[int]) -> float:
        """Return the operations of :meth:`fill` in matrix products and inside other layers."""
        call, place = self._calls[layer], places[layer]
        count = len(place.unknowns(call))
        passed = self._calls if any(other < layer for other in others) else self._calls[layer:]
        products = call.output.numel() * call.inputs  # half of 2·n·T·in·out
        for other in others:
            late = self._calls[other]
            products += 2 * late.output.numel() * late.inputs
            if other > layer:
                products += 2 * late.input.numel() * late.outputs * late.offsets
        passes = sum(4 * m.output.numel() * m.inputs for m in passed if m is not call)
        return float(count * (products + passes))

    def along(
        self, directions: Mapping[int, tuple[Tensor, Tensor | None]], targets: Sequence[int]
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Return H V at ``targets`` for one direction V through several layers at once.

        Args:
            directions: For each layer that moves, how its weight [out, in] and its bias [out] do.
            targets: Layers to return the product at.

        Returns:
            For each target the product at its weight, [out·in], and at its bias, [out].

        Cost: one double backward pass through activations and 4·n·T·in·out operations a layer.
        """
        outputs, cotangents = [], []
        for layer, (weight, bias) in directions.items():
            call = self._calls[layer]
            moved = self._patches(layer) @ weight.mT
            moved = moved if bias is None else moved + bias
            outputs.append(self._adjoints.deltas[layer])
            cotangents.append(call.shaped(moved.mT, call.output)[None])
            if call.input.requires_grad:
                kernel = weight.unflatten(1, (call.channels, call.offsets)).transpose(1, 2)
                moved = self._spread(layer).flatten(2) @ kernel.flatten(0, 1)
                outputs.append(call.input)
                cotangents.append(call.shaped(moved.mT, call.input)[None])
        found = self._differentiate(outputs, cotangents, targets)
        rows = {m: self._contract(m, *pair, count=1, first=0) for m, pair in found.items()}
        return {m: (weight[0], bias[0]) for m, (weight, bias) in rows.items()}

    def _batch(self, layer: int, before: bool) -> int:
        """Return how many directions to differentiate together."""
        reached = self._calls if before else self._calls[layer:]
        largest = max(max(call.output.numel(), call.input.numel()) for call in reached)
        return min(max(1, _BATCH_ENTRIES // max(1, largest)), _MAX_BATCH)

    def _units(
        self, layer: int, unknowns: Sequence[tuple[int, int, int]], before: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return δ (and the input, if layers before count) with the cotangents of single weights.

        Weight (j, p) moves unit j by the p-th patch entries; p = in stands for the bias.
        """
        call, patches = self._calls[layer], self._patches(layer)
        shape = (len(unknowns), call.samples)
        moved = patches.new_zeros((*shape, call.outputs, call.positions))
        for k, (unit, entry, _) in enumerate(unknowns):
            moved[k, :, unit] = patches[:, :, entry] if entry < call.inputs else 1.0
        outputs, cotangents = [self._adjoints.deltas[layer]], [call.shaped(moved, call.output)]
        if before and call.input.requires_grad:
            spread = self._spread(layer)
            moved = patches.new_zeros((*shape, call.channels, spread.shape[1]))
            for k, (unit, entry, _) in enumerate(unknowns):
                if entry < call.inputs:
                    channel, offset = divmod(entry, call.offsets)
                    moved[k, :, channel] = spread[:, :, unit, offset]
            outputs.append(call.input)
            cotangents.append(call.shaped(moved, call.input))
        return outputs, cotangents

    def _differentiate(
        self, outputs: Sequence[Tensor], cotangents: Sequence[Tensor], targets: Sequence[int]
    ) -> dict[int, tuple[Tensor | None, Tensor | None]]:
        """Return C and R of every target, [K, *shape of output or input]; ``None`` is zero."""
        live = [pair for pair in zip(outputs, cotangents, strict=True) if pair[0].requires_grad]
        if not live:
            return dict.fromkeys(targets, (None, None))
        received = {m: self._adjoints.received[m] for m in targets}
        inputs = [self._calls[m].output for m in targets]
        inputs += [gamma for gamma in received.values() if gamma is not None]
        found = batched_grad(
            [output for output, _ in live],
            inputs,
            [cotangent.to(output.dtype) for output, cotangent in live],
        )
        rest = iter(found[len(targets) :])
        return {
            m: (inner, None if received[m] is None else next(rest))
            for m, inner in zip(targets, found, strict=False)
        }

    def _contract(
        self, layer: int, inner: Tensor | None, moved: Tensor | None, count: int, first: int
    ) -> tuple[Tensor, Tensor]:
        """Return K rows at a layer's weight, [K, out·in] from unit ``first`` on, and bias [K, out]."""
        call, like = self._calls[layer], self._calls[layer].layer.weight
        weight = like.new_zeros((count, call.outputs - first, call.inputs))
        bias = like.new_zeros((count, call.outputs))
        if inner is not None:
            by_channel = call.by_channel(inner).to(like.dtype)
            bias = by_channel.sum((1, 3))
            wanted = by_channel[:, :, first:].transpose(1, 2)
            patches = self._patches(layer).flatten(0, 1)
            weight = (wanted.reshape(-1, len(patches)) @ patches).view_as(weight)
        if moved is not None:
            by_channel = call.by_channel(moved).to(like.dtype).transpose(1, 2)
            spread = self._spread(layer)[:, :, first:].flatten(0, 1)
            turned = by_channel.reshape(-1, len(spread)) @ spread.flatten(1)
            turned = turned.view(count, call.channels, -1, call.offsets).transpose(1, 2)
            weight = weight + turned.flatten(2)
        return weight.flatten(1), bias

    def _patches(self, layer: int) -> Tensor:
        """Return U, [n, T, in]."""
        if layer not in self._kept_patches:
            self._kept_patches[layer] = self._calls[layer].patches()
        return self._kept_patches[layer]

    def _spread(self, layer: int) -> Tensor:
        """Return D, [n, X, out, offsets]."""
        if layer not in self._kept_spread:
            call = self._calls[layer]
            delta = self._adjoints.deltas[layer].detach().to(self._dtype)
            self._kept_spread[layer] = call.spread(call.by_channel(delta))
        return self._kept_spread[layer]

    @staticmethod
    def _put(matrix: Tensor, rows: Tensor, place: Place, weight: Tensor, bias: Tensor) -> None:
        """Write K rows where a layer's parameters have their columns."""
        if place.weight is not None:
            # Aligned to the right: of its own block a layer brings the later units only.
            matrix[rows, place.weight.stop - weight.shape[1] : place.weight.stop] = weight
        if place.bias is not None:
            matrix[rows, place.bias] = bias

    @staticmethod
    def _mirror(matrix: Tensor, own: Place, others: Sequence[Place]) -> None:
        for rows in own.parts:
            mirror_upper_(matrix[rows, rows])
            for columns in (columns for other in others for columns in other.parts):
                matrix[columns, rows] = matrix[rows, columns].mT
        if own.weight is not None and own.bias is not None:
            matrix[own.bias, own.weight] = matrix[own.weight, own.bias].mT
