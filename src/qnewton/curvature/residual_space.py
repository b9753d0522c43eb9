"""The Gauss-Newton matrix of a sum of squares, from the Jacobian of its residuals."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from qnewton.curvature.blocks import Block, slices_of
from qnewton.curvature.evaluation import Evaluation
from qnewton.curvature.generic import (
    CHUNK,
    CurvatureProducts,
    GenericHessian,
    HessianOperator,
    JacobianGraph,
    Operators,
)
from qnewton.curvature.jacobian import (
    ADDED_UP,
    Jacobian,
    Workspace,
    gradient_agreement,
    jacobian,
    probed,
    proof,
    pulled_back,
    value_refusal,
)
from qnewton.curvature.normal_matrix import NormalMatrix, normal_matrix
from qnewton.curvature.residual_change import ResidualChange
from qnewton.curvature.residuals import SumOfSquares, sum_of_squares
from qnewton.curvature.routes import (
    LIMIT,
    GraphWork,
    Refused,
    Spent,
    compared,
    difference,
    graph_size,
    random_like,
)
from qnewton.curvature.uses import Uses, uses_in, without_places
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LowRankOperator,
    MatrixFreeOperator,
    SymmetricOperator,
)
from qnewton.records import CurvatureRecord

_MAX_ENTRIES = 1 << 27
"""Entries of a Jacobian, or of JᵀDJ, that are formed: 1 GB in float64."""


class GaussNewton(ABC):
    """G = JᵀDJ of a loss Σ ρ(r_i), J = ∂r/∂θ, D = diag ρ″(r_i), for M residuals.

    Attributes:
        target: t with -∂L/∂θ = (√D J)ᵀt, shape [M], for who solves on the rows √D J: -ρ′(r_i)/√ρ″;
            ``None`` where there are no rows, a residual has a slope and no curvature, or the
            gradient is not this process's own.
    """

    target: Tensor | None = None

    @abstractmethod
    def whole(self) -> SymmetricOperator:
        """Return G of all parameters."""

    @abstractmethod
    def operators(self, blocks: Sequence[Block], evaluation: Evaluation) -> Operators:
        """Return blocks of G, and how each is computed.

        Args:
            blocks: Blocks of its parameters, in their order.
            evaluation: The loss.
        """


@dataclass(frozen=True)
class FormedGaussNewton(GaussNewton):
    """One whose Jacobian is formed.

    Attributes:
        rows: √D J, shape [M, N].
        made: How J was made.
        agreement: How well it agrees with the loss and its gradient, in words.
        residuals: What they are here.
        target: As above.
    """

    rows: Tensor
    made: Jacobian
    agreement: str
    residuals: ResidualChange
    target: Tensor | None = None

    def whole(self) -> SymmetricOperator:
        """Return the low-rank operator of all parameters."""
        return LowRankOperator(DenseFactor(self.rows.mT))

    def operators(self, blocks: Sequence[Block], evaluation: Evaluation) -> Operators:
        """Return each block as a low-rank operator."""
        passes = self.made.passes
        at = slices_of(evaluation.parameters)
        how = "one backward pass" if passes <= self.made.terms else f"{passes} passes"
        spent = _spent(evaluation, passes, max(self.made.terms, math.ceil(passes / CHUNK)))
        made: Operators = []
        for block in blocks:
            record = _record(block, len(self.rows), f"by {how}; {self.agreement}", spent)
            rows = self.rows
            if block.n < rows.shape[1]:
                parts = [rows[:, at[id(parameter)]] for parameter in block.parameters]
                rows = torch.cat(parts, dim=1)
            made.append((LowRankOperator(DenseFactor(rows.mT)), record))
        return made


@dataclass(frozen=True, eq=False)
class ChunkedGaussNewton(GaussNewton):
    """One whose Jacobian was made some rows at a time, and is not there any more.

    Attributes:
        normal: G, and how it was made.
        parameters: θ.
        count: M.
        agreement: How well J agreed with the loss and its gradient, in words.
    """

    normal: NormalMatrix
    parameters: Sequence[Tensor]
    count: int
    agreement: str

    def whole(self) -> SymmetricOperator:
        """Return the entries of all parameters."""
        return DenseOperator(self.normal.matrix)

    def operators(self, blocks: Sequence[Block], evaluation: Evaluation) -> Operators:
        """Return each block by its entries."""
        normal, at = self.normal, slices_of(self.parameters)
        how = f"made and added in {normal.chunks} pieces; {self.agreement}"
        spent = _spent(evaluation, normal.passes, normal.passes)
        made: Operators = []
        for block in blocks:
            record = _record(block, self.count, how, spent)
            matrix = normal.matrix
            if block.n < len(matrix):
                rows = torch.cat([matrix[at[id(p)]] for p in block.parameters])
                matrix = torch.cat([rows[:, at[id(p)]] for p in block.parameters], dim=1)
            made.append((DenseOperator(matrix), record))
        return made


@dataclass(frozen=True, eq=False)
class GaussNewtonProducts(GaussNewton, CurvatureProducts):
    """One whose Jacobian is too large to be formed: products Jᵀ(D(J v)).

    Attributes:
        jacobian: J, of all terms' residuals one after the other.
        curvature: The diagonal of D.
    """

    jacobian: JacobianGraph
    curvature: Tensor

    # J v and Jᵀu take two thirds of a forward and backward pass each.
    passes = 4 / 3

    def rows(self, of: Sequence[Tensor], at: Sequence[Tensor], vectors: Tensor) -> Tensor:
        """Return V G for the rows of parameters ``of`` and the columns of parameters ``at``."""
        return self.jacobian.backward(at, self.curvature * self.jacobian.forward(of, vectors))

    def whole(self) -> SymmetricOperator:
        """Return products with the matrix of all parameters."""
        parameters = self.jacobian.parameters
        return MatrixFreeOperator(
            sum(parameter.numel() for parameter in parameters),
            lambda vector: self.products(parameters, vector[None])[0],
            parameters[0].dtype,
            parameters[0].device,
        )

    def operators(self, blocks: Sequence[Block], evaluation: Evaluation) -> Operators:
        """Return each block by its products, formed where somebody reads the entries."""
        m = len(self.curvature)
        reason = f"the loss is a sum of {m} squares, whose Jacobian is too large to be formed"
        made: Operators = []
        for block in blocks:
            work = evaluation.work or GraphWork(0.0, 0)
            source = GenericHessian(self, block.parameters, work)
            costs = asdict(source.cost)
            record = CurvatureRecord(kind="ggn", route="generic", reason=reason, batch=m, **costs)
            made.append((HessianOperator(source, block), record))
        return made


class ResidualSpace:
    """Finds the squares in the losses of one closure, step after step.

    Args:
        parameters: All trainable parameters.

    Attributes:
        layered_too: Whether the squares are wanted of layers, too, whose Hessian has closed form.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = tuple(parameters)
        self.layered_too = False
        self._proven: set[int] = set()
        self._interacting: set[int] = set()
        self._workspace = Workspace()

    def look(
        self, evaluation: Evaluation, root: Tensor, alike: Callable[[float], float] | None
    ) -> GaussNewton | Refused:
        """Return the matrix of a loss, or why it has none of this kind; the same at every call."""
        known = evaluation.squares
        if known is None:
            known = self._look(evaluation, root, alike)
            if alike is not None and alike(float(isinstance(known, Refused))) > 0.0:
                known = known if isinstance(known, Refused) else Refused("another process has none")
            evaluation.squares = known
        return known

    def _look(
        self, evaluation: Evaluation, root: Tensor, alike: Callable[[float], float] | None
    ) -> GaussNewton | Refused:
        sums = sum_of_squares(root)
        if isinstance(sums, Refused):
            return sums
        uses = [uses_in(term.residual, self._parameters) for term in sums.terms]
        if not self.layered_too and self._is_layered(evaluation, uses):
            reason = "every parameter belongs to one pass of a layer, whose Hessian has closed form"
            return Refused(reason, lasting=True)
        limit = LIMIT[root.dtype]
        # The gradient of several processes is no longer that of this one's loss.
        gradient = None if alike is not None else evaluation.loss_gradient(self._parameters)
        m = sum(term.residual.numel() for term in sums.terms)
        n = sum(parameter.numel() for parameter in self._parameters)
        work = evaluation.work or GraphWork(0.0, 0)
        structure = work.structure
        if m * n > _MAX_ENTRIES:
            # Conjugate gradients may take as many products as there are unknowns.
            product = GaussNewtonProducts.passes * work.flops + graph_size(root)[1]
            small = n * n <= _MAX_ENTRIES and m * n <= product
            if small and structure not in self._interacting:
                made = self._chunked(sums, root, uses, gradient, structure)
                if isinstance(made, ChunkedGaussNewton):
                    return made
            return self._products(sums, root, gradient, structure)
        if structure in self._interacting:
            uses = [without_places(of) for of in uses]
        made = jacobian(sums, self._parameters, uses, self._workspace)
        agreement = proof(made, sums, root, gradient, limit)
        if not isinstance(agreement, Refused) and structure not in self._proven:
            off = probed(made, sums, self._parameters)
            agreement = _interaction(off, limit) or agreement
        if isinstance(agreement, Refused):
            if not made.by_uses:
                return agreement
            self._distrust(structure)
            uses = [without_places(of) for of in uses]
            made = jacobian(sums, self._parameters, uses, self._workspace)
            agreement = proof(made, sums, root, gradient, limit)
            if isinstance(agreement, Refused):
                return agreement
        else:
            self._proven.add(structure)
        scale = sums.curvature.sqrt()
        target = None if alike is not None else _target(sums, scale)
        rows = made.matrix.mul_(scale[:, None])
        change = ResidualChange.of(sums, rows)
        return FormedGaussNewton(rows, made, agreement, change, target)

    def _chunked(
        self,
        sums: SumOfSquares,
        root: Tensor,
        uses: Sequence[Uses],
        gradient: Tensor | None,
        structure: int,
    ) -> GaussNewton | Refused:
        limit = LIMIT[root.dtype]
        refusal = value_refusal(sums, root, limit)
        if refusal is not None:
            return refusal
        slope = sums.slope
        u = random_like(slope, slope.shape)
        vectors = torch.stack([slope, u], dim=1)
        made = normal_matrix(sums, self._parameters, uses, vectors, self._workspace)
        if isinstance(made, Refused):
            return made
        agreed: str | Refused = ADDED_UP
        if gradient is not None:
            pulled, count = made.products[:, 0], len(slope)
            agreed = gradient_agreement(pulled, gradient, limit, count, lambda: made.sizes)
        if not isinstance(agreed, Refused) and structure not in self._proven:
            off = difference(made.products[:, 1], pulled_back(u, sums, self._parameters))
            agreed = _interaction(off, limit) or agreed
        if isinstance(agreed, Refused):
            self._distrust(structure)
            return agreed
        self._proven.add(structure)
        return ChunkedGaussNewton(made, self._parameters, len(slope), agreed)

    def _distrust(self, structure: int) -> None:
        """Remember that samples of a graph interact, unless an earlier proof says otherwise."""
        if structure not in self._proven:
            self._interacting.add(structure)

    def _products(
        self, sums: SumOfSquares, root: Tensor, gradient: Tensor | None, structure: int
    ) -> GaussNewton | Refused:
        refusal = value_refusal(sums, root, LIMIT[root.dtype])
        if refusal is not None:
            return refusal
        with torch.enable_grad():
            residuals = torch.cat([term.residual.flatten() for term in sums.terms])
        graph = JacobianGraph(residuals, self._parameters)
        found = GaussNewtonProducts(graph, sums.curvature)
        # Once per graph, and not near a minimum, where the gradient is rounding.
        if gradient is not None and structure not in self._proven:
            pulled = found.jacobian.backward(self._parameters, sums.slope[None])[0]
            agreement = compared(pulled, gradient, "Jᵀr", "the terms are others")
            if isinstance(agreement, Refused):
                return agreement
            self._proven.add(structure)
        return found

    def _is_layered(self, evaluation: Evaluation, uses: Sequence[Uses]) -> bool:
        """Return whether layers that ran once, and no derivatives of them, make up the loss."""
        owners = Counter(id(p) for call in evaluation.calls for p in call.layer.parameters())
        ran_once = all(owners[id(parameter)] == 1 for parameter in self._parameters)
        return ran_once and all(sum(len(of[id(p)]) for of in uses) <= 1 for p in self._parameters)


def _record(block: Block, count: int, how: str, spent: Spent) -> CurvatureRecord:
    """Return the record of a block of JᵀDJ that is formed from all rows, ``count`` of them."""
    return CurvatureRecord(
        kind="ggn",
        route="residuals",
        reason=f"the loss is a sum of {count} squares, Jacobian {how}",
        forming_flops=float(block.n) ** 2 * count,
        batch=count,
        preparing_flops=spent.flops,
        preparing_calls=spent.calls,
    )


def _spent(evaluation: Evaluation, passes: int, calls: int) -> Spent:
    """Return what some backward passes through a loss take."""
    spent = Spent((evaluation.work or GraphWork(0.0, 0)).flops)
    spent.backward(passes, calls)
    return spent


def _interaction(off: float, limit: float) -> Refused | None:
    """Return that Jᵀu of a random u is off, by a share above ``limit``; ``None`` if it is not."""
    if off <= limit:
        return None
    return Refused(f"Jᵀu of a random u is off by {off:.2g}: samples interact")


def _target(sums: SumOfSquares, scale: Tensor) -> Tensor | None:
    flat = scale == 0.0
    if (flat & (sums.slope != 0.0)).any():
        return None
    return -torch.where(flat, 0.0, sums.slope / scale)
