"""The generalised Gauss-Newton matrix of the loss, block by block, by the cheapest right route."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from qnewton.curvature.blocks import Block
from qnewton.curvature.columns import SampleColumns
from qnewton.curvature.evaluation import Evaluation
from qnewton.curvature.generic import (
    CHUNK,
    BlockHessian,
    GaussNewtonGraph,
    GenericHessian,
    HessianOperator,
    JacobianGraph,
    Operators,
)
from qnewton.curvature.layered import linearised
from qnewton.curvature.output_loss import (
    MAX_COTANGENTS,
    OutputLoss,
    cotangents_by_sample,
    output_factor,
    past_output,
)
from qnewton.curvature.routes import (
    GraphWork,
    Refused,
    RouteMemory,
    Scale,
    SourceCost,
    Spent,
)
from qnewton.curvature.watching import single_output
from qnewton.operators import LowRankOperator, SymmetricOperator
from qnewton.records import CurvatureRecord

_NO_FACTOR = Refused("∂²L/∂f² has negative eigenvalues, so it has no factor")


def ggn_operators(
    evaluation: Evaluation,
    root: Tensor,
    blocks: Sequence[Block],
    memory: RouteMemory | None = None,
) -> Operators:
    """Return each block of G = Jᵀ (∂²L/∂f²) J, with f the model's output, J = ∂f/∂θ.

    The loss holds its own factor (1/n of a mean). With ∂²L/∂f² = S Sᵀ, one C × C matrix per sample
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
    every column of S (C - 1 for softmax cross-entropy), and one product each way per block.

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
    cost: SourceCost

    @classmethod
    def of(cls, source: BlockHessian, reason: str, block: Block) -> "_Choice":
        """Return the route of a block whose products or entries ``source`` computes."""
        return cls(source.route, reason, HessianOperator(source, block), source.cost)


