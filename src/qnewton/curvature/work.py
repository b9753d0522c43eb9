"""How much work a pass through an autograd graph is, counted from the graph itself."""

import math
import zlib
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.graph import Node

from qnewton.curvature.autograd import graph_nodes
from qnewton.operators.private_torch import Saved, leaf, result_shape, saved


@dataclass(frozen=True)
class GraphWork:
    """The work of one forward and backward pass.

    Attributes:
        flops: Operations of its matrix products and convolutions: 2 of forward, 4 of backward
            for each multiplication of the forward pass.
        operations: Operations in the graph, each of which a pass starts, leaves not counted.
        structure: Checksum of the operations in their order, whatever their shapes.
    """

    flops: float
    operations: int
    structure: int = field(default=0, repr=False)


@dataclass(frozen=True)
class SourceCost:
    """What a block's products and entries cost, as its curvature computes them.

    Attributes:
        forming_flops: Operations that form the entries.
        product_flops: Operations of one product.
        product_operations: Operations of the graph that a product by double backward passes
            through; ``None`` where it takes none.
        forming_rows: Rows that forming differentiates by double backward, 32 in a batch.
        forming_rows_flops: Their share of ``forming_flops``.
    """

    forming_flops: float
    product_flops: float
    product_operations: int | None = None
    forming_rows: int = 0
    forming_rows_flops: float = 0.0


def graph_work(root: Tensor) -> GraphWork:
    """Return the work of the graph of ``root``, whatever modules or functions made it.

    Derivatives that the closure itself took (of a physics-informed network, say) are part of the
    graph, so they count. Element-wise work is in ``operations`` alone.

    Args:
        root: Live scalar.

    Cost: one walk over the graph, about 3 µs a node.

    Example:
        >>> weight, x = torch.ones(3, 2, requires_grad=True), torch.ones(4, 3)
        >>> graph_work((x @ weight).tanh().sum())
        GraphWork(flops=144.0, operations=3)
    """
    flops, operations, structure = 0.0, 0, 0
    for node in graph_nodes([root.grad_fn]):
        structure = zlib.crc32(node.name().encode(), structure)
        if leaf(node) is None:
            operations += 1
            flops += 6.0 * _multiplications(node)
    return GraphWork(flops, operations, structure)


def _multiplications(node: Node) -> float:
    """Return the multiplications of the forward operation behind ``node``, if it is a product."""
    factors = _FACTORS.get(node.name())
    if factors is None:
        return 0.0
    shapes = [_shape(node, index) for index in factors]
    result = result_shape(node)
    if result is None:
        return 0.0
    first, second = shapes
    if node.name() == "ConvolutionBackward0":
        if second is None:
            return 0.0
        # A transposed convolution spreads every entry of its input, an ordinary one gathers.
        spread = first if saved(node, Saved.TRANSPOSED) else None
        return math.prod(spread or result) * float(math.prod(second[1:]))
    if first is not None and first:
        return math.prod(result) * float(first[-1])
    if second is not None and second:
        # The factor's sum runs over the last but one of its dimensions, or its only one.
        return math.prod(result) * float(second[-2] if len(second) > 1 else second[0])
    return 0.0


def _shape(node: Node, index: int) -> torch.Size | None:
    """Return the shape of an operand that is differentiated."""
    return result_shape(*node.next_functions[index])


_FACTORS: dict[str, tuple[int, int]] = {
    "MmBackward0": (0, 1),
    "BmmBackward0": (0, 1),
    "MvBackward0": (0, 1),
    "DotBackward0": (0, 1),
    "AddmmBackward0": (1, 2),
    "AddmvBackward0": (1, 2),
    "BaddbmmBackward0": (1, 2),
    "AddbmmBackward0": (1, 2),
    "LinearBackward0": (0, 1),
    "ConvolutionBackward0": (0, 1),
}
"""Where the two factors of products stand among the operands of their nodes."""
