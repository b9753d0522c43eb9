"""The rows and columns of one layer on patches, written into the Hessian."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.directions import Directions, Found
from qnewton.curvature.places import Place
from qnewton.curvature.symmetric import mirror_upper_

# Combining a unit's derivatives by patches costs this share of a pass a direction, or less.
_UNITS_BELOW = 0.8
# Entries of what one combination writes: 16 MB in float32.
_COMBINED_ENTRIES = 1 << 22

# Rows of the matrix, and C and R along their directions.
_Chunk = tuple[slice, Found]


def fill_rows(
    matrix: Tensor,
    directions: Directions,
    layer: int,
    places: Mapping[int, Place],
    others: Sequence[int],
    independent: bool,
) -> None:
    """Write a layer's own block and its blocks with other layers, bitwise symmetric.

    A layer has out·in directions. Where samples do not interact and its out·T output entries a
    sample are fewer, single entries (j, t) are differentiated instead, in all samples at once,
    and combined by each sample's patches: C_m(V)[n] = Σ_{j,t} (U V)[n,t,j] C_m(j,t)[n], and R too.

    Args:
        matrix: The Hessian of a block, [N, N].
        directions: Derivatives along directions in the weights.
        layer: Index of the layer.
        places: Where layers' parameters sit in the matrix.
        others: Indices of the other layers to pair it with.
        independent: Whether samples are known not to interact.

    Cost: a double backward pass a parameter or output entry, through the activations after the
    layer (and before it, as far as ``others`` lie there), and 2·n·T·in·out operations a pair of a
    parameter and another layer, half for its own block.
    """
    by_unit = independent and _prefers_units(directions, layer, others)
    chunks = _by_unit if by_unit else _by_weight
    for rows, found in chunks(directions, layer, places[layer], others):
        for m, (inner, moved) in found.items():
            weight, bias = directions.contract(m, inner, moved, rows.stop - rows.start)
            for part, values in ((places[m].weight, weight), (places[m].bias, bias)):
                if part is not None:
                    # Of its own block a row has the columns of its unit and later ones.
                    matrix[rows, part.stop - values.shape[1] : part.stop] = values
    _mirror(matrix, places[layer], [places[other] for other in others])


@dataclass(frozen=True)
class RowsWork:
    """What :func:`fill_rows` of one layer takes.

    Attributes:
        flops: Operations, those of passes included.
        passes: Double backward passes through activations.
        passes_flops: Their share of ``flops``.
    """

    flops: float
    passes: int
    passes_flops: float


def rows_work(
    directions: Directions,
    layer: int,
    places: Mapping[int, Place],
    others: Sequence[int],
    independent: bool,
) -> RowsWork:
    """Return what :func:`fill_rows` takes in matrix products and passes."""
    call, place = directions.calls[layer], places[layer]
    count = sum(part.stop - part.start for part in place.parts)
    passes, entries = count, 0
    if independent and _prefers_units(directions, layer, others):
        passes = call.outputs * call.positions
        entries = sum(directions.calls[m].output.numel() for m in (layer, *others))
    per_row = call.output.numel() * call.inputs + 2 * call.positions * entries
    for other in others:
        late = directions.calls[other]
        per_row += 2 * late.output.numel() * late.inputs
        if other > layer and late.input.requires_grad:
            per_row += 2 * late.input.numel() * late.outputs * late.offsets
    before = any(other < layer for other in others)
    passed = directions.calls if before else directions.calls[layer + 1 :]
    per_pass = sum(4 * m.output.numel() * m.inputs for m in passed)
    through = float(passes * per_pass)
    return RowsWork(count * per_row + through, passes, through)


def _prefers_units(directions: Directions, layer: int, others: Sequence[int]) -> bool:
    """Return whether a layer's output entries are fewer to differentiate than its weights."""
    call = directions.calls[layer]
    after = all(other > layer for other in others)
    return after and call.positions < _UNITS_BELOW * call.inputs


