"""What rules the closed form out before any product: where parameters enter the loss, and size."""

from collections import Counter
from collections.abc import Sequence

from torch import Tensor

from qnewton.curvature.blocks import Block
from qnewton.curvature.patches import LayerCall

# What the closed form may hold of the layers: 1 GB in float32. Beyond it the layers are so
# wide that no dense block could be formed either.
_MAX_ENTRIES = 1 << 28


def structural_obstacles(
    uses: Counter[int], calls: Sequence[LayerCall], blocks: Sequence[Block]
) -> list[dict[int, str]]:
    """Return for each block which parameters have no closed form, whatever a product says.

    A parameter must be the weight or bias of one linear or convolution layer that ran once, as a
    linear map on patches, and must enter the loss there only, but for terms of parameters alone
    whose second derivatives are known.

    Args:
        uses: How often each parameter enters the loss otherwise than by such terms, by its id.
        calls: Passes through layers.
        blocks: The blocks.

    Returns:
        For each block, why, by the position of the parameter in the block.

    """
    owners: dict[int, list[LayerCall]] = {}
    for call in calls:
        for parameter in (call.layer.weight, call.layer.bias):
            if parameter is not None:
                owners.setdefault(id(parameter), []).append(call)

    def obstacle(parameter: Tensor, name: str) -> str | None:
        passes = owners.get(id(parameter), [])
        if not passes:
            return f"{name} is not the weight or bias of a linear or convolution layer that ran"
        if len({id(call.layer) for call in passes}) > 1:
            return f"{name} is shared by {len({id(call.layer) for call in passes})} layers"
        if len(passes) > 1:
            return f"the layer that owns {name} ran {len(passes)} times"
        [call] = passes
        if call.obstacle() is not None:
            return f"the layer that owns {name} {call.obstacle()}"
        if uses[id(parameter)] > 1:
            return f"{name} enters the loss in {uses[id(parameter)]} places"
        return None

    return [
        {
            position: reason
            for position, pair in enumerate(zip(block.parameters, block.names, strict=True))
            if (reason := obstacle(*pair)) is not None
        }
        for block in blocks
    ]


def memory_obstacle(per_sample: Sequence[LayerCall], patched: Sequence[LayerCall]) -> str | None:
    """Return why what the closed form holds is too large, or ``None``.

    Args:
        per_sample: Layers whose B and J are held, those between each other included.
        patched: Layers whose patches and spread δ are held.
    """
    entries, before = 0, 0
    for call in per_sample:
        entries += call.samples * call.outputs * call.outputs
        entries += call.samples * before * (call.outputs + call.inputs)
        before += call.outputs
    for call in patched:
        entries += call.output.numel() // call.outputs * call.inputs
        entries += call.input.numel() // call.channels * call.outputs * call.offsets
    if entries > _MAX_ENTRIES:
        return f"its derivatives in the layers need {entries:.2g} entries, limit {_MAX_ENTRIES:.2g}"
    return None