@dataclass(frozen=True)
class _ColumnSource(BlockHessian):
    """A block G = U Uᵀ whose factor has more columns than rows, so that entries pay."""

    matrix: LowRankOperator
    forming_flops: float

    route = "jacobian"

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
        self._memory = memory
        self._work = evaluation.work or GraphWork(0.0, 0)
        self._interacting: dict[tuple[str, str], Refused] = {}
        # The loss differentiated twice, which does not reach the network.
        self._spent = Spent(self._work.flops, calls=1)
        output = self._output = single_output(evaluation.outputs)
        parameters = [p for block in blocks for p in block.parameters]
        loss = OutputLoss(root, output, parameters[0].dtype)
        jacobian = JacobianGraph(output, parameters)
        self._graph = GaussNewtonGraph(loss, jacobian)
        self._note = past_output(root, output, blocks)
        self._readings: list[SampleColumns] = []
        outer = output_factor(loss, memory)
        if isinstance(outer, Refused):
            self._refused, self._signs = outer, None
            return
        self._signs = outer.signs
        size = f"over {MAX_COTANGENTS:.2g} entries"
        self._refused = Refused(f"cotangents of all positions need {size}")
        # What may count as a sample of the network: every position, or every sequence. Tokens that
        # a network treats one by one are samples of their own, which needs far fewer columns;
        # whether it does is seen by a random product.
        per_position = output.ndim > 2 and outer.class_dim == output.ndim - 1
        for dims in (output.ndim - 1, 1) if per_position else (min(output.ndim, 1),):
            cotangents = cotangents_by_sample(outer, output.shape, dims)
            if cotangents is not None:
                columns = SampleColumns.of_graph(jacobian, cotangents, dims, evaluation.calls)
                self._readings.append(columns)

    def operator(self, block: Block) -> tuple[SymmetricOperator, CurvatureRecord]:
        """Return the operator of one block and how it is computed."""
        choice = self._choose(block)
        record = CurvatureRecord(
            kind="ggn",
            route=choice.route,
            reason=choice.reason + self._note,
            batch=self._output.shape[0] if self._output.ndim else None,
            **self._spent.recorded(choice.cost),
        )
        return choice.operator, record

    def _choose(self, block: Block) -> _Choice:
        refusals = [self._refused.reason]
        for columns in self._readings:
            refusals = []
            for route in (self._sample_space, self._closed_form, self._from_columns):
                found = route(block, columns)
                refusals.append(found.reason)
                if not isinstance(found, Refused):
                    return replace(found, reason="; ".join(dict.fromkeys(refusals)))
        source = GenericHessian(self._graph, block.parameters, self._work)
        return _Choice.of(source, "; ".join(dict.fromkeys(refusals)), block)

    def _sample_space(self, block: Block, columns: SampleColumns) -> _Choice | Refused:
        if self._signs is not None:
            return _NO_FACTOR
        if columns.rank >= block.n:
            return Refused(f"{columns.rank} columns are not fewer than {block.n} parameters")
        found = self._columns(block, columns)
        if isinstance(found, Refused):
            return found
        operator, flops, agreement = found
        reason = f"{columns.rank} columns are fewer than {block.n} parameters; {agreement}"
        return _Choice("sample-space", reason, operator, SourceCost(flops, None))

    def _closed_form(self, block: Block, columns: SampleColumns) -> _Choice | Refused:
        passes = columns.refusal(block) or columns.layered(block)
        if isinstance(passes, Refused):
            return passes
        refusal = self._interaction(block, columns)
        if refusal is not None:
            return refusal
        source = linearised(columns.signals(passes), block.parameters, self._signs)
        self._spent.backward(len(columns.cotangents) + 2 * self._graph.passes, calls=3)
        verdict = source.compared(self._graph, Scale(self._memory, f"{block.name}.ggn"))
        if isinstance(verdict, Refused):
            return self._remembered(block, columns, verdict)
        return _Choice.of(source, verdict, block)

    def _from_columns(self, block: Block, columns: SampleColumns) -> _Choice | Refused:
        found = columns.all_by_layers(block) or self._columns(block, columns)
        if isinstance(found, Refused):
            return found
        operator, flops, agreement = found
        return _Choice.of(_ColumnSource(operator, flops), agreement, block)

    def _columns(
        self, block: Block, columns: SampleColumns
    ) -> tuple[LowRankOperator, float, str] | Refused:
        """Return U Uᵀ, what forming it costs and how well U agrees, or why there is no U."""
        refusal = (
            (None if self._signs is None else _NO_FACTOR)
            or columns.refusal(block)
            or self._too_many(block, columns)
            or self._interaction(block, columns)
        )
        if refusal is not None:
            return refusal
        operator, flops = columns.low_rank(block)
        apart = columns.columns_apart(block)
        self._spent.backward(len(columns.cotangents) + apart, 2 + math.ceil(apart / CHUNK))
        verdict = columns.compared(operator.factor, block.parameters)
        if isinstance(verdict, Refused):
            return self._remembered(block, columns, verdict)
        return operator, flops, verdict

    def _too_many(self, block: Block, columns: SampleColumns) -> Refused | None:
        """Return why products cost less than columns made one by one, where they do."""
        apart, products = columns.columns_apart(block), self._memory.products(block.name)
        # A product takes two passes, as two columns do.
        if products is None or apart <= 2 * products:
            return None
        name, solve = columns.missing(block)[0], f"a solve by products 2 × {products}"
        return Refused(f"columns of {name} take {apart} passes, and {solve}")

    def _interaction(self, block: Block, columns: SampleColumns) -> Refused | None:
        """Return why the block's samples interact, as seen now or at an earlier step."""
        route = f"samples-of-{columns.sample_dims}"
        before = self._memory.rejected(block.name, "ggn", route)
        if before == self._memory.step and (block.name, route) in self._interacting:
            return self._interacting[block.name, route]
        if before is not None:
            return Refused(f"samples interact in the network, as step {before} found")
        self._spent.backward(2.0, calls=1)
        verdict = columns.interact(block)
        return None if verdict is None else self._remembered(block, columns, verdict)

    def _remembered(self, block: Block, columns: SampleColumns, verdict: Refused) -> Refused:
        route = f"samples-of-{columns.sample_dims}"
        self._interacting[block.name, route] = verdict
        if verdict.lasting:
            self._memory.reject(block.name, "ggn", route)
        return verdict