def _by_weight(
    directions: Directions, layer: int, place: Place, others: Sequence[int]
) -> Iterator[_Chunk]:
    call, patches = directions.calls[layer], directions.patches(layer)
    before = any(other < layer for other in others) and call.input.requires_grad
    step = directions.batch(layer, before)
    for part in place.parts:
        width = call.inputs if part is place.weight else 1
        for start in range(part.start, part.stop, step):
            stop = min(start + step, part.stop)
            chosen = [divmod(row - part.start, width) for row in range(start, stop)]
            moved = patches.new_zeros((len(chosen), call.samples, call.outputs, call.positions))
            for k, (unit, entry) in enumerate(chosen):
                moved[k, :, unit] = patches[:, :, entry] if part is place.weight else 1.0
            seeds = directions.seeds(layer, moved, None)
            if before and part is place.weight:
                seeds += directions.seeds(layer, None, _turned(directions, layer, chosen))
            found = directions.differentiate(seeds, [layer, *others])
            first = chosen[0][0] if part is place.weight else 0
            yield slice(start, stop), _from_unit(found, layer, first)


def _turned(directions: Directions, layer: int, chosen: Sequence[tuple[int, int]]) -> Tensor:
    """Return the gradient in the input of δ·(U V), V single weights (unit, patch entry)."""
    call, spread = directions.calls[layer], directions.spread(layer)
    turned = spread.new_zeros((len(chosen), call.samples, call.channels, spread.shape[1]))
    for k, (unit, entry) in enumerate(chosen):
        channel, offset = divmod(entry, call.offsets)
        turned[k, :, channel] = spread[:, :, unit, offset]
    return turned


def _by_unit(
    directions: Directions, layer: int, place: Place, others: Sequence[int]
) -> Iterator[_Chunk]:
    call, patches = directions.calls[layer], directions.patches(layer)
    ones = patches.new_ones((*patches.shape[:2], 1))
    reached = [directions.calls[m] for m in (layer, *others)]
    largest = max(max(m.output.numel(), m.input.numel()) for m in reached)
    width = max(1, _COMBINED_ENTRIES // largest)
    together = max(1, directions.batch(layer, before=False) // call.positions)
    for begin in range(0, call.outputs, together):
        units = range(begin, min(begin + together, call.outputs))
        found = _entries(directions, layer, units, others)
        for k, unit in enumerate(units):
            mine = slice(k * call.positions, (k + 1) * call.positions)
            of_unit = {
                m: (
                    inner if inner is None else inner[mine],
                    moved if moved is None else moved[mine],
                )
                for m, (inner, moved) in found.items()
            }
            if place.weight is not None:
                later, row = (
                    _from_unit(of_unit, layer, unit),
                    place.weight.start + unit * call.inputs,
                )
                for start in range(0, call.inputs, width):
                    part = patches[:, :, start : start + width]
                    yield slice(row + start, row + start + part.shape[2]), _combined(later, part)
            if place.bias is not None:
                row = place.bias.start + unit
                yield slice(row, row + 1), _combined(of_unit, ones)


def _from_unit(found: Found, layer: int, first: int) -> Found:
    """Leave out C at earlier units of the layer itself: its own block is symmetric."""
    inner, moved = found[layer]
    return {**found, layer: (inner if inner is None else inner[:, :, first:], moved)}


def _entries(directions: Directions, layer: int, units: range, others: Sequence[int]) -> Found:
    """Return C and R of output entries (unit, position), of every sample at once."""
    call = directions.calls[layer]
    count = len(units) * call.positions
    at = torch.arange(count)
    moved = directions.patches(layer).new_zeros((count, call.samples, call.outputs, call.positions))
    moved[at, :, units.start + at // call.positions, at % call.positions] = 1.0
    return directions.differentiate(directions.seeds(layer, moved, None), [layer, *others])


def _combined(found: Found, patches: Tensor) -> Found:
    """Return Σ_t U[n,t,k] X[t,n] of each C and R."""

    def combine(entries: Tensor | None) -> Tensor | None:
        if entries is None:
            return None
        by_sample = entries.flatten(2).transpose(0, 1)
        return (patches.mT @ by_sample).transpose(0, 1).unflatten(2, entries.shape[2:])

    return {m: (combine(inner), combine(moved)) for m, (inner, moved) in found.items()}


def _mirror(matrix: Tensor, own: Place, others: Sequence[Place]) -> None:
    for rows in own.parts:
        mirror_upper_(matrix[rows, rows])
        for columns in (columns for other in others for columns in other.parts):
            matrix[columns, rows] = matrix[rows, columns].mT
    if own.weight is not None and own.bias is not None:
        matrix[own.weight, own.bias] = matrix[own.bias, own.weight].mT
