"""The empirical Fisher matrix, a low-rank operator made of the gradients of single samples."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from qnewton.curvature.autograd import leaf_uses
from qnewton.curvature.blocks import Block
from qnewton.curvature.columns import SampleColumns
from qnewton.curvature.evaluation import Evaluation
from qnewton.curvature.generic import CHUNK, JacobianGraph, Operators
from qnewton.curvature.layers import Layer, LayerCall
from qnewton.curvature.output_loss import OutputLoss, past_output
from qnewton.curvature.routes import GraphWork, Refused, RouteMemory
from qnewton.curvature.sample_mean import Reduction, sample_mean
from qnewton.curvature.watching import SignalRecorder, single_output
from qnewton.operators import LowRankOperator, StackedFactor
from qnewton.records import CurvatureRecord

MAX_BLOCK_BYTES = 1 << 31
"""Bytes of one block's factor; a larger one is refused before it is allocated."""

# The loss is differentiated twice to see whether it couples samples if its input has no more.
_PROBED_ENTRIES = 1 << 26
# Routes as a memory of rejections names them: of one block, and of all blocks in one pass.
_BY_SAMPLE, _ONE_PASS = "samples", "one-pass"

_COUPLED = (
    "samples interact in the loss, so there is no gradient of a single sample; use kind='ggn' or "
    "kind='hessian'"
)


def fisher_operators(
    evaluation: Evaluation,
    root: Tensor,
    blocks: Sequence[Block],
    reduction: Reduction | None = None,
    memory: RouteMemory | None = None,
    one_pass: "OnePassFisher | None" = None,
) -> Operators:
    """Return each block of F = (1/m) Σ_i g_i g_iᵀ, with g_i the gradient of the i-th loss ℓ_i.

    The closure's loss is the mean L = (1/m) Σ_i ℓ_i over the m samples that it counts, of the n
    along the leading dimension of the model's output f, so g_i = m·∂L/∂θ through sample i. Those
    that ``ignore_index`` or a mask leaves out are not counted
    (:func:`~qnewton.curvature.sample_mean.sample_mean`). For a ``sum`` L = Σ_i ℓ_i, F is
    Σ_i g_i g_iᵀ: scaled like the curvature of L, as for the mean. A sample is one index of that
    dimension: of an output [n, T, C] a sequence, and ℓ_i all its tokens' share. Weights of
    classes or samples are part of ℓ_i.

    F = U Uᵀ with U = [g_1 … g_n]/√m. One backward pass gives the columns of linear and convolution
    layers as products of their inputs and the signals at their outputs (route ``sample-space``);
    where other parameters are in the block, or samples interact in the network, they take one
    backward pass per sample (``generic``). What the loss does with parameters around f (an L2
    penalty) belongs to no sample and is left out.

    Args:
        evaluation: The loss at the present parameters, with the model's output recorded.
        root: Its live root.
        blocks: Blocks to return, each on the diagonal of F.
        reduction: What the closure's loss is of its samples' losses; ``None`` to look.
        memory: What earlier steps rejected, which is not tried again.
        one_pass: Has recorded the backward pass that gave the gradient, whose signals are then
            enough; ``None`` where nobody did.

    Raises:
        ValueError: If the model was not called exactly once or returned no tensor; if samples
            interact in the loss; if nothing tells over how many it is a mean; if the columns need
            more memory than the limit.

    Cost: one backward pass through the activations, one more a block to compare a random product,
    and two double backwards through the loss alone.

    Reference: Kunstner, Balles and Hennig 2019 (arXiv:1905.12558).
    """
    memory, note = memory or RouteMemory(), ""
    if one_pass is not None:
        before = memory.rejected(_ONE_PASS, "fisher", _BY_SAMPLE)
        if before is not None:
            found = Refused(f"rejected at step {before}")
        else:
            found = one_pass.operators(root, reduction, memory)
        one_pass.recorder.release()
        if not isinstance(found, Refused):
            return found
        if before is None:
            memory.reject(_ONE_PASS, "fisher", _BY_SAMPLE)
        note = f"; one pass: {found.reason}"
    output = single_output(evaluation.outputs)
    parameters = [p for block in blocks for p in block.parameters]
    loss = OutputLoss(root, output, parameters[0].dtype)
    if loss.couples_samples(memory):
        raise ValueError(_COUPLED)
    mean = sample_mean(root, output, loss.gradient, reduction)
    cotangents = (math.sqrt(mean.counted) * loss.gradient)[None]
    jacobian = JacobianGraph(output, parameters)
    columns = SampleColumns.of_graph(jacobian, cotangents, min(output.ndim, 1), evaluation.calls)
    note = mean.note + past_output(root, output, blocks) + note
    work = evaluation.work or GraphWork(0.0, 0)
    operators: Operators = []
    for block in blocks:
        operator, record = _operator(block, columns, memory, work)
        operators.append((operator, replace(record, reason=record.reason + note)))
    return operators


