"""The generalised Gauss-Newton matrix of the loss, block by block, by the cheapest right route."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from qnewton.curvature.blocks import Block
from qnewton.curvature.capture import Evaluation
from qnewton.curvature.generic import CHUNK, GenericHessian
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
from qnewton.curvature.probe import Verdict, probe
from qnewton.curvature.route_memory import RouteMemory
from qnewton.curvature.sample_factor import SampleFactors
from qnewton.curvature.work import GraphWork, SourceCost
from qnewton.operators import LowRankOperator, SymmetricOperator
from qnewton.records import CurvatureRecord

# Entries of the cotangents of all columns: 1 GB in float32.
_MAX_ENTRIES = 1 << 28
# A factor whose samples have so many leading dimensions.
_BY_SAMPLE = "samples-of-{}"
_NO_FACTOR = "∂²L/∂f² has negative eigenvalues, so it has no factor"


def ggn_operators(
    evaluation: Evaluation,
    root: Tensor,
    blocks: Sequence[Block],
    memory: RouteMemory | None = None,
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
        memory: What earlier steps rejected, which is not tried again, and the products that the
            last solve took: where as many cost less than columns made one by one, no column is.

    Raises:
        ValueError: If the model was not called exactly once or returned no tensor; if the loss
            does not use its output or cannot be differentiated twice in it.

    Cost: C double backward passes through the loss, a backward pass through the activations for
    every column of S (C - 1 for softmax cross-entropy), and one product each way a block.

    Reference: Schraudolph, Neural Computation 14 (2002) 1723; Martens (arXiv:1412.1193).
    """
    builder = _Builder(evaluation, root, blocks, memory or RouteMemory())
    return [builder.operator(block) for block in blocks]


@dataclass(frozen=True)
class _Choice:
    """The route of one block."""

    route: str
    reason: str
    operator: SymmetricOperator
    cost: SourceCost | None = None
    forming_flops: float | None = None


@dataclass(frozen=True)
class _ColumnSource:
    """A block G = U Uᵀ whose factor has more columns than rows, so that entries pay."""

    matrix: LowRankOperator
    forming_flops: float

    @property
    def cost(self) -> SourceCost:
        """A product is two with the factor."""
        return SourceCost(self.forming_flops, self.matrix.factor.product_flops)

    def product(self, vector: Tensor) -> Tensor:
        return self.matrix @ vector

    def dense(self) -> Tensor:
        return self.matrix.dense()


class _Builder:
    """What the blocks of one evaluation share."""

    def __init__(
        self, evaluation: Evaluation, root: Tensor, blocks: Sequence[Block], memory: RouteMemory
    ) -> None:
        self._evaluation = evaluation
        self._memory = memory
        self._work = evaluation.work or GraphWork(0.0, 0)
        self._interacting: dict[tuple[str, str], str] = {}
        # The loss differentiated twice, which does not reach the network.
        self._flops, self._calls = 0.0, 1
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
            batch=self._output.shape[0] if self._output.ndim else None,
            preparing_flops=self._flops,
            preparing_calls=self._calls,
            forming_flops=choice.forming_flops,
        )
        if choice.cost is not None:
            record = replace(record, **asdict(choice.cost))
        self._flops, self._calls = 0.0, 0
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
                        found.cost,
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
        return _Choice("sample-space", reason, operator, forming_flops=flops)

    def _closed_form(
        self, block: Block, samples: SampleFactors, outer: OutputFactor
    ) -> _Choice | str:
        obstacle = samples.layered_obstacle(block)
        if obstacle is not None:
            return obstacle
        refusal = self._interaction(block, samples)
        if refusal is not None:
            return refusal
        source = linearised(samples.signals(block), block.parameters, outer.signs)
        self._spend(samples.rank // max(1, samples.samples) + 2 * self._graph.passes, calls=3)
        verdict = probe(source, self._graph, block.parameters)
        if not verdict.holds:
            self._remember(block, samples, verdict)
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
        source = GenericHessian(self._graph, block.parameters, self._work)
        return self._formed("generic", reason, source, block)

    def _formed(self, route: str, reason: str, source: BlockHessian, block: Block) -> _Choice:
        return _Choice(route, reason, HessianOperator(source, block), source.cost)

    def _columns(
        self, block: Block, samples: SampleFactors, outer: OutputFactor
    ) -> tuple[LowRankOperator, float, str] | str:
        """Return U Uᵀ, what forming it costs and how well U agrees, or why there is no U."""
        if outer.signs is not None:
            return _NO_FACTOR
        refusal = (
            samples.obstacle(block)
            or self._too_many(block, samples)
            or self._interaction(block, samples)
        )
        if refusal is not None:
            return refusal
        operator, flops = samples.low_rank(block)
        apart = samples.columns_apart(block)
        self._spend(samples.rank // max(1, samples.samples) + apart, 2 + math.ceil(apart / CHUNK))
        verdict = samples.verdict(operator.factor, block)
        if not verdict.holds:
            self._remember(block, samples, verdict)
            return verdict.reason
        return operator, flops, verdict.reason

    def _too_many(self, block: Block, samples: SampleFactors) -> str | None:
        """Return why products cost less than columns made one by one, where they do."""
        apart, products = samples.columns_apart(block), self._memory.products(block.name)
        # A product takes two passes, as two columns do.
        if products is None or apart <= 2 * products:
            return None
        return (
            f"columns of {samples.missing(block)[0]} take {apart} passes, and a solve by products "
            f"2 × {products}"
        )

    def _interaction(self, block: Block, samples: SampleFactors) -> str | None:
        """Return why the block's samples interact, as seen now or at an earlier step."""
        route = _BY_SAMPLE.format(samples.sample_dims)
        before = self._memory.rejected(block.name, "ggn", route)
        if before == self._memory.step and (block.name, route) in self._interacting:
            return self._interacting[block.name, route]
        if before is not None:
            return f"samples interact in the network, as step {before} found"
        verdict = samples.interact(block)
        self._spend(2.0, calls=1)
        if verdict is None:
            return None
        self._remember(block, samples, verdict)
        return verdict.reason

    def _remember(self, block: Block, samples: SampleFactors, verdict: Verdict) -> None:
        route = _BY_SAMPLE.format(samples.sample_dims)
        self._interacting[block.name, route] = verdict.reason
        if verdict.structural:
            self._memory.reject(block.name, "ggn", route)

    def _spend(self, passes: float, calls: int) -> None:
        """Count backward passes, each a third of a forward and backward pass or two."""
        self._flops += passes * self._work.flops / 3
        self._calls += calls


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
