"""Whether the closed form holds for this loss: structure first, then one product compared."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from qnewton.curvature.agreement import LIMIT, difference, random_like
from qnewton.curvature.autograd import graph_nodes
from qnewton.curvature.blocks import Block
from qnewton.curvature.directions import Directions, Seeds
from qnewton.curvature.generic import GradientGraph
from qnewton.curvature.layered import LayeredHessian
from qnewton.curvature.patches import LayerCall

# What the closed form may hold of the layers: 1 GB in float32. Beyond it the layers are so
# wide that no dense block could be formed either.
_MAX_ENTRIES = 1 << 28


@dataclass(frozen=True)
class Verdict:
    """Whether the closed form may be used, and why."""

    holds: bool
    reason: str


def structural_obstacles(
    root: Tensor, calls: Sequence[LayerCall], blocks: Sequence[Block]
) -> list[str | None]:
    """Return for each block what rules the closed form out before any product, or ``None``.

    Every parameter of the block must be the weight or bias of one linear or convolution layer
    that ran once, as a linear map on patches, and must enter the loss there only.

    Args:
        root: The live loss.
        calls: Passes through layers.
        blocks: The blocks.

    Cost: one walk over the graph's nodes.
    """
    owners: dict[int, list[LayerCall]] = {}
    for call in calls:
        for parameter in (call.layer.weight, call.layer.bias):
            if parameter is not None:
                owners.setdefault(id(parameter), []).append(call)
    uses = _uses(root)

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
        next(filter(None, map(obstacle, block.parameters, block.names)), None) for block in blocks
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


def probe(closed: LayeredHessian, graph: GradientGraph, parameters: Sequence[Tensor]) -> Verdict:
    """Compare H·v of the closed form with double backward, v random and supported on the block.

    Args:
        closed: The block in closed form.
        graph: The gradient's graph.
        parameters: The block's parameters.

    Cost: one double backward product and one closed-form product.
    """
    n = sum(parameter.numel() for parameter in parameters)
    vector = random_like(parameters[0].detach(), (n,))
    off = difference(closed.product(vector), graph.products(parameters, vector[None])[0])
    limit = LIMIT[parameters[0].dtype]
    if off <= limit:
        return Verdict(True, f"a random product agrees to {off:.1g}, limit {limit:.0g}")
    return Verdict(
        False,
        f"the closed form's random product is off by {off:.2g}, limit {limit:.0g}: "
        "samples or layers interact in a way it does not cover",
    )


def independent_samples(
    directions: Directions, layers: Sequence[int], targets: Sequence[int]
) -> bool:
    """Return whether δ of no sample depends on another sample's pre-activations.

    With random cotangents r, the same for every sample, and a random factor f a sample, that is
    so if and only if (almost surely) the derivatives for f·r are f times those for r.

    Args:
        directions: Derivatives along directions in the weights.
        layers: Layers whose δ to look at.
        targets: Layers it may depend on.

    Cost: two double backward passes through activations.
    """

    def factors(layer: int) -> Tensor:
        call = directions.calls[layer]
        return random_like(call.layer.weight.detach(), (call.samples, 1, 1), draw=1)

    plain: Seeds = []
    scaled: Seeds = []
    for m in layers:
        call = directions.calls[m]
        shape = (1, call.outputs, call.positions)
        one = random_like(call.layer.weight.detach(), shape, draw=2 + m)
        plain += directions.seeds(m, one.expand(1, call.samples, -1, -1), None)
        scaled += directions.seeds(m, (factors(m) * one)[None], None)
    expected, found = (directions.differentiate(seeds, targets) for seeds in (plain, scaled))
    for m in targets:
        for one, other in zip(expected[m], found[m], strict=True):
            if one is not None and other is not None:
                off = difference(other[0].flatten(1), factors(m)[:, 0] * one[0].flatten(1))
                if off > LIMIT[directions.calls[m].layer.weight.dtype]:
                    return False
    return True


def _uses(root: Tensor) -> Counter[int]:
    """Count the edges of the graph that end in each leaf tensor, by the tensor's id."""
    uses: Counter[int] = Counter()
    for node in graph_nodes([root]):
        for following, _ in node.next_functions:
            leaf = getattr(following, "variable", None)
            if leaf is not None:
                uses[id(leaf)] += 1
    return uses
