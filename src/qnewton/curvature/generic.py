"""The curvature of anything twice differentiable, product by product."""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from qnewton.curvature.autograd import (
    batched_grad,
    flat_rows,
    grad_along,
    grad_with_graph,
)
from qnewton.curvature.blocks import Block, unknowns
from qnewton.curvature.output_loss import OutputLoss
from qnewton.curvature.routes import GraphWork, SourceCost
from qnewton.operators import FormedOnce, MatrixFreeOperator, SymmetricOperator
from qnewton.operators.symmetric import mirror_upper_
from qnewton.records import CurvatureRecord

# Columns differentiated in one batch: enough to hide Python's overhead on small models, few
# enough that the batch's activations stay a small multiple of one forward pass.
CHUNK = 32
# Rows from which on a batch may end where a parameter does, to leave out columns before it.
_LEAST = 16

Operators = list[tuple[SymmetricOperator, CurvatureRecord]]
"""The operator of each block, and how it is computed."""


class CurvatureProducts(ABC):
    """A symmetric curvature known by its products, block by block.

    Attributes:
        passes: Operations of one product, in forward and backward passes of the network.
    """

    passes: float

    @abstractmethod
    def rows(self, of: Sequence[Tensor], at: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V H for the rows of parameters ``of`` and the columns of parameters ``at``."""

    def entries(self, of: Sequence[Tensor], at: Sequence[Tensor], rows: range) -> Tensor:
        """Return some of the rows of parameters ``of``, at the columns of parameters ``at``."""
        units = of[0].detach().new_zeros((len(rows), sum(p.numel() for p in of)))
        units[:, rows.start : rows.stop].fill_diagonal_(1.0)
        return self.rows(of, at, units)

    def products(self, parameters: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V H for the diagonal block H of ``parameters`` and V of shape [K, n]."""
        return self.rows(parameters, parameters, vectors)


@dataclass(frozen=True, eq=False)
class GradientGraph(CurvatureProducts):
    """The gradient of a loss with its own graph, differentiated once more for each product.

    H v = ∂/∂θ (gᵀ v), g = ∂L/∂θ (double backward; Pearlmutter 1994, Eq. 3). Parameters that the
    loss does not reach, or reaches linearly, give zeros.

    Attributes:
        root: Live scalar loss; its graph is kept.
        parameters: All parameters whose blocks will be asked for.

    Cost: one backward pass with a graph, at the first product; then K double backward passes,
    about 2 forward-backward passes each.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> GradientGraph(x[0] ** 2 * x[1], [x]).products([x], torch.eye(2))
        tensor([[4., 2.],
                [2., 0.]])
    """

    root: Tensor
    parameters: Sequence[Tensor]

    # Backward through the gradient's graph, which holds a forward and a backward pass.
    passes = 2.0

    @cached_property
    def _gradients(self) -> dict[int, Tensor | None]:
        gradients = grad_with_graph(self.root, self.parameters)
        return {id(p): g for p, g in zip(self.parameters, gradients, strict=True)}

    def rows(self, of: Sequence[Tensor], at: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V H for the rows of parameters ``of`` and the columns of parameters ``at``."""
        return flat_rows(grad_along(self._gradients, of, at, vectors), at, vectors)


@dataclass(frozen=True, eq=False)
class JacobianGraph:
    """J = ∂f/∂θ by its products; no entry is formed.

    Jᵀu is one backward pass. Being linear in u, it is differentiated once more for
    J v = ∂/∂u (vᵀJᵀu), without forward-mode rules (the double-vjp trick).

    Attributes:
        output: f, with its graph.
        parameters: All parameters whose blocks will be asked for.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> graph = JacobianGraph(x**2, [x])
        >>> graph.forward([x], torch.eye(2)), graph.backward([x], torch.ones(1, 2))
        (tensor([[2., 0.],
                [0., 4.]]), tensor([[2., 4.]]))
    """

    output: Tensor
    parameters: Sequence[Tensor]

    @cached_property
    def _transposed(self) -> tuple[Tensor, dict[int, Tensor | None]]:
        """A placeholder u, and Jᵀu of every parameter as a function of it."""
        placeholder = torch.zeros_like(self.output, requires_grad=True)
        pulled = grad_with_graph(self.output, self.parameters, placeholder)
        return placeholder, {id(p): w for p, w in zip(self.parameters, pulled, strict=True)}

    def forward(self, parameters: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return J v, shape [K, *f.shape], for K vectors over ``parameters``, shape [K, n]."""
        placeholder, pulled = self._transposed
        [found] = grad_along(pulled, parameters, [placeholder], vectors)
        if found is None:
            return vectors.new_zeros((vectors.shape[0], *self.output.shape))
        return found.to(vectors.dtype)

    def backward(self, parameters: Sequence[Tensor], cotangents: Tensor) -> Tensor:
        """Return Jᵀu over ``parameters``, shape [K, n], for K cotangents, [K, *f.shape]."""
        found = batched_grad([self.output], parameters, [cotangents.to(self.output.dtype)])
        return flat_rows(found, parameters, cotangents)


@dataclass(frozen=True, eq=False)
class GaussNewtonGraph(CurvatureProducts):
    """G = Jᵀ (∂²L/∂f²) J, product by product.

    Attributes:
        loss: The loss as a function of the output.
        jacobian: J.

    Cost: K products take about 4K/3 forward and backward passes of the network, and K double
    backwards of the loss.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> f = x**2
        >>> loss = OutputLoss((f**2).sum() / 2, f, torch.float32)
        >>> GaussNewtonGraph(loss, JacobianGraph(f, [x])).products([x], torch.eye(2))
        tensor([[ 4.,  0.],
                [ 0., 16.]])
    """

    loss: OutputLoss
    jacobian: JacobianGraph

    # J v and Jᵀu take two thirds of a forward and backward pass each.
    passes = 4 / 3

    def rows(self, of: Sequence[Tensor], at: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V G for the rows of parameters ``of`` and the columns of parameters ``at``."""
        moved = self.jacobian.forward(of, vectors)
        return self.jacobian.backward(at, self.loss.products(moved))


class BlockHessian(ABC):
    """One block's curvature, whichever way it is computed; ``route`` names the way."""

    route: str

    @property
    @abstractmethod
    def cost(self) -> SourceCost:
        """What forming the entries takes, and one product."""

    @abstractmethod
    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N]."""

    @abstractmethod
    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric."""


class HessianOperator(FormedOnce, MatrixFreeOperator):
    """A block of a curvature: products at once, entries formed when first asked for and stored.

    Args:
        source: Computes products and entries.
        block: The block's parameters.

    Cost: a product is one of ``source`` until the entries exist, then 2N² operations.
    """

    def __init__(self, source: BlockHessian, block: Block) -> None:
        example = block.parameters[0]
        super().__init__(block.n, source.product, example.dtype, example.device)
        self._source = source

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N], or H·V for V of shape [N, K]."""
        if self._entries is None:
            return super().__matmul__(vector)
        self.check_vector(vector)
        return self._entries @ vector

    def _form(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric."""
        return self._source.dense()


@dataclass(frozen=True, eq=False)
class GenericHessian(BlockHessian):
    """A diagonal block of a curvature, product by product.

    Attributes:
        graph: Gives the products, shared by all blocks.
        parameters: The block's parameters.
        work: That of one forward and backward pass.
    """

    graph: CurvatureProducts
    parameters: Sequence[Tensor]
    work: GraphWork

    route = "generic"

    @property
    def cost(self) -> SourceCost:
        """A product is a double backward pass, and forming takes N of them."""
        product = self.graph.passes * self.work.flops
        n = sum(parameter.numel() for parameter in self.parameters)
        return SourceCost(n * product, product, self.work.operations, n, n * product)

    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N]."""
        return self.graph.products(self.parameters, vector[None])[0]

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric."""
        sizes = [parameter.numel() for parameter in self.parameters]
        ends = list(accumulate(sizes))
        matrix = self.parameters[0].new_empty((ends[-1], ends[-1]))
        for start, stop in _batches(ends, CHUNK):
            first, last = bisect_right(ends, start), bisect_left(ends, stop)
            begin = ends[first] - sizes[first]
            of, at = self.parameters[first : last + 1], self.parameters[first:]
            rows = range(start - begin, stop - begin)
            matrix[start:stop, begin:] = self.graph.entries(of, at, rows)
        return mirror_upper_(matrix)


