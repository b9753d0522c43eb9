"""Steps that nobody judges: first-order ones, and Newton's with a λ that is a number."""

from dataclasses import dataclass, replace

from torch import Tensor

from qnewton.operators import Factor
from qnewton.optimizer.local_loss import LocalLoss
from qnewton.optimizer.momentum import around, carried, keep_directions, with_center
from qnewton.optimizer.newton import one_by_one, solve_systems, survey_systems
from qnewton.optimizer.rescale import Share, factor_between_blocks, joint_factors
from qnewton.optimizer.settings import settings_of_block
from qnewton.optimizer.step_context import (
    NOTHING_FOUND,
    Evaluated,
    NewtonUpdate,
    StepContext,
    TakenStep,
)
from qnewton.optimizer.update import (
    NOT_APPLIED,
    Applied,
    Direction,
    apply_directions,
    descend,
)
from qnewton.optimizer.warmup import Warmup


@dataclass(frozen=True)
class FirstOrder:
    """A step along -g of length ``first_order_lr``.

    Attributes:
        survey: What a survey of the step's systems may end; ``None`` where none is due.
    """

    survey: Warmup | None

    @property
    def needs_graph(self) -> bool:
        """Whether the systems are surveyed."""
        return self.survey is not None

    def take(self, context: StepContext, evaluated: Evaluated) -> TakenStep:
        """Survey, if that is due, and descend."""
        update, skipped = NOTHING_FOUND, evaluated.reason_to_skip()
        if skipped is None and self.survey is not None:
            try:
                systems = one_by_one(context.whole(evaluated.systems(context)))
                update = NewtonUpdate(survey_systems(context, systems))
                ends, replicas = self.survey.ends_with(update.blocks), context.replicas
                context.memory.newton = ends if replicas is None else replicas.decide(ends)
            except FloatingPointError as error:
                skipped = str(error)
        applied, skipped = _move(context, evaluated, update, skipped)
        return TakenStep(update, applied, skipped, phase="first-order")


@dataclass(frozen=True)
class FixedDamping:
    """Newton's step θ ← θ + β·x, (prune(H + λI)) x = -g, or x = c + s with momentum.

    Attributes:
        rescale: Whether the blocks' directions are put together by the Fisher matrix between
            blocks.
    """

    rescale: bool
    needs_graph = True

    def take(self, context: StepContext, evaluated: Evaluated) -> TakenStep:
        """Solve every block's system and move along the directions."""
        update, skipped = NOTHING_FOUND, evaluated.reason_to_skip()
        if skipped is None:
            try:
                update = self._solved(context, evaluated)
                skipped = update.failure
            except FloatingPointError as error:
                skipped = str(error)
        applied, skipped = _move(context, evaluated, update, skipped)
        if skipped is None:
            keep_directions(LocalLoss(context, evaluated), update)
        larger = evaluated.curvature.larger
        covered = sum(block.n for block in evaluated.curvature.blocks)
        return TakenStep(
            update,
            applied,
            skipped,
            first_order_blocks=tuple(block.name for block in larger),
            newton_share=covered / (covered + sum(block.n for block in larger)),
        )

    def _solved(self, context: StepContext, evaluated: Evaluated) -> NewtonUpdate:
        loss = LocalLoss(context, evaluated)
        systems, center = context.whole(evaluated.systems(context)), carried(loss)
        if center is not None:
            systems = around(systems, loss.parameters, center)
        factors: dict[str, tuple[Factor, Tensor]] = {}
        if self.rescale:
            factors = {s.name: (factor_between_blocks(s), s.rhs) for s in systems}
        queued = one_by_one(systems)
        del systems
        update = solve_systems(context, queued)
        if update.directions is None:
            return update
        if factors:
            with context.clock.stage("update"):
                update = _rescaled(update, factors)
        if center is not None:
            update = with_center(update, loss.parameters, center)
        groups, downhill = context.settings.groups, []
        for block in evaluated.curvature.larger:
            gradient = evaluated.evaluation.gradient(block.parameters)
            climbs = settings_of_block(block.name, block.parameters, groups).maximize
            flat = gradient if climbs else -gradient
            downhill.append(Direction(block.parameters, flat, "first-order"))
        return replace(update, directions=(*(update.directions or ()), *downhill))


def _rescaled(update: NewtonUpdate, factors: dict[str, tuple[Factor, Tensor]]) -> NewtonUpdate:
    """Return Newton's directions, put together by one factor per block, and records that say so.

    Args:
        update: The directions.
        factors: By block, U of its matrix and the right-hand side of its system.
    """
    solved = {
        record.name: (record, direction)
        for record, direction in zip(update.blocks, update.directions or (), strict=True)
        if direction.phase == "newton"
    }
    shares = [
        Share.of(*factors[name], direction.flat, record.treatment.damping)
        for name, (record, direction) in solved.items()
    ]
    alphas = dict(zip(solved, joint_factors(shares), strict=True)) if shares else {}
    return replace(
        update,
        blocks=tuple(replace(r, rescaled_by=alphas.get(r.name)) for r in update.blocks),
        directions=tuple(
            replace(direction, flat=alphas.get(record.name, 1.0) * direction.flat)
            for record, direction in zip(update.blocks, update.directions or (), strict=True)
        ),
    )


def _move(
    context: StepContext, evaluated: Evaluated, update: NewtonUpdate, skipped: str | None
) -> tuple[Applied, str | None]:
    """Move the parameters, unless something is in the way; return what was done, or what is."""
    evaluated.evaluation.release()
    if skipped is not None:
        return NOT_APPLIED, skipped
    gradients = evaluated.gradients
    with context.clock.stage("update"):
        if update.directions is None:
            applied = descend(gradients)
        else:
            applied = apply_directions(update.directions, context.settings.groups, gradients)
    return applied, None if applied.finite else "the update is not finite"