def _operator(
    block: Block, columns: SampleColumns, memory: RouteMemory, work: GraphWork
) -> tuple[LowRankOperator, CurvatureRecord]:
    before, passes, reason = memory.rejected(block.name, "fisher", _BY_SAMPLE), 0, ""
    if before is not None:
        refused = Refused(f"samples interact in the network, as step {before} found")
    else:
        refused, passes = columns.interact(block), 2
    operator, flops = None, 0.0
    if refused is None:
        operator, flops = _low_rank(block, columns)
        passes += columns.columns_apart(block)
        beside = columns.all_by_layers(block)
        reasons = [] if beside is None else [beside.reason]
        # Columns that were differentiated one by one need no comparison.
        if beside is None or columns.by_layers(block):
            passes += 2
            verdict = columns.compared(operator.factor, block.parameters)
            if isinstance(verdict, Refused):
                refused = verdict
            else:
                reasons.append(verdict)
        reason = "; ".join(reasons)
    if refused is not None:
        if before is None and refused.lasting:
            memory.reject(block.name, "fisher", _BY_SAMPLE)
        columns, reason = columns.without_layers(), refused.reason
        operator, flops = _low_rank(block, columns)
        passes += columns.columns_apart(block)
    assert operator is not None
    record = CurvatureRecord(
        kind="fisher",
        route="generic" if columns.missing(block) else "sample-space",
        reason=reason,
        forming_flops=flops,
        batch=columns.samples,
        preparing_flops=passes * work.flops / 3,
        preparing_calls=2 + math.ceil(passes / CHUNK),
    )
    return operator, record


def _low_rank(block: Block, columns: SampleColumns) -> tuple[LowRankOperator, float]:
    refusal = columns.refusal(block)
    if refusal is not None:
        raise ValueError(
            f"the Fisher block {block.name!r} does not fit: {refusal.reason}; use a smaller batch "
            "or blocks='layer', or freeze that parameter"
        )
    return columns.low_rank(block)


