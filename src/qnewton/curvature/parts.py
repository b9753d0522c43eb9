"""One loss that was evaluated in parts, such as a batch in micro-batches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from qnewton.curvature.evaluation import Evaluation
from qnewton.curvature.output_loss import OutputLoss
from qnewton.curvature.routes import GraphWork
from qnewton.curvature.sample_mean import Reduction, sample_mean
from qnewton.curvature.watching import single_output
from qnewton.operators import LinearSystem, weighted_sum
from qnewton.records import CurvatureRecord

Number = TypeVar("Number", int, float)

Parts = Sequence[tuple[float, Evaluation]]
"""The evaluations, and the weight of each one's loss in the sum."""

# What records of parts add up; each part differentiates its own rows through its own graph.
_SUMMED = (
    *("forming_flops", "product_flops", "product_operations", "forming_rows_flops"),
    *("preparing_flops", "preparing_calls", "batch"),
)


def together(parts: Parts) -> Evaluation:
    """Return the evaluation of Σ w_k L_k from those of the L_k, of the same parameters.

    Args:
        parts: The w_k and the evaluations, at least one.

    Example:
        >>> from qnewton.curvature import Curvature
        >>> w = torch.ones(2, requires_grad=True)
        >>> curvature = Curvature([w], blocks="full")
        >>> halves = [(0.5, curvature.evaluate(lambda: (w**2).sum())) for _ in range(2)]
        >>> together(halves).loss
        2.0
    """
    if len(parts) == 1 and parts[0][0] == 1.0:
        return parts[0][1]
    evaluations = [part for _, part in parts]
    roots = [weight * part.root for weight, part in parts if part.root is not None]
    gradients = tuple(
        _sum([(weight, part.gradients[i]) for weight, part in parts])
        for i in range(len(evaluations[0].parameters))
    )
    return Evaluation(
        loss=sum(weight * part.loss for weight, part in parts),
        root=torch.stack(roots).sum() if len(roots) == len(parts) else None,
        parameters=evaluations[0].parameters,
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
    """Return each block's system with the weighted sum of the parts' operators, as ``A`` alone."""
    summed = []
    for systems in zip(*parts, strict=True):
        terms = zip(weights, (system.operator for system in systems), strict=True)
        record = _record([system.curvature for system in systems])
        summed.append(
            replace(systems[0], operator=weighted_sum(list(terms)), curvature=record, target=None)
        )
    return summed


def shares_of_one_mean(parts: Parts, reduction: Reduction | None) -> list[float]:
    """Return m/m_k of every part, the weights of Fisher matrices of shares of one mean.

    A sample's gradient is m times that of its share of the loss, where its part, which counts m_k
    samples alone, tells m_k times; F = (1/m) Σ g_i g_iᵀ is then Σ (m/m_k) F_k. Sums weigh one.
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
    totals = {name: _total([getattr(record, name) for record in known]) for name in _SUMMED}
    rows = max(record.forming_rows for record in known)
    reason = f"{known[0].reason}; the sum over {len(known)} passes"
    return replace(known[0], reason=reason, forming_rows=rows, **totals)


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
