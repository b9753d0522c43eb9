"""The exact Hessian of the loss, block by block, by the cheapest route that is right."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from qnewton.curvature.blocks import Block
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.closed_form import ClosedForm, closed_forms
from qnewton.curvature.generic import GenericHessian, GradientGraph
from qnewton.curvature.layered import LayeredHessian
from qnewton.curvature.mixed import MixedHessian
from qnewton.curvature.probe import probe
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
    evaluation: Evaluation,
    root: Tensor,
    blocks: Sequence[Block],
    max_dense: int | None = None,
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

    Raises:
        ValueError: If the loss cannot be differentiated twice.

    Cost: the per-sample derivatives of :func:`~qnewton.curvature.factors.layer_factors` and one
    product a block; no entries are formed.
    """
    graph = evaluation.gradient_graph()
    operators: list[tuple[SymmetricOperator, CurvatureRecord]] = []
    formed = [block for block in blocks if max_dense is None or block.n <= max_dense]
    forms = dict(zip(map(id, formed), closed_forms(evaluation, root, formed), strict=True))
    for block in blocks:
        too_large = f"N = {block.n:,} is above max_dense, so products alone"
        form = forms.get(id(block)) or ClosedForm(source=None, reason=too_large)
        source, reason = _source(evaluation, root, block, form, graph)
        record = CurvatureRecord(
            kind="hessian",
            route=_ROUTES[type(source)],
            reason=reason,
            forming_flops=source.forming_flops,
            batch=evaluation.batch,
        )
        operators.append((HessianOperator(source, block), record))
    return operators


def _source(
    evaluation: Evaluation, root: Tensor, block: Block, form: ClosedForm, graph: GradientGraph
) -> tuple[LayeredHessian | MixedHessian | GenericHessian, str]:
    """Return the cheapest computation of a block that is right, and why it is that one."""
    generic = GenericHessian(graph, block.parameters, evaluation.forward_backward_flops)
    if form.source is None:
        return generic, form.reason
    verdict = probe(form.source, graph, block.parameters, form.rest)
    reason = verdict.reason
    if not verdict.holds and form.source.assumes_independence:
        [form] = closed_forms(evaluation, root, [block], per_sample=False)
        if form.source is not None:
            again = probe(form.source, graph, block.parameters, form.rest)
            if again.holds:
                verdict = again
                reason = f"samples interact; by directions in the weights {again.reason}"
    if not verdict.holds or form.source is None:
        return generic, reason
    if form.source.adds_diagonal:
        reason += "; terms of parameters alone (weight decay) are added on its diagonal"
    if not form.rest:
        return form.source, reason
    count = sum(parameter.numel() for parameter in form.rest)
    mixed = MixedHessian(
        form.source, graph, block.parameters, form.rest, evaluation.forward_backward_flops
    )
    return mixed, f"{form.reason}: {count} rows by double backward; of the others {reason}"


_ROUTES = {LayeredHessian: "closed-form", MixedHessian: "mixed", GenericHessian: "generic"}
