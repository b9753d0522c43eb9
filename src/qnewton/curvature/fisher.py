"""The empirical Fisher matrix, a low-rank operator made of the gradients of single samples."""

import math
from collections.abc import Sequence

from torch import Tensor

from qnewton.curvature.blocks import Block
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.generic import CHUNK
from qnewton.curvature.jacobian import JacobianGraph
from qnewton.curvature.output_loss import OutputLoss, past_output
from qnewton.curvature.outputs import single_output
from qnewton.curvature.route_memory import RouteMemory
from qnewton.curvature.sample_factor import SampleFactors
from qnewton.curvature.sample_mean import Reduction, sample_mean
from qnewton.curvature.work import GraphWork
from qnewton.operators import SymmetricOperator
from qnewton.records import CurvatureRecord

_BY_SAMPLE = "samples"


def fisher_operators(
    evaluation: Evaluation,
    root: Tensor,
    blocks: Sequence[Block],
    reduction: Reduction | None = None,
    memory: RouteMemory | None = None,
) -> list[tuple[SymmetricOperator, CurvatureRecord]]:
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
    backward pass a sample (``generic``). What the loss does with parameters around f (an L2
    penalty) belongs to no sample and is left out.

    Args:
        evaluation: The loss at the present parameters, with the model's output recorded.
        root: Its live root.
        blocks: Blocks to return, each on the diagonal of F.
        reduction: What the closure's loss is of its samples' losses; ``None`` to look.
        memory: What earlier steps rejected, which is not tried again.

    Raises:
        ValueError: If the model was not called exactly once or returned no tensor; if samples
            interact in the loss; if nothing tells over how many it is a mean; if the columns need
            more memory than the limit.

    Cost: one backward pass through the activations, one more a block to compare a random product,
    and two double backwards through the loss alone.

    Reference: Kunstner, Balles and Hennig 2019 (arXiv:1905.12558).
    """
    output = single_output(evaluation.outputs)
    parameters = [p for block in blocks for p in block.parameters]
    loss = OutputLoss(root, output, parameters[0].dtype)
    if loss.couples_samples():
        raise ValueError(
            "samples interact in the loss, so there is no gradient of a single sample; use "
            "kind='ggn' or kind='hessian'"
        )
    mean = sample_mean(root, output, loss.gradient, reduction)
    cotangents = (math.sqrt(mean.counted) * loss.gradient)[None]
    jacobian = JacobianGraph(output, parameters)
    factors = SampleFactors(output, cotangents, min(output.ndim, 1), evaluation.calls, jacobian)
    names = [name for block in blocks for name in block.names]
    around = past_output(root, output, names, parameters)
    note = mean.note
    if around is not None:
        note += f"; left out: how the loss itself depends on {around}"
    known, work = memory or RouteMemory(), evaluation.work or GraphWork(0.0, 0)
    return [_operator(block, factors, note, known, work) for block in blocks]


def _operator(
    block: Block, factors: SampleFactors, note: str, memory: RouteMemory, work: GraphWork
) -> tuple[SymmetricOperator, CurvatureRecord]:
    factors, reason, passes = _factors(block, factors, memory)
    missing = factors.missing(block)
    _check_memory(block, factors)
    operator, flops = factors.low_rank(block)
    passes += factors.columns_apart(block)
    if reason is None and missing and not factors.by_layers(block):
        # Columns that were differentiated one by one need no comparison.
        reason = f"{missing[0]} is not used by linear or convolution layers alone"
    if reason is None:
        verdict = factors.verdict(operator.factor, block)
        reason = verdict.reason
        passes += 2
        if not verdict.holds:
            if verdict.structural:
                memory.reject(block.name, "fisher", _BY_SAMPLE)
            factors = factors.without_layers()
            _check_memory(block, factors)
            operator, flops = factors.low_rank(block)
            passes += factors.columns_apart(block)
        elif missing:
            reason = f"{missing[0]} is not used by linear or convolution layers alone; {reason}"
    record = CurvatureRecord(
        kind="fisher",
        route="generic" if factors.missing(block) else "sample-space",
        reason=reason + note,
        forming_flops=flops,
        batch=factors.samples,
        preparing_flops=passes * work.flops / 3,
        preparing_calls=2 + math.ceil(passes / CHUNK),
    )
    return operator, record


def _factors(
    block: Block, factors: SampleFactors, memory: RouteMemory
) -> tuple[SampleFactors, str | None, int]:
    """Return how to make the columns; why not by layers, if so; and the passes that told."""
    before = memory.rejected(block.name, "fisher", _BY_SAMPLE)
    if before is not None:
        why = f"samples interact in the network, as step {before} found"
        return factors.without_layers(), why, 0
    verdict = factors.interact(block)
    if verdict is None:
        return factors, None, 2
    memory.reject(block.name, "fisher", _BY_SAMPLE)
    return factors.without_layers(), verdict.reason, 2


def _check_memory(block: Block, factors: SampleFactors) -> None:
    obstacle = factors.obstacle(block)
    if obstacle is not None:
        raise ValueError(
            f"the Fisher block {block.name!r} does not fit: {obstacle}; use a smaller batch or "
            "blocks='layer', or freeze that parameter"
        )
