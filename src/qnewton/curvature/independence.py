"""Whether the samples of a batch interact."""

from collections.abc import Sequence

from torch import Tensor

from qnewton.curvature.agreement import LIMIT, difference, random_like
from qnewton.curvature.directions import Directions, Seeds


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
                off = difference(other[0], factors(m) * one[0])
                if off > LIMIT[directions.calls[m].layer.weight.dtype]:
                    return False
    return True
