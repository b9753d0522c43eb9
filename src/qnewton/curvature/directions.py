"""Rows of the Hessian by differentiating δ along directions in the weights of layers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad
from qnewton.curvature.layers import Adjoints, LayerCall, Place
from qnewton.curvature.routes import LIMIT, SourceCost, difference, random_like
from qnewton.operators.symmetric import mirror_upper_

# Entries of the largest activation times the directions in a batch: what one operation reads and
# writes then stays in a core's cache, and small networks still share the cost of each call.
_BATCH_ENTRIES = 1 << 21
_MAX_BATCH = 256
# Combining a unit's derivatives by patches costs this share of a pass per direction, or less.
_UNITS_BELOW = 0.8
# Entries of what one combination writes: 16 MB in float32.
_COMBINED_ENTRIES = 1 << 22


class Moved(NamedTuple):
    """What directions change at a layer, for K of them; ``None`` is zero.

    Attributes:
        inner: C, of δ at the output, [K, n, units, T].
        received: R, of the layer's input, [K, n, channels, X].
    """

    inner: Tensor | None
    received: Tensor | None

    def each(self, change: Callable[[Tensor], Tensor]) -> "Moved":
        """Return both changed."""
        return Moved(*(None if tensor is None else change(tensor) for tensor in self))


# Cotangents [K, *shape] beside the tensors they belong to.
Seeds = list[tuple[Tensor, Tensor]]
# At each target.
Found = dict[int, Moved]


@dataclass(eq=False)
class Directions:
    """Second derivatives of a loss along directions in the weights of layers on patches.

    A direction V in layer l moves s_l by U_l·V (by V itself in the bias). With
    φ = Σ_{n,t} δ_l·(U_l V), differentiating through activations only gives at every layer m

        C_m = ∂φ/∂s_m,    R_m = ∂φ/∂γ_m (how V moves the input of m),

    and the row of the Hessian

        (H V)_m[q,r] = Σ_n ( Σ_t C_m[n,q,t] U_m[n,t,r] + Σ_x D_m[n,x,q,o] R_m[n,c,x] ),  r = (c,o),

    where D is δ laid over input positions (:meth:`LayerCall.spread`). C and R come from the layers
    after l alone; for layers before l, φ is also differentiated through U_l. Samples may interact.

    Attributes:
        calls: The layers, in the order they ran, each once.
        adjoints: Their δ and γ.

    Reference: the R-operator of Pearlmutter 1994 (Neural Computation 6:147), restricted to
    activations, with the weights' part as matrix products.
    """

    calls: Sequence[LayerCall]
    adjoints: Adjoints
    _patches: dict[int, Tensor] = field(default_factory=dict, init=False)
    _spread: dict[int, Tensor] = field(default_factory=dict, init=False)

    def along(
        self, directions: Mapping[int, tuple[Tensor, Tensor | None]], targets: Sequence[int]
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Return H V at ``targets`` for one direction V through several layers at once."""
        seeds: Seeds = []
        for layer, (weight, bias) in directions.items():
            call = self.calls[layer]
            moved = self.patches(layer) @ weight.mT
            moved = moved if bias is None else moved + bias
            seeds.append(self.at_output(layer, moved.mT[None]))
            if call.input.requires_grad:
                kernel = weight.unflatten(1, (call.channels, call.offsets)).transpose(1, 2)
                moved = self.spread(layer).flatten(2) @ kernel.flatten(0, 1)
                seeds.append(self.at_input(layer, moved.mT[None]))
        found = self.differentiate(seeds, targets)
        rows = {m: self.contract(m, moved, count=1) for m, moved in found.items()}
        return {m: (weight[0], bias[0]) for m, (weight, bias) in rows.items()}

    def at_output(self, layer: int, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's δ with its cotangent, given as [K, n, units, T]."""
        call = self.calls[layer]
        return self.adjoints.deltas[layer], call.shaped(cotangent, call.output)

    def at_input(self, layer: int, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's input with its cotangent, given as [K, n, channels, X]."""
        call = self.calls[layer]
        return call.input, call.shaped(cotangent, call.input)

    def differentiate(self, seeds: Seeds, targets: Sequence[int]) -> Found:
        """Return C and R of every target, in the dtype of the weights."""
        live = [(output, cotangent) for output, cotangent in seeds if output.requires_grad]
        if not live:
            return dict.fromkeys(targets, Moved(None, None))
        received = {m: self.adjoints.received[m] for m in targets}
        inputs = [self.calls[m].output for m in targets]
        inputs += [gamma for gamma in received.values() if gamma is not None]
        cotangents = [cotangent.to(output.dtype) for output, cotangent in live]
        found = batched_grad([output for output, _ in live], inputs, cotangents)
        rest = iter(found[len(targets) :])
        moved = {
            m: Moved(inner, None if received[m] is None else next(rest))
            for m, inner in zip(targets, found, strict=False)
        }
        return {m: pair.each(self.calls[m].numbers) for m, pair in moved.items()}

    def contract(self, layer: int, moved: Moved, count: int) -> tuple[Tensor, Tensor]:
        """Return K rows at a layer's parameters from C, of its last units, and R."""
        call, (inner, received) = self.calls[layer], moved
        units = call.outputs if inner is None else inner.shape[2]
        weight = call.layer.weight.new_zeros((count, units, call.inputs))
        bias = weight.new_zeros((count, units))
        if inner is not None:
            patches = self.patches(layer).flatten(0, 1)
            wanted = inner.transpose(1, 2).reshape(-1, len(patches))
            weight, bias = (wanted @ patches).view_as(weight), wanted.sum(1).view_as(bias)
        if received is not None:
            spread = self.spread(layer).flatten(0, 1).flatten(1)
            turned = received.transpose(1, 2).reshape(-1, len(spread)) @ spread
            turned = turned.view(count, call.channels, -1, call.offsets).transpose(1, 2)
            weight = weight + turned.flatten(2)
        return weight.flatten(1), bias

    def patches(self, layer: int) -> Tensor:
        """Return U of a layer, [n, T, in]."""
        if layer not in self._patches:
            self._patches[layer] = self.calls[layer].patches()
        return self._patches[layer]

    def spread(self, layer: int) -> Tensor:
        """Return D of a layer, [n, X, out, offsets]."""
        if layer not in self._spread:
            call = self.calls[layer]
            delta = self.adjoints.deltas[layer].detach()
            self._spread[layer] = call.spread(call.numbers(delta))
        return self._spread[layer]

    def independent(self, layers: Sequence[int], targets: Sequence[int]) -> bool:
        """Return whether δ of no sample depends on another sample's pre-activations.

        With random cotangents r, the same for every sample, and a random factor f per sample, that
        is so if and only if (almost surely) the derivatives for f·r are f times those for r.
        """

        def factors(call: LayerCall) -> Tensor:
            return random_like(call.layer.weight.detach(), (call.samples, 1, 1), draw=1)

        plain: Seeds = []
        scaled: Seeds = []
        for m in layers:
            call = self.calls[m]
            shape = (1, call.outputs, call.positions)
            one = random_like(call.layer.weight.detach(), shape, draw=2 + m)
            plain.append(self.at_output(m, one.expand(1, call.samples, -1, -1)))
            scaled.append(self.at_output(m, (factors(call) * one)[None]))
        expected, found = (self.differentiate(seeds, targets) for seeds in (plain, scaled))
        return all(
            one is None
            or other is None
            or difference(other[0], factors(call) * one[0]) <= LIMIT[call.layer.weight.dtype]
            for m, call in ((m, self.calls[m]) for m in targets)
            for one, other in zip(expected[m], found[m], strict=True)
        )


@dataclass(frozen=True, eq=False)
class LayerRows:
    """The rows and columns of one layer on patches: its own block, and those with other layers.

    A layer has out·in directions. Where samples do not interact and its out·T output entries a
    sample are fewer, single entries (j, t) are differentiated instead, in all samples at once,
    and combined by each sample's patches: C_m(V)[n] = Σ_{j,t} (U V)[n,t,j] C_m(j,t)[n], and R too.

    Attributes:
        directions: Derivatives along directions in the weights.
        layer: Index of the layer.
        places: Where layers' parameters sit in the matrix.
        others: Indices of the other layers to pair it with.
        independent: Whether samples are known not to interact.
    """

    directions: Directions
    layer: int
    places: Mapping[int, Place]
    others: Sequence[int]
    independent: bool

    @property
    def _call(self) -> LayerCall:
        return self.directions.calls[self.layer]

    @property
    def _before(self) -> bool:
        """Whether a layer to pair with ran before this one."""
        return any(other < self.layer for other in self.others)

    @property
    def _by_units(self) -> bool:
        """Whether output entries are fewer to differentiate than weights, and may be."""
        call = self._call
        fewer = call.positions < _UNITS_BELOW * call.inputs
        return self.independent and not self._before and fewer

    @property
    def cost(self) -> SourceCost:
        """What :meth:`fill` takes in matrix products and passes."""
        call, calls = self._call, self.directions.calls
        count = sum(part.stop - part.start for part in self.places[self.layer].parts)
        passes, entries = count, 0
        if self._by_units:
            passes = call.outputs * call.positions
            entries = sum(calls[m].output.numel() for m in (self.layer, *self.others))
        per_row = call.output.numel() * call.inputs + 2 * call.positions * entries
        for other in self.others:
            late = calls[other]
            per_row += 2 * late.output.numel() * late.inputs
            if other > self.layer and late.input.requires_grad:
                per_row += 2 * late.input.numel() * late.outputs * late.offsets
        passed = calls if self._before else calls[self.layer + 1 :]
        through = float(passes * sum(4 * m.output.numel() * m.inputs for m in passed))
        return SourceCost(count * per_row + through, None, None, passes, through)

    def fill(self, matrix: Tensor) -> None:
        """Write the rows and columns into the Hessian of a block, bitwise symmetric."""
        for rows, found in self._units() if self._by_units else self._weights():
            for m, moved in found.items():
                weight, bias = self.directions.contract(m, moved, rows.stop - rows.start)
                place = self.places[m]
                for part, values in ((place.weight, weight), (place.bias, bias)):
                    if part is not None:
                        # Of its own block a row has the columns of its unit and later ones.
                        matrix[rows, part.stop - values.shape[1] : part.stop] = values
        own = self.places[self.layer]
        for rows in own.parts:
            mirror_upper_(matrix[rows, rows])
            for other in self.others:
                for columns in self.places[other].parts:
                    matrix[columns, rows] = matrix[rows, columns].mT
        if own.weight is not None and own.bias is not None:
            matrix[own.weight, own.bias] = matrix[own.bias, own.weight].mT

    def _together(self, before: bool) -> int:
        """Return how many directions to differentiate in a batch."""
        reached = self.directions.calls if before else self.directions.calls[self.layer :]
        largest = max(max(call.output.numel(), call.input.numel()) for call in reached)
        return min(max(1, _BATCH_ENTRIES // max(1, largest)), _MAX_BATCH)

    def _differentiate(self, seeds: Seeds) -> Found:
        return self.directions.differentiate(seeds, [self.layer, *self.others])

    def _from_unit(self, found: Found, first: int) -> Found:
        """Leave out C at earlier units of the layer itself: its own block is symmetric."""
        inner, received = found[self.layer]
        own = Moved(None if inner is None else inner[:, :, first:], received)
        return {**found, self.layer: own}

    def _weights(self) -> Iterator[tuple[slice, Found]]:
        """Yield rows, and what single weights as directions change."""
        call, place = self._call, self.places[self.layer]
        patches = self.directions.patches(self.layer)
        before, ones = self._before and call.input.requires_grad, patches.new_ones(())
        step = self._together(before)
        for part in place.parts:
            is_weight = part is place.weight
            width = call.inputs if is_weight else 1
            for start in range(part.start, part.stop, step):
                stop = min(start + step, part.stop)
                at = torch.arange(start - part.start, stop - part.start)
                k, unit, entry = at - at[0], at // width, at % width
                moved = patches.new_zeros((len(at), call.samples, call.outputs, call.positions))
                moved[k, :, unit] = patches[:, :, entry].permute(2, 0, 1) if is_weight else ones
                seeds = [self.directions.at_output(self.layer, moved)]
                if before and is_weight:
                    spread = self.directions.spread(self.layer)
                    size = (len(at), call.samples, call.channels, spread.shape[1])
                    channel, offset = entry // call.offsets, entry % call.offsets
                    turned = spread.new_zeros(size)  # the gradient in the input of δ·(U V)
                    turned[k, :, channel] = spread[:, :, unit, offset].permute(2, 0, 1)
                    seeds.append(self.directions.at_input(self.layer, turned))
                first = int(unit[0]) if is_weight else 0
                yield slice(start, stop), self._from_unit(self._differentiate(seeds), first)

    def _units(self) -> Iterator[tuple[slice, Found]]:
        """Yield rows, and what output entries change, combined by patches."""
        call, place = self._call, self.places[self.layer]
        patches = self.directions.patches(self.layer)
        ones, size = patches.new_ones((*patches.shape[:2], 1)), call.positions
        reached = [self.directions.calls[m] for m in (self.layer, *self.others)]
        largest = max(max(m.output.numel(), m.input.numel()) for m in reached)
        width = max(1, _COMBINED_ENTRIES // largest)
        step = max(1, self._together(before=False) // size)
        for begin in range(0, call.outputs, step):
            units = range(begin, min(begin + step, call.outputs))
            at = torch.arange(len(units) * size)
            moved = patches.new_zeros((len(at), call.samples, call.outputs, size))
            moved[at, :, begin + at // size, at % size] = 1.0
            found = self._differentiate([self.directions.at_output(self.layer, moved)])
            for k, unit in enumerate(units):
                mine = slice(k * size, (k + 1) * size)
                of_unit = _changed(found, lambda tensor, mine=mine: tensor[mine])
                if place.weight is not None:
                    later, row = self._from_unit(of_unit, unit), place.weight.start
                    row += unit * call.inputs
                    for start in range(0, call.inputs, width):
                        part = patches[:, :, start : start + width]
                        rows = slice(row + start, row + start + part.shape[2])
                        yield rows, _combined(later, part)
                if place.bias is not None:
                    row = place.bias.start + unit
                    yield slice(row, row + 1), _combined(of_unit, ones)


def _changed(found: Found, change: Callable[[Tensor], Tensor]) -> Found:
    return {m: moved.each(change) for m, moved in found.items()}


def _combined(found: Found, patches: Tensor) -> Found:
    """Return Σ_t U[n,t,k] X[t,n] of each C and R."""

    def combine(entries: Tensor) -> Tensor:
        by_sample = entries.flatten(2).transpose(0, 1)
        return (patches.mT @ by_sample).transpose(0, 1).unflatten(2, entries.shape[2:])

    return _changed(found, combine)
