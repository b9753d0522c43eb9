"""Where the parameters of layers sit among a block's unknowns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from qnewton.curvature.patches import LayerCall


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
    aside = {id(parameter) for parameter in rest}
    slices: dict[int, slice] = {}
    offset = 0
    for parameter in parameters:
        if id(parameter) not in aside:
            slices[id(parameter)] = slice(offset, offset + parameter.numel())
        offset += parameter.numel()
    found = {
        m: Place(slices.get(id(call.layer.weight)), slices.get(id(call.layer.bias)))
        for m, call in calls.items()
    }
    return {m: place for m, place in found.items() if place.parts}
