"""Which computations may be used, what they cost, and what is remembered of them."""

import math
import zlib
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node

from qnewton.curvature.autograd import graph_nodes
from qnewton.operators.private_torch import Saved, leaf, result_shape, saved
from qnewton.operators.scaling import norm_ratio, safe_norm

# Far above the rounding of sums over samples, far below any term that one of the two lacks.
LIMIT = {torch.float32: 1e-4, torch.float64: 1e-9}
ROUNDINGS = 64.0
"""Units in the last place of the largest number that came up, which count as rounding."""

# A difference of as many limits is no rounding: the structure is another.
_BEYOND_ROUNDING = 10.0
# The same vectors at every step: a resumed run then takes the same routes as an uninterrupted one.
_SEED = 20240500252
_MOST = 64  # rejections kept of one block: graphs of sequences of as many lengths
_COUNTED = ("cg_products", "cg_expected", "minres_products", "minres_expected")
_CONVOLUTION = "ConvolutionBackward0"
# The two factors of these products are the first operands of their nodes,
_PRODUCTS = {"MmBackward0", "BmmBackward0", "MvBackward0", "DotBackward0", "LinearBackward0"}
# and of these they stand behind what is added.
_ADDED = {"AddmmBackward0", "AddmvBackward0", "BaddbmmBackward0", "AddbmmBackward0"}
_COUNTED_PRODUCTS = {_CONVOLUTION, *_PRODUCTS, *_ADDED}


@dataclass(frozen=True)
class Refused:
    """Why a route is not taken.

    Attributes:
        reason: In words.
        lasting: Whether later steps of the same graph will not take it either.

    Example:
        >>> Refused("samples interact").lasting
        False
    """

    reason: str
    lasting: bool = False


def difference(found: Tensor, expected: Tensor) -> float:
    """Return ‖found - expected‖ / ‖expected‖; 0 if both are zero, infinite if only the latter is.

    Example:
        >>> difference(torch.tensor([3.0, 5.0]), torch.tensor([3.0, 4.0]))
        0.2
    """
    return norm_ratio(found - expected, expected)


def beyond_rounding(off: float, limit: float) -> bool:
    """Return whether a difference tells that the structure is another, at this step and later.

    Example:
        >>> beyond_rounding(0.2, 1e-4), beyond_rounding(2e-4, 1e-4)
        (True, False)
    """
    return _BEYOND_ROUNDING * limit < off < math.inf


def compared(
    found: Tensor,
    expected: Tensor,
    off: str,
    since: str,
    agreeing: str = "a random product",
    scale: "Scale | None" = None,
) -> str | Refused:
    """Return how well a product agrees, in words, or that it is ``off`` and ``since`` what."""
    apart, limit = difference(found, expected), LIMIT[expected.dtype]
    if apart <= limit:
        if scale is not None:
            scale.keep(expected)
        return f"{agreeing} agrees to {apart:.1g}, limit {limit:.0g}"
    if scale is not None and scale.hides(found, expected, expected.dtype):
        return f"{agreeing} agreed at an earlier step, and now to {apart:.1g}, which is rounding"
    reason = f"{off} is off by {apart:.2g}, limit {limit:.0g}: {since}"
    return Refused(reason, lasting=beyond_rounding(apart, limit))


def random_like(example: Tensor, size: torch.Size | tuple[int, ...], draw: int = 0) -> Tensor:
    """Return standard normal numbers, the same on every device and at every call.

    Args:
        example: Gives dtype and device.
        size: Shape of the result.
        draw: Which of several results to return.
    """
    generator = torch.Generator().manual_seed(_SEED + draw)
    numbers = torch.randn(size, generator=generator, dtype=torch.float64)
    return numbers.to(device=example.device, dtype=example.dtype)


