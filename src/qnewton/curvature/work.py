"""How much work a pass through an autograd graph is, counted from the graph itself."""

import math
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor
from torch.autograd.graph import Node

from qnewton.curvature.autograd import graph_nodes
from qnewton.operators.private_torch import Saved, leaf, result_shape, saved

_CONVOLUTION = "ConvolutionBackward0"
# The two factors of these products are the first operands of their nodes,
_PRODUCTS = {"MmBackward0", "BmmBackward0", "MvBackward0", "DotBackward0", "LinearBackward0"}
# and of these they stand behind what is added.
_ADDED = {"AddmmBackward0", "AddmvBackward0", "BaddbmmBackward0", "AddbmmBackward0"}


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
        product_flops: Operations of one product; ``None`` where there is a factor.
        product_operations: Operations of the graph that a product by double backward passes
            through; ``None`` where it takes none.
        forming_rows: Rows that forming differentiates by double backward, 32 in a batch.
        forming_rows_flops: Their share of ``forming_flops``.
    """

    forming_flops: float
    product_flops: float | None
    product_operations: int | None = None
    forming_rows: int = 0
    forming_rows_flops: float = 0.0


@dataclass
class Spent:
    """What a route took before any product or entry, in operations and passes.

    Attributes:
        pass_flops: Operations of one forward and backward pass.
    """

    pass_flops: float
    flops: float = 0.0
    calls: int = 0

    def backward(self, passes: float, calls: int) -> None:
        """Count backward passes, each a third of a forward and backward pass, in ``calls``."""
        self.flops += passes * self.pass_flops / 3
        self.calls += calls

    def recorded(self, cost: SourceCost) -> dict[str, Any]:
        """Return the fields of a record that say what a block takes, and start again."""
        spent = {"preparing_flops": self.flops, "preparing_calls": self.calls}
        self.flops, self.calls = 0.0, 0
        return asdict(cost) | spent


def graph_work(root: Tensor) -> GraphWork:
    """Return the work of the graph of ``root``, whatever modules or functions made it.

    Derivatives that the closure itself took (of a physics-informed network, say) are part of the
    graph, so they count. Element-wise work is in ``operations`` alone.

    Args:
        root: Live scalar.

    Cost: one walk over the graph, about 3 µs a node.

    Example:
        >>> import torch
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
    name, result = node.name(), result_shape(node)
    if result is None or not (name == _CONVOLUTION or name in _PRODUCTS or name in _ADDED):
        return 0.0
    # The shapes of those operands that are differentiated.
    operands = node.next_functions[1:3] if name in _ADDED else node.next_functions[:2]
    first, second = (result_shape(*operand) for operand in operands)
    if name == _CONVOLUTION:
        if second is None:
            return 0.0
        # A transposed convolution spreads every entry of its input, an ordinary one gathers.
        spread = first if saved(node, Saved.TRANSPOSED) else None
        return math.prod(spread or result) * float(math.prod(second[1:]))
    if first:
        return math.prod(result) * float(first[-1])
    if second:
        # The factor's sum runs over the last but one of its dimensions, or its only one.
        return math.prod(result) * float(second[-2:][0])
    return 0.0
