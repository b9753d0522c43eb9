"""Whether the closed form holds for this loss: one product compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.agreement import LIMIT, beyond_rounding, difference, random_like
from qnewton.curvature.generic import CurvatureProducts
from qnewton.curvature.layered import LayeredHessian


@dataclass(frozen=True)
class Verdict:
    """Whether the closed form may be used, and why.

    Attributes:
        holds: Whether it agrees.
        reason: How far, in words.
        structural: Where it does not: whether by so much that later steps will not agree either.
    """

    holds: bool
    reason: str
    structural: bool = False


def probe(
    closed: LayeredHessian,
    graph: CurvatureProducts,
    parameters: Sequence[Tensor],
    rest: Sequence[Tensor] = (),
) -> Verdict:
    """Compare H·v of the closed form with automatic differentiation, v random on the block.

    The closed form's product is a combination of the very factors or rows its entries are made
    of, so a term that they lack shows (almost surely); double backward differentiates the whole
    loss in the parameters themselves and knows nothing of layers.

    Args:
        closed: The block in closed form.
        graph: Gives the products by automatic differentiation.
        parameters: The block's parameters.
        rest: Those that the closed form does not cover; rows and columns of no others count.

    Cost: one product each way.
    """
    aside = {id(parameter) for parameter in rest}
    example = parameters[0].detach()
    n = sum(parameter.numel() for parameter in parameters)
    covered = torch.cat(
        [torch.full((p.numel(),), id(p) not in aside, device=p.device) for p in parameters]
    )
    vector = random_like(example, (n,)) * covered
    expected = graph.products(parameters, vector[None])[0] * covered
    off = difference(closed.product(vector), expected)
    limit = LIMIT[example.dtype]
    if off <= limit:
        return Verdict(True, f"a random product agrees to {off:.1g}, limit {limit:.0g}")
    return Verdict(
        False,
        f"the closed form's random product is off by {off:.2g}, limit {limit:.0g}: "
        "samples or layers interact in a way it does not cover",
        structural=beyond_rounding(off, limit),
    )