@dataclass(frozen=True)
class RouteMemory:
    """Rejected routes, and the products that a block's solve took, as plain numbers.

    A rejection holds for one structure of the graph: operations in the same order, whatever their
    shapes. It is a matter of speed alone: what takes a rejected route's place is right for any
    loss, so a rejection that no longer holds costs time and no correctness.

    Args:
        numbers: Where they are kept, under flat names; the optimizer's state.
        step: The present step, which a new rejection is kept with.
        structure: Checksum of the graph's operations.
        usual_products: Products that a solve is expected to take as long as none was counted;
            ``None`` where systems are formed, whatever products take.

    Example:
        >>> memory = RouteMemory({}, step=3, structure=7)
        >>> memory.reject("full", "ggn", "sample-space")
        >>> memory.rejected("full", "ggn", "sample-space"), memory.rejected("0", "ggn", "jacobian")
        (3, None)
    """

    numbers: MutableMapping[str, Any] = field(default_factory=dict)
    step: int = 0
    structure: int = 0
    usual_products: int | None = None

    def rejected(self, block: str, kind: str, route: str) -> int | None:
        """Return the step at which a route was rejected for this graph, or ``None``."""
        found = self.numbers.get(self._name(block, kind, route))
        return None if found is None else int(found)

    def reject(self, block: str, kind: str, route: str) -> None:
        """Remember that a route does not hold for this graph."""
        before = [name for name in self.numbers if name.startswith(f"{block}.rejected.")]
        if len(before) >= _MOST:
            del self.numbers[min(before, key=lambda name: (self.numbers[name], name))]
        self.numbers[self._name(block, kind, route)] = self.step

    def largest(self, name: str, found: float = 0.0) -> float:
        """Return the largest of the numbers of a name that steps of this graph found, and keep it.

        Example:
            >>> memory = RouteMemory({}, structure=7)
            >>> memory.largest("0", 3.0), memory.largest("0", 2.0), memory.largest("0")
            (3.0, 3.0, 3.0)
        """
        value, graph = f"{name}.largest_product", f"{name}.largest_product_of"
        before = self.numbers.get(value, 0.0) if self.numbers.get(graph) == self.structure else 0.0
        if before < found < math.inf:
            self.numbers[value], self.numbers[graph] = found, self.structure
            return found
        return before

    def products(self, block: str) -> int | None:
        """Return how many products a solve of ``block`` should take, as the last one counted.

        One that ran out is expected to take twice as many.
        """
        if self.usual_products is None:
            return None
        counts = (self.numbers.get(f"{block}.{name}") for name in _COUNTED)
        spent = next((int(count) for count in counts if count is not None), None)
        if spent is not None:
            return spent
        unfinished = self.numbers.get(f"{block}.cg_unfinished")
        return self.usual_products if unfinished is None else 2 * int(unfinished)

    def _name(self, block: str, kind: str, route: str) -> str:
        return f"{block}.rejected.{kind}.{route}.{self.structure}"


@dataclass(frozen=True)
class Scale:
    """How large products of a comparison were while it agreed: what their rounding is told by.

    Near a minimum ∂²L/∂f² may be a small difference of large numbers, as p - p² of a probability p
    near 1 is: products shrink, and their rounding stays what it was.

    Attributes:
        memory: Where the largest norm is kept, for one structure of the graph.
        name: The comparison's.
    """

    memory: RouteMemory
    name: str

    def keep(self, expected: Tensor) -> None:
        """Learn from a product that agreed."""
        self.memory.largest(self.name, safe_norm(expected))

    def hides(self, found: Tensor, expected: Tensor, precision: torch.dtype) -> bool:
        """Return whether two products differ by no more than the rounding of the largest."""
        rounding = ROUNDINGS * torch.finfo(precision).eps * self.memory.largest(self.name)
        return safe_norm(found - expected) <= rounding


@dataclass(frozen=True)
class GraphWork:
    """The work of one forward and backward pass.

    Attributes:
        flops: Operations of its matrix products and convolutions: 2 of forward, 4 of backward
            for each multiplication of the forward pass.
        operations: Operations in the graph, each of which a pass starts, leaves not counted.
        structure: Checksum of the operations in their order, whatever their shapes.
        names: PyTorch's names of the operations, leaves included.
        leaves: Ids of the tensors that it begins from.
    """

    flops: float
    operations: int
    structure: int = field(default=0, repr=False)
    names: frozenset[str] = field(default=frozenset(), repr=False)
    leaves: frozenset[int] = field(default=frozenset(), repr=False)


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
        >>> weight, x = torch.ones(3, 2, requires_grad=True), torch.ones(4, 3)
        >>> graph_work((x @ weight).tanh().sum())
        GraphWork(flops=144.0, operations=3)
    """
    flops, leaves = 0.0, set()
    nodes = list(graph_nodes([root.grad_fn]))
    names = [node.name() for node in nodes]
    for node, name in zip(nodes, names, strict=True):
        if name in _COUNTED_PRODUCTS:
            flops += 6.0 * _multiplications(node, name)
        elif (variable := leaf(node)) is not None:
            leaves.add(id(variable))
    structure = zlib.crc32("".join(names).encode())
    operations = len(nodes) - len(leaves)
    return GraphWork(flops, operations, structure, frozenset(names), frozenset(leaves))


def graph_size(root: Tensor) -> tuple[int, int]:
    """Return how many operations the graph of ``root`` has, and how many entries they compute.

    Example:
        >>> graph_size(torch.ones(3, requires_grad=True).exp().sum())
        (2, 4)
    """
    shapes = [result_shape(n) for n in graph_nodes([root.grad_fn]) if leaf(n) is None]
    return len(shapes), sum(math.prod(shape) for shape in shapes if shape is not None)


def _multiplications(node: Node, name: str) -> float:
    """Return the multiplications of the forward operation behind ``node``, if it is a product."""
    result = result_shape(node)
    if result is None:
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
