"""The Gauss-Newton matrix of a sum of squares, from the Jacobian of its residuals."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qnewton.curvature.blocks import Block, unknowns
from qnewton.curvature.evaluation import Evaluation
from qnewton.curvature.generic import Operators
from qnewton.curvature.jacobian import Jacobian, Workspace, jacobian, probed, proof
from qnewton.curvature.residuals import sum_of_squares
from qnewton.curvature.routes import LIMIT, GraphWork, Refused
from qnewton.curvature.uses import Uses, uses_in, without_places
from qnewton.operators import DenseFactor, LowRankOperator
from qnewton.records import CurvatureRecord


@dataclass(frozen=True)
class GaussNewton:
    """G = JᵀDJ of a loss Σ ρ(r_i), J = ∂r/∂θ, D = diag ρ″(r_i).

    Attributes:
        rows: √D J, shape [M, N].
        made: How J was made.
        agreement: How well it agrees with the loss and its gradient, in words.
    """

    rows: Tensor
    made: Jacobian
    agreement: str

    def operator(self, columns: Sequence[slice]) -> LowRankOperator:
        """Return the block of some unknowns."""
        parts = [self.rows[:, part] for part in columns]
        rows = (
            self.rows
            if len(self.rows[0]) == sum(p.shape[1] for p in parts)
            else torch.cat(parts, dim=1)
        )
        return LowRankOperator(DenseFactor(rows.mT))


class ResidualSpace:
    """Finds the squares in the losses of one closure, step after step.

    Args:
        parameters: All trainable parameters.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = tuple(parameters)
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
        if self._is_layered(evaluation, uses):
            reason = "every parameter belongs to one pass of a layer, whose Hessian has closed form"
            return Refused(reason, lasting=True)
        structure = (evaluation.work or GraphWork(0.0, 0)).structure
        if structure in self._interacting:
            uses = [without_places(of) for of in uses]
        made = jacobian(sums, self._parameters, uses, self._workspace)
        if isinstance(made, Refused):
            return made
        limit = LIMIT[made.matrix.dtype]
        # The gradient of several processes is no longer that of this one's loss.
        gradient = None if alike is not None else evaluation.loss_gradient(self._parameters)
        agreement = proof(made, sums, root, gradient, limit)
        if not isinstance(agreement, Refused) and structure not in self._proven:
            off = probed(made, sums, self._parameters)
            if not off <= limit:
                agreement = Refused(f"Jᵀu of a random u is off by {off:.2g}: samples interact")
        if isinstance(agreement, Refused):
            if not made.by_uses:
                return agreement
            self._interacting.add(structure)
            uses = [without_places(of) for of in uses]
            made = jacobian(sums, self._parameters, uses, self._workspace)
            assert isinstance(made, Jacobian)
            agreement = proof(made, sums, root, gradient, limit)
            if isinstance(agreement, Refused):
                return agreement
        else:
            self._proven.add(structure)
        scale = torch.cat([term.curvature.flatten() for term in sums.terms]).sqrt()
        return GaussNewton(made.matrix.mul_(scale[:, None]), made, agreement)

    def _is_layered(self, evaluation: Evaluation, uses: Sequence[Uses]) -> bool:
        """Return whether layers that ran once, and no derivatives of them, make up the loss."""
        owners = Counter(id(p) for call in evaluation.calls for p in call.layer.parameters())
        ran_once = all(owners[id(parameter)] == 1 for parameter in self._parameters)
        return ran_once and all(sum(len(of[id(p)]) for of in uses) <= 1 for p in self._parameters)


def residual_operators(
    found: GaussNewton, blocks: Sequence[Block], evaluation: Evaluation
) -> Operators:
    """Return each block of G as a low-rank operator.

    Args:
        found: The whole matrix.
        blocks: Blocks of its parameters, in their order.
        evaluation: The loss.
    """
    m = len(found.rows)
    work = evaluation.work or GraphWork(0.0, 0)
    places = dict(zip(map(id, evaluation.parameters), unknowns(evaluation.parameters), strict=True))
    fewest = found.made.passes <= found.made.terms
    how = "one backward pass" if fewest else f"{found.made.passes} passes"
    made: Operators = []
    for block in blocks:
        record = CurvatureRecord(
            kind="ggn",
            route="residuals",
            reason=f"the loss is a sum of {m} squares, Jacobian by {how}; {found.agreement}",
            forming_flops=float(block.n) ** 2 * m,
            batch=m,
            preparing_flops=found.made.passes * work.flops / 3,
            preparing_calls=found.made.passes,
        )
        columns = [places[id(parameter)] for parameter in block.parameters]
        made.append((found.operator(columns), record))
    return made
