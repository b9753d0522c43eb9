"""One loss that was evaluated in parts, such as a batch in micro-batches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from qnewton.curvature.evaluation import Evaluation
from qnewton.curvature.output_loss import OutputLoss
from qnewton.curvature.sample_mean import Reduction, sample_mean
from qnewton.curvature.watching import single_output
from qnewton.curvature.work import GraphWork
from qnewton.operators import LinearSystem, weighted_sum
from qnewton.records import CurvatureRecord

Number = TypeVar("Number", int, float)

Parts = Sequence[tuple[float, Evaluation]]
"""The evaluations, and the weight of each one's loss in the sum."""


def together(parts: Parts) -> Evaluation:
    """Return the evaluation of Σ w_k L_k from those of the L_k, of the same parameters.

    Args:
        parts: The w_k and the evaluations, at least one.
    """
    if len(parts) == 1 and parts[0][0] == 1.0:
        return parts[0][1]
    evaluations = [part for _, part in parts]
    first = evaluations[0]
    roots = [weight * part.root for weight, part in parts if part.root is not None]
    gradients = tuple(
        _sum([(weight, part.gradients[i]) for weight, part in parts])
        for i in range(len(first.parameters))
    )
    return Evaluation(
        loss=sum(weight * part.loss for weight, part in parts),
        root=torch.stack(roots).sum() if len(roots) == len(parts) else None,
        parameters=first.parameters,
        gradients=gradients,
        calls=tuple(call for part in evaluations for call in part.calls),
        batch=_total([part.batch for part in evaluations]),
        work=_work([part.work for part in evaluations]),
        outputs=tuple(output for part in evaluations for output in part.outputs),
        loss_gradients=gradients,
        parts=tuple(parts),
    )


def sum_of_systems(
    weights: Sequence[float], parts: Sequence[list[LinearSystem]]
) -> list[LinearSystem]:
    """Return each block's system with the weighted sum of the parts' operators.

    Args:
        weights: The w_k.
        parts: The systems of every part, in the same blocks; their right-hand sides are not used.
    """
    summed = []
    for systems in zip(*parts, strict=True):
        operators = [system.operator for system in systems]
        summed.append(
            replace(
                systems[0],
                operator=weighted_sum(list(zip(weights, operators, strict=True))),
                curvature=_record([system.curvature for system in systems]),
            )
        )
    return summed


def shares_of_one_mean(parts: Parts, reduction: Reduction | None) -> list[float]:
    """Return m/m_k of every part, the weights of Fisher matrices of shares of one mean.

    A sample's gradient is m times that of its share of the loss, where its part, which counts m_k
    samples alone, tells m_k times; F = (1/m) Σ g_i g_iᵀ is then Σ (m/m_k) F_k. Sums weigh one.

    Args:
        parts: The evaluations, with their graphs.
        reduction: What the loss is of its samples' losses; ``None`` to look.

    Raises:
        ValueError: If a part did not call the model once, or nothing tells its m_k.

    Cost: one backward pass through the loss a part.
    """
    means = []
    for _, part in parts:
        assert part.root is not None
        output = single_output(part.outputs)
        gradient = OutputLoss(part.root, output, output.dtype).gradient
        means.append(sample_mean(part.root, output, gradient, reduction))
    if any(mean.is_sum for mean in means):
        return [1.0] * len(means)
    total = sum(mean.counted for mean in means)
    return [total / mean.counted if mean.counted else 1.0 for mean in means]


def _record(records: Sequence[CurvatureRecord | None]) -> CurvatureRecord | None:
    known = [record for record in records if record is not None]
    if len(known) < len(records):
        return None
    return replace(
        known[0],
        reason=f"{known[0].reason}; the sum over {len(known)} passes",
        forming_flops=_total([record.forming_flops for record in known]),
        product_flops=_total([record.product_flops for record in known]),
        product_operations=_total([record.product_operations for record in known]),
        # Each part differentiates its own through its own graph, and all graphs are counted.
        forming_rows=max(record.forming_rows for record in known),
        forming_rows_flops=sum(record.forming_rows_flops for record in known),
        preparing_flops=sum(record.preparing_flops for record in known),
        preparing_calls=sum(record.preparing_calls for record in known),
        batch=_total([record.batch for record in known]),
    )


def _work(found: Sequence[GraphWork | None]) -> GraphWork | None:
    known = [work for work in found if work is not None]
    if len(known) < len(found):
        return None
    flops, operations = sum(w.flops for w in known), sum(w.operations for w in known)
    return GraphWork(flops, operations, known[0].structure)


def _sum(terms: Sequence[tuple[float, Tensor | None]]) -> Tensor | None:
    known = [weight * gradient for weight, gradient in terms if gradient is not None]
    return torch.stack(known).sum(0) if known else None


def _total(found: Sequence[Number | None]) -> Number | None:
    known = [number for number in found if number is not None]
    return sum(known[1:], known[0]) if len(known) == len(found) else None