def _batches(ends: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield rows to differentiate together, cut where parameters end if that leaves enough."""
    start = 0
    while start < ends[-1]:
        stop = min(start + most, ends[-1])
        # Not so near the end that a batch of its own is left for a few rows.
        latest = min(stop, ends[-1] - _LEAST + 1)
        stop = next((end for end in ends if start + _LEAST <= end < latest), stop)
        yield start, stop
        start = stop


@dataclass(frozen=True, eq=False)
class MixedHessian(BlockHessian):
    """A diagonal block whose layers are in closed form, all else by double backward.

    Scales and shifts of a normalization, a tied weight, an embedding have no closed form. They
    are often few: their rows are differentiated, and the layers' own entries still come from
    matrix products.

    Attributes:
        closed: The block in closed form; entries of ``rest`` are not looked at.
        graph: The gradient's graph.
        parameters: The block's parameters in order.
        rest: Those of them that ``closed`` does not cover.
        work: That of one forward and backward pass.
    """

    closed: BlockHessian
    graph: CurvatureProducts
    parameters: Sequence[Tensor]
    rest: Sequence[Tensor]
    work: GraphWork

    route = "mixed"

    @cached_property
    def _parts(self) -> list[slice]:
        """Where the parameters are that the closed form does not cover."""
        rest = set(map(id, self.rest))
        pairs = zip(self.parameters, unknowns(self.parameters), strict=True)
        return [part for parameter, part in pairs if id(parameter) in rest]

    @property
    def cost(self) -> SourceCost:
        """That of the closed form, a double backward pass a remaining row, two in a product."""
        closed = self.closed.cost
        count = sum(part.stop - part.start for part in self._parts)
        one = self.graph.passes * self.work.flops
        return SourceCost(
            forming_flops=closed.forming_flops + count * one,
            product_flops=(closed.product_flops or 0.0) + 2 * one,
            product_operations=(closed.product_operations or 0) + 2 * self.work.operations,
            forming_rows=closed.forming_rows + count,
            forming_rows_flops=closed.forming_rows_flops + count * one,
        )

    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N]: a product in closed form and two by double backward."""
        result, covered = self.closed.product(vector), vector.clone()
        for part in self._parts:
            covered[part] = 0.0
        moved = torch.cat([vector[part] for part in self._parts])
        result += self.graph.rows(self.rest, self.parameters, moved[None])[0]
        rows = self.graph.rows(self.parameters, self.rest, covered[None])[0]
        for part, row in zip(self._parts, rows.split([p.numel() for p in self.rest]), strict=True):
            result[part] += row
        return result

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric."""
        matrix = self.closed.dense()
        for parameter, part in zip(self.rest, self._parts, strict=True):
            count = part.stop - part.start
            for start in range(0, count, CHUNK):
                rows = range(start, min(start + CHUNK, count))
                entries = self.graph.entries([parameter], self.parameters, rows)
                matrix[part.start + start : part.start + rows.stop] = entries
            mirror_upper_(matrix[part, part])
            for others in (slice(0, part.start), slice(part.stop, len(matrix))):
                matrix[others, part] = matrix[part, others].mT
        return matrix