class OnePassFisher:
    """F = (1/m) Σ g_i g_iᵀ a block, g_i from the inputs and output gradients of its layers.

    A linear layer's column is g_i = m Σ_t δ_it ⊗ a_it with δ = ∂L/∂s at its output and a its
    input at position t; a normalisation's weight has m Σ_t δ_it ∘ x̂_it and its bias m Σ_t δ_it.
    All are known after the one backward pass that gives the gradient. What a sample is, and what
    is left out, is as in :func:`~qnewton.curvature.fisher.fisher_operators`.

    The first pass of given shapes is checked: a random product of all blocks against one more
    backward pass, and the loss for coupling between samples where its input is small enough to
    differentiate it twice. Later passes of the same shapes, whose parameters enter the loss as
    often, are believed.

    Args:
        model: The module.
        blocks: The blocks, on the diagonal of F.

    Attributes:
        recorder: Has to watch the closure.
    """

    def __init__(self, model: nn.Module, blocks: Sequence[Block]) -> None:
        self._blocks = tuple(blocks)
        self._parameters = [p for block in blocks for p in block.parameters]
        self.recorder = SignalRecorder(model, self._parameters)
        self._checked: dict[tuple[Any, ...], str] = {}

    @property
    def possible(self) -> bool:
        """Whether every parameter belongs to a layer whose columns are known."""
        return self.recorder.covers_all

    def operators(
        self, root: Tensor, reduction: Reduction | None, memory: RouteMemory
    ) -> Operators | Refused:
        """Return each block's operator, or why there is none from this pass."""
        output, gradient = single_output(self.recorder.outputs), self.recorder.output_gradient
        if output.ndim == 0 or gradient is None:
            return Refused("the output is a number, or no gradient reached it")
        lead = output.shape[:1]
        mean = sample_mean(root, output, gradient, reduction)
        scale = math.sqrt(mean.counted)
        for call in self.recorder.calls:
            if not _shows_samples(call, lead):
                shape = tuple(call.input.shape)
                return Refused(f"a layer's input of shape {shape} hides its samples")
        owners = {id(p): self.recorder.passes(p) for p in self._parameters}
        cotangents = scale * gradient.to(self._parameters[0].dtype)[None]
        jacobian = JacobianGraph(output, self._parameters)
        columns = SampleColumns(
            jacobian, cotangents, 1, owners, lambda call: self.recorder.signal(call, lead, scale)
        )
        for block in self._blocks:
            self._check_bytes(block, columns)
        made = [columns.low_rank(block) for block in self._blocks]
        factor = StackedFactor([operator.factor for operator, _ in made])
        verdict = self._verdict(root, columns, factor, memory)
        if isinstance(verdict, Refused):
            return verdict
        records = [
            CurvatureRecord(
                kind="fisher",
                route="sample-space",
                reason=verdict + mean.note,
                forming_flops=flops,
                batch=columns.samples,
            )
            for _, flops in made
        ]
        return [(operator, record) for (operator, _), record in zip(made, records, strict=True)]

    def _check_bytes(self, block: Block, columns: SampleColumns) -> None:
        entries = 0
        for p in block.parameters:
            if p.ndim == 1 or columns.is_formed(p):
                entries += p.numel() * columns.samples
            else:
                entries += sum(c.input.numel() + c.output.numel() for c in self.recorder.passes(p))
        needed = entries * block.parameters[0].element_size()
        if needed > MAX_BLOCK_BYTES:
            raise ValueError(
                f"the Fisher block {block.name!r} of N = {block.n:,} needs {needed:,} bytes, limit "
                f"{MAX_BLOCK_BYTES:,}; let larger blocks take first-order steps (max_newton), or "
                "use a smaller batch"
            )

    def _verdict(
        self, root: Tensor, columns: SampleColumns, factor: StackedFactor, memory: RouteMemory
    ) -> str | Refused:
        """Return what a check of these shapes found, now or before."""
        output, uses = columns.jacobian.output, leaf_uses([root])
        shapes = tuple(call.output.shape for call in self.recorder.calls)
        key = (output.shape, shapes, tuple(uses[id(p)] for p in self._parameters))
        if key in self._checked:
            return f"checked at an earlier pass of these shapes: {self._checked[key]}"
        coupling = _coupling(root, output, memory)
        verdict = columns.compared(factor, self._parameters, "a random product of all blocks")
        if isinstance(verdict, Refused):
            return Refused(
                "samples interact in the network, or a parameter is used outside its layer"
            )
        around = past_output(root, output, self._blocks)
        self._checked[key] = f"{verdict}; {coupling}{around}"
        return self._checked[key]


def _shows_samples(call: LayerCall, lead: Any) -> bool:
    """Return whether the leading dimension of what a layer gives counts the samples."""
    if isinstance(call.layer, Layer):
        return call.patch_shape(lead) is not None
    return call.output.ndim > 1 and call.output.shape[:1] == lead


def _coupling(root: Tensor, output: Tensor, memory: RouteMemory) -> str:
    """Return what is known of samples that interact in the loss."""
    if output.numel() > _PROBED_ENTRIES:
        return (
            f"assumed, not checked: no samples interact in a loss of {output.numel():.2g} outputs"
        )
    if OutputLoss(root, output, output.dtype).couples_samples(memory):
        raise ValueError(_COUPLED)
    return "no samples interact in the loss"
