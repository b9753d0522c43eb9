"""The exact Hessian of the loss, block by block, by the cheapest route that is right."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

import torch
from torch import Tensor

from qnewton.curvature.blocks import Block
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.closed_form import ClosedForm, closed_forms
from qnewton.curvature.generic import GenericHessian
from qnewton.curvature.layered import LayeredHessian
from qnewton.curvature.mixed import MixedHessian
from qnewton.curvature.probe import Verdict, probe
from qnewton.curvature.route_memory import RouteMemory
from qnewton.curvature.work import GraphWork, SourceCost
from qnewton.operators import SymmetricOperator
from qnewton.records import CurvatureRecord


class BlockHessian(Protocol):
    """One block's Hessian, whichever way it is computed."""

    @property
    def cost(self) -> SourceCost:
        """What forming the entries takes, and one product."""
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
    evaluation: Evaluation,
    root: Tensor,
    blocks: Sequence[Block],
    max_dense: int | None = None,
    memory: RouteMemory | None = None,
) -> list[tuple[SymmetricOperator, CurvatureRecord]]:
    """Return each block's Hessian operator and how it is computed.

    The closed form is used for a block when the structure allows it and a random product by
    double backward agrees with it, at every step; the generic route otherwise. Where that product
    disagrees because samples interact, directions in the weights, which do not mind, are tried
    before the generic route. Single parameters of a block without a closed form get their rows by
    double backward.

    Args:
        evaluation: The loss at the present parameters.
        root: Its live root.
        blocks: Blocks to return, each on the diagonal of the Hessian.
        max_dense: Blocks with more rows go by double backward without a look at the closed form,
            whose factors would be as large as they are; ``None`` for no limit.
        memory: What earlier steps rejected, which is not tried again.

    Raises:
        ValueError: If the loss cannot be differentiated twice.

    Cost: the per-sample derivatives of :func:`~qnewton.curvature.factors.layer_factors` and one
    product a block; no entries are formed.
    """
    builder = _Builder(evaluation, root, memory or RouteMemory())
    formed = [block for block in blocks if max_dense is None or block.n <= max_dense]
    forms = builder.forms(formed)
    operators: list[tuple[SymmetricOperator, CurvatureRecord]] = []
    for block in blocks:
        too_large = f"N = {block.n:,} is above max_dense, so products alone"
        form = forms.get(id(block)) or ClosedForm(source=None, reason=too_large)
        source, reason = builder.source(block, form)
        flops, calls = builder.spent()
        record = CurvatureRecord(
            kind="hessian",
            route=_ROUTES[type(source)],
            reason=reason,
            batch=evaluation.batch,
            preparing_flops=flops,
            preparing_calls=calls,
            **asdict(source.cost),
        )
        operators.append((HessianOperator(source, block), record))
    return operators


class _Builder:
    """What the blocks of one evaluation share, and what was spent on them so far."""

    def __init__(self, evaluation: Evaluation, root: Tensor, memory: RouteMemory) -> None:
        self._evaluation = evaluation
        self._root = root
        self._memory = memory
        self._graph = evaluation.gradient_graph()
        self._work = evaluation.work or GraphWork(0.0, 0)
        # The gradient's own graph takes one pass.
        self._flops, self._calls = self._work.flops, 1

    def spent(self) -> tuple[float, int]:
        """Return the operations and passes spent since it was asked last."""
        spent = self._flops, self._calls
        self._flops, self._calls = 0.0, 0
        return spent

    def forms(self, blocks: Sequence[Block]) -> dict[int, ClosedForm]:
        """Return the closed form of each block that did not reject it before, by the block's id."""
        by_sample = [b for b in blocks if self._rejected(b, _BY_SAMPLE) is None]
        others = [b for b in blocks if self._rejected(b, _BY_SAMPLE) is not None]
        by_directions = [b for b in others if self._rejected(b, _BY_DIRECTIONS) is None]
        forms = {
            id(block): ClosedForm(
                None,
                reason=f"the closed form was rejected at step {self._rejected(block, _BY_SAMPLE)}",
            )
            for block in others
        }
        for chosen, per_sample in ((by_sample, True), (by_directions, False)):
            if chosen:
                found = self._closed_forms(chosen, per_sample)
                forms |= dict(zip(map(id, chosen), found, strict=True))
        return forms

    def source(
        self, block: Block, form: ClosedForm
    ) -> tuple[LayeredHessian | MixedHessian | GenericHessian, str]:
        """Return the cheapest computation of a block that is right, and why it is that one."""
        generic = GenericHessian(self._graph, block.parameters, self._work)
        if form.source is None:
            return generic, form.reason
        interact = self._rejected(block, _BY_SAMPLE)
        verdict = self._probe(block, form)
        reason = verdict.reason
        if interact is not None:
            reason = f"samples interact, as step {interact} found; by directions {reason}"
        elif not verdict.holds and form.source.assumes_independence:
            self._reject(block, verdict, _BY_SAMPLE)
            [form] = self._closed_forms([block], per_sample=False)
            if form.source is not None:
                verdict = self._probe(block, form)
                if verdict.holds:
                    reason = f"samples interact; by directions in the weights {verdict.reason}"
        if not verdict.holds or form.source is None:
            self._reject(block, verdict, _BY_SAMPLE, _BY_DIRECTIONS)
            return generic, reason
        if form.source.adds_diagonal:
            reason += "; terms of parameters alone (weight decay) are added on its diagonal"
        if not form.rest:
            return form.source, reason
        count = sum(parameter.numel() for parameter in form.rest)
        mixed = MixedHessian(form.source, self._graph, block.parameters, form.rest, self._work)
        return mixed, f"{form.reason}: {count} rows by double backward; of the others {reason}"

    def _rejected(self, block: Block, route: str) -> int | None:
        return self._memory.rejected(block.name, "hessian", route)

    def _reject(self, block: Block, verdict: Verdict, *routes: str) -> None:
        for route in routes if verdict.structural else ():
            if self._rejected(block, route) is None:
                self._memory.reject(block.name, "hessian", route)

    def _closed_forms(self, blocks: Sequence[Block], per_sample: bool) -> list[ClosedForm]:
        forms = closed_forms(self._evaluation, self._root, blocks, per_sample)
        if any(form.source is not None for form in forms):
            layers = self._evaluation.calls
            # δ's derivatives are a backward pass through activations for every output of a layer,
            # those of its input, where another layer is before it, one for every input.
            rows = sum(call.outputs for call in layers) if per_sample else 2
            rows += sum(call.inputs for call in layers[1:]) if per_sample else 0
            self._flops += rows * self._work.flops / 3
            self._calls += 2 * len(layers)
        return forms

    def _probe(self, block: Block, form: ClosedForm) -> Verdict:
        assert form.source is not None
        self._flops += self._graph.passes * self._work.flops + form.source.cost.product_flops
        self._calls += 1
        return probe(form.source, self._graph, block.parameters, form.rest)


_BY_SAMPLE, _BY_DIRECTIONS = "closed-form", "directions"


_ROUTES = {LayeredHessian: "closed-form", MixedHessian: "mixed", GenericHessian: "generic"}
