"""The Hessian of anything twice differentiable, product by product."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from qnewton.curvature.autograd import batched_grad, grad_with_graph
from qnewton.curvature.symmetric import mirror_upper_
from qnewton.curvature.work import GraphWork, SourceCost

# Columns differentiated in one batch: enough to hide Python's overhead on small models, few
# enough that the batch's activations stay a small multiple of one forward pass.
CHUNK = 32
# Rows from which on a batch may end where a parameter does, to leave out columns before it.
_LEAST = 16


class CurvatureProducts(Protocol):
    """A symmetric curvature known by its products, block by block."""

    @property
    def passes(self) -> float:
        """Operations of one product, in forward and backward passes of the network."""
        ...

    def products(self, parameters: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V H for the diagonal block H of ``parameters`` and V of shape [K, n]."""
        ...

    def rows(self, of: Sequence[Tensor], at: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V H for the rows of parameters ``of`` and the columns of parameters ``at``."""
        ...


class GradientGraph:
    """The gradient of a loss with its own graph, differentiated once more for each product.

    H v = ∂/∂θ (gᵀ v), g = ∂L/∂θ (double backward; Pearlmutter 1994, Eq. 3).

    Args:
        root: Live scalar loss; its graph is kept.
        parameters: All parameters whose blocks will be asked for.

    Cost: one backward pass with a graph, at the first product.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> GradientGraph(x[0] ** 2 * x[1], [x]).products([x], torch.eye(2))
        tensor([[4., 2.],
                [2., 0.]])
    """

    # Backward through the gradient's graph, which holds a forward and a backward pass.
    passes = 2.0

    def __init__(self, root: Tensor, parameters: Sequence[Tensor]) -> None:
        self._root = root
        self._parameters = tuple(parameters)

    @cached_property
    def _gradients(self) -> dict[int, Tensor | None]:
        gradients = grad_with_graph(self._root, self._parameters)
        return {id(p): g for p, g in zip(self._parameters, gradients, strict=True)}

    def products(self, parameters: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V H for the diagonal block H of ``parameters`` and V of shape [K, n].

        Cost: K double backward passes, about 2 forward-backward passes each.
        """
        return self.rows(parameters, parameters, vectors)

    def rows(self, of: Sequence[Tensor], at: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V H for the rows of parameters ``of`` and the columns of parameters ``at``.

        Parameters that the loss does not reach, or reaches linearly, give zeros.

        Args:
            of: Parameters with n unknowns.
            at: Parameters with m unknowns.
            vectors: V, [K, n].

        Returns:
            The products, [K, m].

        Cost: K double backward passes, about 2 forward-backward passes each.
        """
        outputs, cotangents = [], []
        pieces = vectors.split([p.numel() for p in of], dim=1)
        for parameter, piece in zip(of, pieces, strict=True):
            gradient = self._gradients[id(parameter)]
            if gradient is not None and gradient.requires_grad:
                outputs.append(gradient)
                cotangents.append(piece.reshape(-1, *parameter.shape))
        found = batched_grad(outputs, at, cotangents) if outputs else [None] * len(at)
        return torch.cat(
            [
                vectors.new_zeros((len(vectors), parameter.numel()))
                if part is None
                else part.reshape(len(vectors), -1)
                for part, parameter in zip(found, at, strict=True)
            ],
            dim=1,
        )


class GenericHessian:
    """A diagonal block of a curvature, product by product.

    Args:
        graph: Gives the products, shared by all blocks.
        parameters: The block's parameters.
        work: That of one forward and backward pass.
    """

    def __init__(
        self, graph: CurvatureProducts, parameters: Sequence[Tensor], work: GraphWork
    ) -> None:
        self._graph = graph
        self._parameters = tuple(parameters)
        self._n = sum(parameter.numel() for parameter in parameters)
        self._work = work

    @property
    def cost(self) -> SourceCost:
        """A product is a double backward pass, and forming takes N of them."""
        product = self._graph.passes * self._work.flops
        return SourceCost(
            forming_flops=self._n * product,
            product_flops=product,
            product_operations=self._work.operations,
            forming_rows=self._n,
            forming_rows_flops=self._n * product,
        )

    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N]."""
        return self._graph.products(self._parameters, vector[None])[0]

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric.

        Cost: N products, 32 in a batch, of which those of later parameters leave out the
        way to earlier ones; N² entries of memory beside the batch.
        """
        matrix = self._parameters[0].new_empty((self._n, self._n))
        sizes = [parameter.numel() for parameter in self._parameters]
        ends = list(accumulate(sizes))
        for start, stop in _batches(ends, CHUNK):
            first, last = bisect_right(ends, start), bisect_left(ends, stop)
            begin = ends[first] - sizes[first]
            units = matrix.new_zeros((stop - start, ends[last] - begin))
            units[:, start - begin : stop - begin].fill_diagonal_(1.0)
            of, at = self._parameters[first : last + 1], self._parameters[first:]
            matrix[start:stop, begin:] = self._graph.rows(of, at, units)
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
