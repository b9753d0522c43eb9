"""The systems of a step that sets its own λ: solved at one λ, and another where that must be."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from qnewton.cost.kernels import ROWS_A_CALL
from qnewton.curvature import Evaluation, Kind, graph_size
from qnewton.operators import LinearSystem, LowRankOperator
from qnewton.operators.scaling import safe_norm
from qnewton.optimizer.another_target import solve_another
from qnewton.optimizer.attempts import BY_SIZE
from qnewton.optimizer.damping_rule import GROWTH
from qnewton.optimizer.damping_state import largest_strength
from qnewton.optimizer.local_loss import LocalLoss
from qnewton.optimizer.momentum import around, carried, with_center
from qnewton.optimizer.movable import movable_systems
from qnewton.optimizer.newton import one_by_one, solve_systems
from qnewton.optimizer.settings import asked_of_squares
from qnewton.optimizer.step_context import NOTHING_FOUND, NewtonUpdate
from qnewton.records import BlockRecord

_SHIFTS = 6  # how often λ is raised above a negative eigenvalue before the step is given up
_MOST_SUBSPACE = 16  # blocks whose directions are put together by cross terms
_MOST_WAIT = 64  # steps on the convex matrix between looks at the Hessian
_MOST_WAIT_OF_SQUARES = 16  # the same, where a look costs no more than as many of those steps
SLOW = 3
"""Gauss-Newton steps in a row that gain next to nothing, before second derivatives count."""

LEFT = 1e-6
"""Share of the loss that a Gauss-Newton step has to promise, or it gains next to nothing."""

_STEP_PASSES = 6  # through the loss's graph, of a Gauss-Newton step
_START = 15_000  # entries that are computed in the time that starting an operation takes
_WORTH = 16.0  # Gauss-Newton steps that a Hessian may cost

_COARSEST_OF_SQUARES = 1e-2  # a rough direction says nothing along the flat ones of a fit

FINEST = 1e-6
"""Relative residual below which no solve is asked for, unless the tolerance is."""


@dataclass(frozen=True)
class Solved:
    """What came of the systems, and with which curvature and λ.

    Attributes:
        update: The directions, with the records of systems that were given up.
        kind: The curvature.
        strength: λ.
        negative: What negative curvature was met, in words.
        survey_products: What looks for it took.
    """

    update: NewtonUpdate
    kind: Kind
    strength: float
    negative: str | None = None
    survey_products: int = 0


class DampedSystems:
    """The systems of one step.

    Args:
        loss: What they are of.

    Attributes:
        aside: Records of systems that were solved beside those of the step's direction.
        center: c of a step with momentum, in its variables, shape [N]; ``None`` without.
    """

    def __init__(self, loss: LocalLoss) -> None:
        self._loss = loss
        self._made: dict[Kind, list[LinearSystem]] = {}
        self.aside: tuple[BlockRecord, ...] = ()
        self.center = carried(loss)

    def solve_somehow(self, strength: float) -> Solved:
        """Solve at λ and, where that meets negative curvature, in another way.

        First the Gauss-Newton matrix of the same evaluation, which then serves for some steps;
        then a λ above the lowest eigenvalue.
        """
        loss, kind = self._loss, self.kind
        update = self._solved(kind, strength)
        by_size = any(a.solver == BY_SIZE for b in update.blocks for a in b.attempts)
        by_eigenvalues = "a factorisation met it; eigenvalues are taken by their size"
        found = by_eigenvalues if by_size else None
        # Where the loss is a sum of squares a convex matrix is at hand, which foretells more.
        curvature, evaluation = loss.evaluated.curvature, loss.evaluated.evaluation
        squares = loss.sign > 0 and curvature.kind_of(evaluation) == "ggn"
        if update.indefinite is None and not (by_size and kind == "hessian" and squares):
            return Solved(update, kind, strength, found)
        negative, abandoned = update.indefinite or found, update.blocks
        if kind == "hessian" and loss.sign > 0 and curvature.has_convex(evaluation):
            convex = self._convex(strength)
            if convex.directions is not None:
                return Solved(replace(convex, abandoned=abandoned), "ggn", strength, negative)
            abandoned += convex.blocks
        lowest = loss.lowest(kind, loss.flat_lengths.sign())  # of what may move
        raised = max(GROWTH * strength, 0.0 if lowest is None else -2.0 * lowest.value)
        largest = largest_strength(loss.gradient.dtype)
        for shift in range(_SHIFTS):
            if raised > largest:
                break
            if shift:
                abandoned += update.blocks
            strength = raised
            update = self._solved(kind, strength)
            if update.indefinite is None:
                break
            raised = GROWTH * strength
        update = replace(update, abandoned=abandoned)
        return Solved(update, kind, strength, negative, loss.products_spent(lowest))

    @cached_property
    def kind(self) -> Kind:
        """The curvature that the step begins with: the convex one for a while after a saddle."""
        curvature, memory = self._loss.evaluated.curvature, self._loss.context.memory
        evaluation = self._loss.evaluated.evaluation
        # Where squares are maximised their convex part points the wrong way.
        kind = curvature.kind_of(evaluation) if self._loss.sign > 0 else curvature.exact_kind
        waits = memory.exact_from > memory.step
        if kind == "hessian":
            return "ggn" if waits else kind
        if asked_of_squares(self._loss.context.settings.groups) is not None:
            return kind
        second = kind == "ggn" and curvature.kind == "auto" and memory.slow >= SLOW
        if not second or waits or not self._affordable(evaluation):
            return kind
        if curvature.has_exact(evaluation):
            return "hessian"
        # Its second derivatives are wrong, or cannot be had: Gauss-Newton needs none.
        memory.exact_from = memory.step + _MOST_WAIT
        return kind

    def _affordable(self, evaluation: Evaluation) -> bool:
        """Return whether rows by double backward cost no more than some Gauss-Newton steps."""
        if evaluation.root is None:
            return False
        operations, entries = graph_size(evaluation.root)
        n, started = self._loss.gradient.numel(), _START * operations
        rows = 2.0 * (math.ceil(n / ROWS_A_CALL) * started + n * entries)
        return rows <= _WORTH * _STEP_PASSES * (started + entries)

    def again(self, refused: Solved) -> Solved:
        """Solve the Gauss-Newton systems of a sum of squares at the next larger λ.

        A step with momentum is tried without it first: a larger λ would lead to c, and not to 0.

        Cost: that of the solves; the Jacobian is there, and its product if it was formed.
        """
        self.aside += (*refused.update.abandoned, *refused.update.blocks)
        strength = refused.strength if self.center is not None else GROWTH * refused.strength
        self.center = None
        return Solved(self._solved("ggn", strength), "ggn", strength, refused.negative)

    def solved_for(self, target: Tensor, solved: Solved) -> Tensor | None:
        """Solve a sum of squares' systems for Jᵀt, t of shape [M], in all parameters.

        Cost: a solve with the factorisations of the systems, where they were solved by some.
        """
        update = self._by_kept_factors(target, solved.update)
        if update.directions is None:
            update = self._solved("ggn", solved.strength, target)
        self.aside += update.blocks
        if update.directions is None:
            return None
        return joined_directions(self._loss, update)[0].sum(1)

    def _by_kept_factors(self, target: Tensor, solved: NewtonUpdate) -> NewtonUpdate:
        if len(solved.kept) < len(solved.blocks):
            return NOTHING_FOUND
        update = NewtonUpdate(directions=())
        for kept in solved.kept:
            direction, record = solve_another(
                self._loss.context, kept, target, self._tolerance("ggn")
            )
            update = update.and_block(record, direction)
        return update

    def _convex(self, strength: float) -> NewtonUpdate:
        memory = self._loss.context.memory
        try:
            update = self._solved("ggn", strength)
        except ValueError:
            # No Gauss-Newton matrix for this closure, for a reason that QNewton(curvature="ggn")
            # would say: a larger λ needs none.
            return NOTHING_FOUND
        if update.directions is not None:
            most = _MOST_WAIT_OF_SQUARES if memory.slow >= SLOW else _MOST_WAIT
            memory.exact_wait = min(2 * int(memory.exact_wait), most)
            memory.exact_from = memory.step + memory.exact_wait
        return update

    def _solved(self, kind: Kind, strength: float, target: Tensor | None = None) -> NewtonUpdate:
        """Solve for the step, or for a target; a step whose momentum climbs goes on without."""
        if self.center is None or target is not None:
            return self._solved_around(kind, strength, target, None)
        update = self._solved_around(kind, strength, None, self.center)
        if update.directions is not None:
            step = joined_directions(self._loss, update)[0].sum(1)
            if float(step.double() @ self._loss.gradient.double()) <= 0.0:
                return update
        self.aside += update.blocks
        self.center = None
        return self._solved_around(kind, strength, None, None)

    def _solved_around(
        self, kind: Kind, strength: float, target: Tensor | None, center: Tensor | None
    ) -> NewtonUpdate:
        context = self._loss.context
        try:
            systems = context.whole(self._systems(kind))
            if target is not None:
                systems = [system.with_target(target) for system in systems]
            if center is not None:
                systems = around(systems, self._loss.parameters, center)
            queued = one_by_one(movable_systems(systems, self._loss.lengths))
            del systems
            market = replace(context.market, tolerance=self._tolerance(kind))
            update = solve_systems(replace(context, market=market), queued, strength)
        except FloatingPointError as error:
            return NewtonUpdate(failure=str(error))
        return update if center is None else with_center(update, self._loss.parameters, center)

    def _systems(self, kind: Kind) -> list[LinearSystem]:
        """Return the systems; of factors, which can be made once alone, the same at every call."""
        if kind in self._made:
            return [_again(system) for system in self._made[kind]]
        loss = self._loss
        systems = loss.metric.systems(loss.systems(kind), loss.parameters)
        if all(isinstance(system.operator, LowRankOperator) for system in systems):
            if loss.residuals is not None and len(systems) == 1:
                systems = [_formed_once(system) for system in systems]
            self._made[kind] = systems
        return systems

    def _tolerance(self, kind: Kind) -> float:
        """Return the largest relative residual that counts as solved."""
        coarsest = self._loss.context.market.tolerance
        if kind == "ggn" and self._loss.evaluated.curvature.kind == "auto":
            coarsest = min(coarsest, _COARSEST_OF_SQUARES)
        return max(min(coarsest, self._forcing()), min(coarsest, FINEST))

    def _forcing(self) -> float:
        """Return √(‖g‖/usual): far from a minimum a rough direction does, near it does not."""
        usual = float(self._loss.context.memory.usual_gradient)
        return math.sqrt(safe_norm(self._loss.gradient) / usual) if usual > 0.0 else 1.0


class _OnceFormedOperator(LowRankOperator):
    """U Uᵀ + λI whose product U Uᵀ is formed once, for every λ."""

    def __init__(self, base: LowRankOperator) -> None:
        self.formed: Tensor | None = None
        super().__init__(base.factor, base.shift, base.treatment, self._once)
        self._base = base

    def _once(self) -> Tensor:
        if self.formed is None:
            self.formed = self._base.dense()
        return self.formed.clone()


def _formed_once(system: LinearSystem) -> LinearSystem:
    assert isinstance(system.operator, LowRankOperator)
    return system.with_operator(_OnceFormedOperator(system.operator))


def _again(system: LinearSystem) -> LinearSystem:
    """Return a system of a sum of squares with what is left to do, for it was solved before."""
    operator, record = system.operator, system.curvature
    if not isinstance(operator, _OnceFormedOperator) or record is None:
        return system
    forming = record.forming_flops if operator.formed is None else 0.0
    left = replace(record, preparing_flops=0.0, preparing_calls=0, forming_flops=forming)
    return replace(system, curvature=left)


def joined_directions(loss: LocalLoss, update: NewtonUpdate) -> tuple[Tensor, Tensor]:
    """Return D, shape [N, K], one column per block (or one for many), and β of each column."""
    known = {id(p): piece for block in update.directions or () for p, piece in block.flat_pieces()}
    lengths, blocks = loss.lengths, loss.evaluated.curvature.blocks
    of_block = {id(p): i for i, block in enumerate(blocks) for p in block.parameters}
    betas = [max(lengths[id(p)] for p in block.parameters) for block in blocks]
    # β is the longest of the block; a parameter whose own is shorter moves by its share.
    pieces = [
        known[id(p)] * (lengths[id(p)] / (betas[of_block[id(p)]] or 1.0))
        if id(p) in known
        else torch.zeros_like(p).flatten()
        for p in loss.parameters
    ]
    flat = torch.cat(pieces)
    if not 1 < len(blocks) <= _MOST_SUBSPACE:
        return flat[:, None], torch.tensor([betas[0]], dtype=torch.float64, device=flat.device)
    sizes = torch.tensor([p.numel() for p in loss.parameters])
    owners = torch.tensor([of_block[id(p)] for p in loss.parameters]).repeat_interleave(sizes)
    owned = owners[:, None] == torch.arange(len(blocks))
    directions = torch.where(owned.to(flat.device), flat[:, None], torch.zeros_like(flat)[:, None])
    return directions, torch.tensor(betas, dtype=torch.float64, device=flat.device)
