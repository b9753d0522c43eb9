"""What one step hands down to whoever works in it, and what comes up from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from qnewton.cost import Market
from qnewton.cost.krylov import USUAL_PRODUCTS
from qnewton.curvature import Curvature, Evaluation, Kind, RouteMemory
from qnewton.operators import LinearSystem, NegatedOperator
from qnewton.optimizer.beginning import Beginning
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.hooks import StepHooks
from qnewton.optimizer.memory import Memory
from qnewton.optimizer.replicas import Replicas
from qnewton.optimizer.settings import settings_of_block
from qnewton.optimizer.update import NOT_APPLIED, Applied, Direction, Gradients
from qnewton.records import AveragedRecord, BlockRecord, DampingRecord, Phase
from qnewton.scheduler.policy import Policy
from qnewton.solvers.classical import Factorization

NOTHING_IN_LOSS = "no parameter of the optimizer takes part in this loss"
"""Why a loss of another model, or of frozen parameters, moves nothing."""


@dataclass(frozen=True)
class Settings:
    """What holds for every step.

    Attributes:
        groups: The optimizer's parameter groups.
        max_dense: Rows of the largest block that is formed.
        seed: Seeds what steps draw.
    """

    groups: Sequence[dict[str, Any]]
    max_dense: int
    seed: int


@dataclass(frozen=True)
class StepContext:
    """Where a step takes place.

    Attributes:
        step: Its number.
        clock: Told every stage.
        replicas: Processes that must take the same step; ``None`` for one process.
        market: Prices and tolerances of this step.
        policy: Decides which solver runs.
        memory: What earlier steps left, and this one may add to.
        hooks: Told what is solved.
        settings: What holds for every step.
    """

    step: int
    clock: StageClock
    replicas: Replicas | None
    market: Market
    policy: Policy
    memory: Memory
    hooks: StepHooks
    settings: Settings

    @property
    def seed(self) -> int:
        """The seed of what this step draws, so that a resumed run draws the same."""
        return self.settings.seed + self.step

    def whole(self, systems: list[LinearSystem]) -> list[LinearSystem]:
        """Return the systems of the whole batch's loss that is minimised: averaged, and signed."""
        if self.replicas is not None:
            systems = self.replicas.average_curvature(systems)
        if not any(group["maximize"] for group in self.settings.groups):
            return systems
        return [self._signed(system) for system in systems]

    def _signed(self, system: LinearSystem) -> LinearSystem:
        settings = settings_of_block(system.name, system.parameters, self.settings.groups)
        if not settings.maximize:
            return system
        return replace(system, operator=NegatedOperator(system.operator), rhs=-system.rhs)

    @cached_property
    def routes(self) -> RouteMemory:
        """What earlier steps found of the curvature's routes."""
        formed = any(
            group["prune"] is not None or group["damping_scale"] == "max-abs"
            for group in self.settings.groups
        )
        needs_entries = formed or self.policy.needs_entries
        by_products = self.market.hardware is None and not needs_entries
        usual = USUAL_PRODUCTS if by_products else None
        return RouteMemory(self.memory.numbers, self.step, usual_products=usual)


@dataclass(frozen=True)
class Evaluated:
    """The loss at the parameters that a step begins from.

    Attributes:
        curvature: Makes systems of the evaluation.
        evaluation: The loss, with its graph if the step needs one.
        gradients: What the closure left in ``.grad``.
        again: Evaluates the same loss again.
        beginning: What was there before; ``None`` where nobody can put it back.
    """

    curvature: Curvature
    evaluation: Evaluation
    gradients: Gradients
    again: Callable[[], Any]
    beginning: Beginning | None

    @property
    def is_apart(self) -> bool:
        """Whether the loss depends on none of the parameters: it has no slope in any of them."""
        return all(gradient is None for gradient in self.evaluation.gradients)

    def reason_to_skip(self) -> str | None:
        """Return why no step can be taken from this loss and gradient; ``None`` if one can."""
        if not math.isfinite(self.evaluation.loss):
            return f"the loss is {self.evaluation.loss}"
        if not math.isfinite(self.gradients.norm):
            return "the gradient is not finite"
        return NOTHING_IN_LOSS if self.is_apart else None

    def systems(self, context: StepContext, kind: Kind | None = None) -> list[LinearSystem]:
        """Return the Newton system of every block, of this process's share of the batch."""
        with context.clock.stage("curvature"):
            return self.curvature.systems(self.evaluation, kind, context.routes)


@dataclass(frozen=True, eq=False)
class KeptFactors:
    """The factorisation that solved a system of least squares.

    Attributes:
        system: The system, as it was treated.
        record: That of its solve.
        factors: The factorisation.
    """

    system: LinearSystem
    record: BlockRecord
    factors: Factorization


@dataclass(frozen=True)
class NewtonUpdate:
    """What came of a step's systems.

    Attributes:
        blocks: A record of every block that was looked at.
        directions: One of every block; ``None`` if a block has none.
        failure: Why a block has no direction.
        indefinite: Where a solve that has to descend met negative curvature.
        abandoned: Records of other systems that the same step solved.
        kept: The factorisations of those that are least squares and were solved by one.
    """

    blocks: tuple[BlockRecord, ...] = ()
    directions: tuple[Direction, ...] | None = None
    failure: str | None = None
    indefinite: str | None = None
    abandoned: tuple[BlockRecord, ...] = ()
    kept: tuple[KeptFactors, ...] = ()

    def and_block(
        self,
        record: BlockRecord,
        direction: Direction | None = None,
        kept: KeptFactors | None = None,
    ) -> "NewtonUpdate":
        """Return the same with one more block, which may have no direction."""
        known = self.directions
        return replace(
            self,
            blocks=(*self.blocks, record),
            directions=None if known is None or direction is None else (*known, direction),
            kept=self.kept if kept is None else (*self.kept, kept),
        )


NOTHING_FOUND = NewtonUpdate()
"""What comes of a first-order step."""


@dataclass(frozen=True)
class TakenStep:
    """What a step did, and what it found before.

    Attributes:
        update: What came of the systems.
        applied: What was done to the parameters.
        skipped: Why nothing was changed.
        held: Whether that is because nothing was to move.
        phase: Whether it was a first-order step.
        damping: How it was judged; ``None`` where λ is fixed, or nothing may move.
        averaged: How it found its length; ``None`` for other steps.
        first_order_blocks: Blocks too large for a system, which took -g in a Newton step.
        newton_share: Share of the parameters in blocks with a system, where λ is fixed.
    """

    update: NewtonUpdate = NOTHING_FOUND
    applied: Applied = NOT_APPLIED
    skipped: str | None = None
    held: bool = False
    phase: Phase = "newton"
    damping: DampingRecord | None = None
    averaged: AveragedRecord | None = None
    first_order_blocks: tuple[str, ...] = ()
    newton_share: float | None = None


class StepMethod(Protocol):
    """A method to take a step: first-order, with a fixed λ, or with a λ that sets itself."""

    @property
    def needs_graph(self) -> bool:
        """Whether it asks for curvature."""
        ...

    def take(self, context: StepContext, evaluated: Evaluated) -> TakenStep:
        """Move the parameters, or leave them where they are and say why."""
        ...
