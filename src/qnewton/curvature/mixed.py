"""A block of the Hessian in closed form but for the rows of a few parameters."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from qnewton.curvature.generic import CHUNK, GradientGraph
from qnewton.curvature.layered import LayeredHessian
from qnewton.curvature.symmetric import mirror_upper_
from qnewton.curvature.work import GraphWork, SourceCost


class MixedHessian:
    """A diagonal block whose layers are in closed form, all else by double backward.

    Scales and shifts of a normalization, a tied weight, an embedding have no closed form. They
    are often few: their rows are differentiated, and the layers' own entries still come from
    matrix products.

    Args:
        closed: The block in closed form; entries of ``rest`` are not looked at.
        graph: The gradient's graph.
        parameters: The block's parameters in order.
        rest: Those of them that ``closed`` does not cover.
        work: That of one forward and backward pass.
    """

    def __init__(
        self,
        closed: LayeredHessian,
        graph: GradientGraph,
        parameters: Sequence[Tensor],
        rest: Sequence[Tensor],
        work: GraphWork,
    ) -> None:
        self._closed = closed
        self._graph = graph
        self._parameters = tuple(parameters)
        self._rest = {id(parameter) for parameter in rest}
        self._work = work

    @property
    def cost(self) -> SourceCost:
        """That of the closed form, a double backward pass a remaining row, two in a product."""
        closed = self._closed.cost
        count = sum(part.stop - part.start for _, part in self._remaining())
        one = self._graph.passes * self._work.flops
        return SourceCost(
            forming_flops=closed.forming_flops + count * one,
            product_flops=closed.product_flops + 2 * one,
            product_operations=(closed.product_operations or 0) + 2 * self._work.operations,
            forming_rows=closed.forming_rows + count,
            forming_rows_flops=closed.forming_rows_flops + count * one,
        )

    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N] without forming H.

        Cost: a product in closed form and two by double backward.
        """
        result = self._closed.product(vector)
        rest, parts = zip(*self._remaining(), strict=True)
        covered = vector.clone()
        for part in parts:
            covered[part] = 0.0
        moved = torch.cat([vector[part] for part in parts])
        result += self._graph.rows(rest, self._parameters, moved[None])[0]
        rows = self._graph.rows(self._parameters, rest, covered[None])[0]
        for part, row in zip(parts, rows.split([p.numel() for p in rest]), strict=True):
            result[part] += row
        return result

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric.

        Cost: the closed form's, and a double backward pass a remaining row, 32 in a batch.
        """
        matrix = self._closed.dense()
        for parameter, part in self._remaining():
            count = part.stop - part.start
            for start in range(0, count, CHUNK):
                stop = min(start + CHUNK, count)
                rows = slice(part.start + start, part.start + stop)
                units = matrix.new_zeros((stop - start, count))
                units[:, start:stop].fill_diagonal_(1.0)
                matrix[rows] = self._graph.rows([parameter], self._parameters, units)
            mirror_upper_(matrix[part, part])
            for others in (slice(0, part.start), slice(part.stop, len(matrix))):
                matrix[others, part] = matrix[part, others].mT
        return matrix

    def _remaining(self) -> Iterator[tuple[Tensor, slice]]:
        """Yield each parameter that the closed form does not cover, and where it is."""
        start = 0
        for parameter in self._parameters:
            stop = start + parameter.numel()
            if id(parameter) in self._rest:
                yield parameter, slice(start, stop)
            start = stop
