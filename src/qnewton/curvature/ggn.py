"""The generalised Gauss-Newton matrix of the loss, block by block, by the cheapest right route."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.blocks import Block
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.generic import GenericHessian
from qnewton.curvature.hessian import BlockHessian, HessianOperator
from qnewton.curvature.jacobian import GaussNewtonGraph, JacobianGraph
from qnewton.curvature.linearised import linearised
from qnewton.curvature.output_loss import (
    OutputFactor,
    OutputLoss,
    output_factor,
    output_shaped,
    past_output,
)
from qnewton.curvature.outputs import single_output
from qnewton.curvature.probe import probe
from qnewton.curvature.sample_factor import SampleFactors
from qnewton.operators import LowRankOperator, SymmetricOperator
from qnewton.records import CurvatureRecord

# Entries of the cotangents of all columns: 1 GB in float32.
_MAX_ENTRIES = 1 << 28
_NO_FACTOR = "∂²L/∂f² has negative eigenvalues, so it has no factor"


def ggn_operators(
    evaluation: Evaluation, root: Tensor, blocks: Sequence[Block]
) -> list[tuple[SymmetricOperator, CurvatureRecord]]:
    """Return each block of G = Jᵀ (∂²L/∂f²) J, with f the model's output, J = ∂f/∂θ.

    The loss holds its own factor (1/n of a mean). With ∂²L/∂f² = S Sᵀ, one C × C matrix a sample
    and position, G = U Uᵀ for U = JᵀS of shape [N, k], k = samples × positions × outputs. A block
    takes the first of these routes that applies and whose random product agrees with automatic
    differentiation; the record says why the others did not:

    * ``sample-space``: k < N and the loss convex in f. A low-rank operator, never N² entries.
    * ``closed-form``: every parameter belongs to one pass of a linear layer on one vector a
      sample. The Hessian's closed form with B^{lm} = (∂f/∂s_l)ᵀ (∂²L/∂f²) (∂f/∂s_m) and J = 0.
    * ``jacobian``: every parameter belongs to linear or convolution layers, and the loss is convex
      in f. The entries of U Uᵀ are formed a few columns at a time.
    * ``generic``: products Jᵀ((∂²L/∂f²)(J v)) by automatic differentiation, for any loss.

    Args:
        evaluation: The loss at the present parameters, with the model's output recorded.
        root: Its live root.
        blocks: Blocks to return, each on the diagonal of G.

    Raises:
        ValueError: If the model was not called exactly once or returned no tensor; if the loss
            does not use its output or cannot be differentiated twice in it.

    Cost: C double backward passes through the loss, a backward pass through the activations for
    every column of S (C - 1 for softmax cross-entropy), and one product each way a block.

    Reference: Schraudolph, Neural Computation 14 (2002) 1723; Martens (arXiv:1412.1193).
    """
    builder = _Builder(evaluation, root, blocks)
    return [builder.operator(block) for block in blocks]


@dataclass(frozen=True)
class _Choice:
    """The route of one block."""

    route: str
    reason: str
    operator: SymmetricOperator
    forming_flops: float | None


@dataclass(frozen=True)
class _ColumnSource:
    """A block G = U Uᵀ whose factor has more columns than rows, so that entries pay."""

    matrix: LowRankOperator
    forming_flops: float

    def product(self, vector: Tensor) -> Tensor:
        return self.matrix @ vector

    def dense(self) -> Tensor:
        return self.matrix.dense()


class _Builder:
    """What the blocks of one evaluation share."""

    def __init__(self, evaluation: Evaluation, root: Tensor, blocks: Sequence[Block]) -> None:
        self._evaluation = evaluation
        self._output = single_output(evaluation.outputs)
        parameters = [p for block in blocks for p in block.parameters]
        names = [name for block in blocks for name in block.names]
        loss = OutputLoss(root, self._output, parameters[0].dtype)
        self._jacobian = JacobianGraph(self._output, parameters)
        self._graph = GaussNewtonGraph(loss, self._jacobian)
        self._outer = output_factor(loss)
        self._readings = [] if isinstance(self._outer, str) else self._all_readings(self._outer)
        around = past_output(root, self._output, names, parameters)
        self._note = (
            "" if around is None else f"; left out: how the loss itself depends on {around}"
        )

    def operator(self, block: Block) -> tuple[SymmetricOperator, CurvatureRecord]:
        """Return the operator of one block and how it is computed."""
        choice = self._choose(block)
        record = CurvatureRecord(
            kind="ggn",
            route=choice.route,
            reason=choice.reason + self._note,
            forming_flops=choice.forming_flops,
            batch=self._output.shape[0] if self._output.ndim else None,
        )
        return choice.operator, record

    def _choose(self, block: Block) -> _Choice:
        if isinstance(self._outer, str):
            return self._generic(block, self._outer)
        refusals: list[str] = []
        for samples in self._readings:
            refusals = []
            for route in (self._sample_space, self._closed_form, self._from_columns):
                found = route(block, samples, self._outer)
                if isinstance(found, _Choice):
                    return _Choice(
                        found.route,
                        "; ".join(dict.fromkeys([*refusals, found.reason])),
                        found.operator,
                        found.forming_flops,
                    )
                refusals.append(found)
        too_many = f"cotangents of all positions need over {_MAX_ENTRIES:.2g} entries"
        return self._generic(block, "; ".join(dict.fromkeys(refusals)) or too_many)

    def _all_readings(self, outer: OutputFactor) -> list[SampleFactors]:
        """Return what may count as a sample of the network: every position, or every sequence.

        Tokens that a network treats one by one are samples of their own, which needs far fewer
        columns; whether it does is seen by a random product.
        """
        f = self._output
        per_position = f.ndim > 2 and outer.class_dim == f.ndim - 1
        choices = (f.ndim - 1, 1) if per_position else (min(f.ndim, 1),)
        cotangents = [_cotangents(outer, f.shape, dims) for dims in choices]
        return [
            SampleFactors(f, u, dims, self._evaluation.calls, self._jacobian)
            for u, dims in zip(cotangents, choices, strict=True)
            if u is not None
        ]

    def _sample_space(
        self, block: Block, samples: SampleFactors, outer: OutputFactor
    ) -> _Choice | str:
        if outer.signs is not None:
            return _NO_FACTOR
        if samples.rank >= block.n:
            return f"{samples.rank} columns are not fewer than {block.n} parameters"
        found = self._columns(block, samples, outer)
        if isinstance(found, str):
            return found
        operator, flops, agreement = found
        reason = f"{samples.rank} columns are fewer than {block.n} parameters; {agreement}"
        return _Choice("sample-space", reason, operator, flops)

    def _closed_form(
        self, block: Block, samples: SampleFactors, outer: OutputFactor
    ) -> _Choice | str:
        obstacle = samples.layered_obstacle(block)
        if obstacle is not None:
            return obstacle
        source = linearised(samples.signals(block), block.parameters, outer.signs)
        verdict = probe(source, self._graph, block.parameters)
        if not verdict.holds:
            return verdict.reason
        return self._formed("closed-form", verdict.reason, source, block)

    def _from_columns(
        self, block: Block, samples: SampleFactors, outer: OutputFactor
    ) -> _Choice | str:
        missing = samples.missing(block)
        if missing:
            return f"{missing[0]} is not used by linear or convolution layers alone"
        found = self._columns(block, samples, outer)
        if isinstance(found, str):
            return found
        operator, flops, agreement = found
        return self._formed("jacobian", agreement, _ColumnSource(operator, flops), block)

    def _generic(self, block: Block, reason: str) -> _Choice:
        flops = self._evaluation.forward_backward_flops
        source = GenericHessian(self._graph, block.parameters, flops)
        return self._formed("generic", reason, source, block)

    def _formed(self, route: str, reason: str, source: BlockHessian, block: Block) -> _Choice:
        return _Choice(route, reason, HessianOperator(source, block), source.forming_flops)

    def _columns(
        self, block: Block, samples: SampleFactors, outer: OutputFactor
    ) -> tuple[LowRankOperator, float, str] | str:
        """Return U Uᵀ, what forming it costs and how well U agrees, or why there is no U."""
        if outer.signs is not None:
            return _NO_FACTOR
        obstacle = samples.obstacle(block)
        if obstacle is not None:
            return obstacle
        operator, flops = samples.low_rank(block)
        verdict = samples.verdict(operator.factor, block)
        return (operator, flops, verdict.reason) if verdict.holds else verdict.reason


def _cotangents(outer: OutputFactor, shape: torch.Size, sample_dims: int) -> Tensor | None:
    """Return the cotangents of the output that S asks for, [c, *f.shape]; ``None``: too many.

    Where every position is a sample, one for each column of S; else one for each column and
    position, zero at the others.
    """
    samples, positions, classes, rank = outer.columns.shape
    if positions == 1 or sample_dims > 1:
        return output_shaped(outer.columns.permute(3, 0, 1, 2), shape, outer.class_dim)
    if positions * rank * shape.numel() > _MAX_ENTRIES:
        return None
    apart = outer.columns.new_zeros((positions, rank, samples, positions, classes))
    index = torch.arange(positions, device=apart.device)
    apart[index, :, :, index] = outer.columns.permute(1, 3, 0, 2)
    return output_shaped(apart.flatten(0, 1), shape, outer.class_dim)
