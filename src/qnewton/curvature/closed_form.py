"""Blocks of the Hessian in closed form, where the structure allows it."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from qnewton.curvature.adjoints import adjoints
from qnewton.curvature.blocks import Block
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.directions import Directions
from qnewton.curvature.factors import layer_factors
from qnewton.curvature.independence import independent_samples
from qnewton.curvature.layered import LayeredHessian
from qnewton.curvature.patches import LayerCall
from qnewton.curvature.structure import memory_obstacle, structural_obstacles


def closed_forms(
    evaluation: Evaluation, root: Tensor, blocks: Sequence[Block], per_sample: bool = True
) -> list[LayeredHessian | str]:
    """Return each block in closed form, or why there is none; the probe has yet to confirm it.

    Args:
        evaluation: The loss at the present parameters.
        root: Its live root.
        blocks: The blocks.
        per_sample: Use per-sample derivatives of layers that see one vector a sample. Without,
            all layers go by directions in their weights, which is right if samples interact.

    Raises:
        ValueError: If the loss cannot be differentiated twice.

    Cost: :func:`~qnewton.curvature.factors.layer_factors`, and with layers on patches two more
    double backward passes.
    """
    calls = evaluation.calls
    obstacles = structural_obstacles(root, calls, blocks)
    within = [
        _calls_of(calls, block) if obstacle is None else {}
        for block, obstacle in zip(blocks, obstacles, strict=True)
    ]
    used = {index: call for layers in within for index, call in layers.items()}
    single = _one_vector_a_sample(used) if per_sample else {}
    patched = [index for index in used if index not in single]
    obstacle = memory_obstacle([*single.values()], [*used.values()] if patched else [])
    if not used or obstacle is not None:
        return [known or obstacle or "it has no parameters" for known in obstacles]
    slopes = adjoints(root, calls, received=bool(patched))
    cross = any(sum(index in single for index in layers) > 1 for layers in within)
    factors = layer_factors(single, slopes.deltas, cross)
    directions = Directions(calls, slopes) if patched else None
    independent = (
        directions is not None and per_sample and independent_samples(directions, patched, [*used])
    )
    return [
        known or LayeredHessian(factors, directions, independent, layers, block.parameters)
        for block, layers, known in zip(blocks, within, obstacles, strict=True)
    ]


def _calls_of(calls: Sequence[LayerCall], block: Block) -> dict[int, LayerCall]:
    """Return the passes, by index, through layers that own parameters of a block."""
    inside = {id(parameter) for parameter in block.parameters}
    return {
        index: call
        for index, call in enumerate(calls)
        if id(call.layer.weight) in inside or id(call.layer.bias) in inside
    }


def _one_vector_a_sample(calls: Mapping[int, LayerCall]) -> dict[int, LayerCall]:
    """Return the linear layers whose rows are samples.

    Samples are what the fewest rows stand for: where rows outnumber them (tokens of a flattened
    sequence, say), rows may interact.
    """
    samples = min((call.samples for call in calls.values()), default=0)
    return {
        index: call
        for index, call in calls.items()
        if isinstance(call.layer, nn.Linear) and call.output.ndim == 2 and call.samples == samples
    }
