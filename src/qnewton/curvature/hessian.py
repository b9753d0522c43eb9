"""The exact Hessian of the loss, block by block, by the cheapest route that is right."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from qnewton.curvature.adjoints import adjoints
from qnewton.curvature.blocks import Block
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.directions import Directions
from qnewton.curvature.factors import layer_factors
from qnewton.curvature.generic import GenericHessian, GradientGraph
from qnewton.curvature.layered import LayeredHessian
from qnewton.curvature.patches import LayerCall
from qnewton.curvature.probe import (
    Verdict,
    independent_samples,
    memory_obstacle,
    probe,
    structural_obstacles,
)
from qnewton.operators import SymmetricOperator
from qnewton.records import CurvatureRecord


class BlockHessian(Protocol):
    """One block's Hessian, whichever way it is computed."""

    @property
    def forming_flops(self) -> float | None:
        """Operations that forming the entries takes."""
        ...

    def product(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N]."""
        ...

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric."""
        ...


class HessianOperator(SymmetricOperator):
    """A block of the Hessian: products at once, entries formed when first asked for and kept.

    Args:
        source: Computes products and entries.
        block: The block's parameters.

    Cost: a product is one of ``source`` until the entries exist, then 2N² operations.
    """

    def __init__(self, source: BlockHessian, block: Block) -> None:
        self._source = source
        self._shape = torch.Size((block.n, block.n))
        self._example = block.parameters[0]
        self._entries: Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, N])``."""
        return self._shape

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of the parameters."""
        return self._example.dtype

    @property
    def device(self) -> torch.device:
        """Return the device of the parameters."""
        return self._example.device

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return H·v for v of shape [N], or H·V for V of shape [N, K]."""
        self.check_vector(vector)
        if self._entries is not None:
            return self._entries @ vector
        if vector.ndim == 1:
            return self._source.product(vector)
        return torch.stack([self._source.product(column) for column in vector.unbind(1)], dim=1)

    def dense(self) -> Tensor:
        """Return the N × N entries, bitwise symmetric; the same tensor at every call."""
        if self._entries is None:
            self._entries = self._source.dense()
        return self._entries


def hessian_operators(
    evaluation: Evaluation, root: Tensor, blocks: Sequence[Block]
) -> list[tuple[SymmetricOperator, CurvatureRecord]]:
    """Return each block's Hessian operator and how it is computed.

    The closed form is used for a block when the structure allows it and a random product by
    double backward agrees with it, at every step; the generic route otherwise.

    Args:
        evaluation: The loss at the present parameters.
        root: Its live root.
        blocks: Blocks to return, each on the diagonal of the Hessian.

    Raises:
        ValueError: If the loss cannot be differentiated twice.

    Cost: the per-sample derivatives of :func:`~qnewton.curvature.factors.layer_factors` and one
    product a block; no entries are formed.
    """
    graph = GradientGraph(root, evaluation.parameters)
    operators: list[tuple[SymmetricOperator, CurvatureRecord]] = []
    for block, closed in zip(blocks, _closed_forms(evaluation, root, blocks), strict=True):
        if isinstance(closed, str):
            verdict = Verdict(False, closed)
        else:
            verdict = probe(closed, graph, block.parameters)
        source: BlockHessian = (
            closed
            if verdict.holds and not isinstance(closed, str)
            else GenericHessian(graph, block.parameters, evaluation.forward_backward_flops)
        )
        record = CurvatureRecord(
            kind="hessian",
            route="closed-form" if verdict.holds else "generic",
            reason=verdict.reason,
            forming_flops=source.forming_flops,
            batch=evaluation.batch,
        )
        operators.append((HessianOperator(source, block), record))
    return operators


def _closed_forms(
    evaluation: Evaluation, root: Tensor, blocks: Sequence[Block]
) -> list[LayeredHessian | str]:
    """Return each block in closed form, or why there is none."""
    calls = evaluation.calls
    obstacles = structural_obstacles(root, calls, blocks)
    within = [
        _calls_of(calls, block) if obstacle is None else {}
        for block, obstacle in zip(blocks, obstacles, strict=True)
    ]
    used = {index: call for layers in within for index, call in layers.items()}
    per_sample, patched = _routes(used)
    obstacle = memory_obstacle([*per_sample.values()], [*(used.values() if patched else ())])
    if obstacle is not None:
        obstacles = [known or obstacle for known in obstacles]
    if not used or obstacle is not None:
        return [known or "no layer of the block ran" for known in obstacles]
    slopes = adjoints(root, calls, received=bool(patched))
    cross = any(sum(index in per_sample for index in layers) > 1 for layers in within)
    factors = layer_factors(per_sample, slopes.deltas, cross)
    directions = Directions(calls, slopes) if patched else None
    independent = directions is not None and independent_samples(directions, [*patched], [*used])
    return [
        LayeredHessian(factors, directions, independent, layers, block.parameters)
        if known is None
        else known
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


def _routes(
    calls: Mapping[int, LayerCall],
) -> tuple[dict[int, LayerCall], dict[int, LayerCall]]:
    """Return the layers that see one vector a sample, and those that see many.

    The leading dimension of all others is compared with the smallest one: rows that outnumber it
    (tokens of a flattened sequence, say) are not samples, and may interact.
    """
    samples = min((call.samples for call in calls.values()), default=0)
    single = {
        index: call
        for index, call in calls.items()
        if isinstance(call.layer, nn.Linear) and call.output.ndim == 2 and call.samples == samples
    }
    return single, {index: call for index, call in calls.items() if index not in single}
