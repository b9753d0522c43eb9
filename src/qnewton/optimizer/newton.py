"""The Newton update: every block's system treated, decided and solved, one after the other."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qnewton.cost import Market
from qnewton.curvature import Block
from qnewton.operators import Factor, LinearSystem, NegatedOperator
from qnewton.optimizer.blocks import (
    PreparedBlock,
    SurveyPlan,
    prepare_block,
    solve_block,
)
from qnewton.optimizer.clock import StageClock
from qnewton.optimizer.replicas import Replicas
from qnewton.optimizer.rescale import Share, factor_between_blocks, joint_factors
from qnewton.optimizer.settings import GroupSettings, settings_of_block
from qnewton.optimizer.update import Update
from qnewton.records import BlockRecord, EarlierFacts, Facts, Outcome, Phase
from qnewton.scheduler.assignment import assign_blocks
from qnewton.scheduler.policy import POLICIES


@dataclasses.dataclass(frozen=True)
class NewtonUpdate:
    """What came of a step's systems.

    Attributes:
        blocks: A record of every block that was looked at.
        update: The directions; ``None`` if the blocks were only surveyed, or one has none.
        failure: Why a block has no direction.
        indefinite: Where a definite solve met negative curvature; the reason it failed.
        abandoned: Records of systems of the same step that were solved before these and given up.
    """

    blocks: tuple[BlockRecord, ...] = ()
    update: Update | None = None
    failure: str | None = None
    indefinite: str | None = None
    abandoned: tuple[BlockRecord, ...] = ()


NOTHING_FOUND = NewtonUpdate()
"""What comes of a first-order step."""


def newton_update(
    systems: list[LinearSystem],
    groups: Sequence[dict[str, Any]],
    *,
    solve: bool,
    plan: SurveyPlan,
    policy: str,
    market: Market,
    max_dense: int,
    clock: StageClock,
    replicas: Replicas | None,
    on_solution: Callable[[LinearSystem, BlockRecord, Tensor], None],
    strength: float | None = None,
    earlier: Callable[[str], EarlierFacts | None] = lambda _: None,
    surveyed: Callable[[str], Facts | None] = lambda _: None,
    larger: Sequence[tuple[Block, Tensor]] = (),
    rescale: bool = False,
) -> NewtonUpdate:
    """Prepare and, if asked, solve every system; ``systems`` is used up on the way.

    Args:
        systems: One a block. Only one dense matrix is alive at a time, but those of all blocks
            under a policy by which they share machines.
        groups: The optimizer's parameter groups, with the settings of each block.
        solve: Whether to solve, or only to survey.
        plan: What to measure of each block.
        policy: Decides which solver runs.
        market: Prices and tolerances.
        max_dense: Rows of the largest block that is formed. A larger one that its solver cannot
            solve takes a first-order direction, and its record says so.
        clock: Told every stage.
        replicas: Processes that must take the same step.
        on_solution: Told every treated system that was solved.
        strength: λ of the groups whose damping is ``auto``. A direction then has to descend: a
            solver that meets negative curvature ends the update, which says where.
        earlier: What the last solve of a block left, by the block's name.
        surveyed: What a survey of a block found that is recent enough, by the block's name.
        larger: Blocks without a system, with their gradients: they take first-order directions.
        rescale: Whether the directions of Fisher blocks are put together by
            :func:`~qnewton.optimizer.rescale.joint_factors`.

    Raises:
        FloatingPointError: If some curvature holds a number that is not finite.
        ValueError: If a block spans groups that are treated differently, or cannot be rescaled.
    """
    directions: list[tuple[Sequence[Tensor], Tensor, Phase]] = []
    records: list[BlockRecord] = []
    shares: list[Share] = []

    def prepare() -> Iterator[_Waiting]:
        while systems:
            system = systems.pop(0)
            settings = settings_of_block(system.name, system.parameters, groups)
            definite = settings.damping == "auto" and solve
            if settings.damping == "auto":
                settings = dataclasses.replace(settings, damping=strength or 0.0)
            if settings.maximize:
                negative = NegatedOperator(system.operator)
                system = dataclasses.replace(system, operator=negative, rhs=-system.rhs)
            factor = factor_between_blocks(system) if rescale and solve else None
            formed = system.n <= max_dense
            left = earlier(system.name)
            if definite and left is not None:
                # λ has moved since, and with it the signs, and who can reach the tolerance.
                left = dataclasses.replace(left, definiteness=None, failed=())
            prepared = prepare_block(
                system,
                settings,
                plan,
                policy,
                market,
                clock,
                formed,
                definite,
                left,
                surveyed(system.name),
            )
            yield _Waiting(prepared, settings, definite, factor)

    waiting = prepare()
    if POLICIES.get(policy).shares_machines and solve and len(systems) > 1:
        # Machines that work at the same time are shared out by the prices of all blocks, so all
        # are prepared before the first is solved.
        waiting = iter(_shared_out([*waiting], market.n_qpus))
    for prepared, settings, definite, factor in waiting:
        system, formed = prepared.system, prepared.formed
        if not solve:
            records.append(prepared.record)
            continue
        direction, record = solve_block(prepared, market, clock, definite)
        if replicas is not None:
            direction = replicas.agree(direction, system.rhs)
        if direction is None or not torch.isfinite(direction).all():
            if definite and record.outcome is Outcome.NOT_DEFINITE:
                where = (
                    f"block {system.name!r} is not positive definite at λ = {settings.damping:.3g}"
                )
                return NewtonUpdate((*records, record), indefinite=where)
            tries = ", ".join(f"{a.solver}: {a.describe()}" for a in record.attempts)
            if not formed:
                reason = f"no solver for a block that is not formed ({tries})"
                records.append(dataclasses.replace(record, first_order=reason))
                directions.append((system.parameters, system.rhs, "first-order"))
                continue
            failure = f"no direction for block {system.name!r} ({tries})"
            return NewtonUpdate((*records, record), failure=failure)
        records.append(record)
        directions.append((system.parameters, direction, "newton"))
        on_solution(prepared.system, record, direction)
        if factor is not None:
            with clock.stage("update"):
                damping = record.treatment.damping
                shares.append(Share.of(factor, system.rhs, direction, damping))
    if shares:
        with clock.stage("update"):
            directions, records = _rescaled(directions, records, joint_factors(shares))
    for block, gradient in larger:
        settings = settings_of_block(block.name, block.parameters, groups)
        downhill = gradient if settings.maximize else -gradient
        directions.append((block.parameters, downhill, "first-order"))
    return NewtonUpdate(tuple(records), update=Update.of(directions) if solve else None)


class _Waiting(NamedTuple):
    prepared: PreparedBlock
    settings: GroupSettings
    definite: bool
    factor: Factor | None


def _rescaled(
    directions: list[tuple[Sequence[Tensor], Tensor, Phase]],
    records: list[BlockRecord],
    factors: list[float],
) -> tuple[list[tuple[Sequence[Tensor], Tensor, Phase]], list[BlockRecord]]:
    """Return Newton's directions and their records with the blocks' factors."""
    left = iter(factors)
    scaled, told = [], []
    for (parameters, direction, phase), record in zip(directions, records, strict=True):
        alpha = next(left) if phase == "newton" else None
        scaled.append((parameters, direction if alpha is None else alpha * direction, phase))
        told.append(dataclasses.replace(record, rescaled_by=alpha))
    return scaled, told


def _shared_out(waiting: list[_Waiting], n_qpus: int) -> list[_Waiting]:
    """Return the blocks decided together, so that the last machine is done soonest."""
    decisions = [block.prepared.record.decision for block in waiting]
    if not all(any(q.seconds is not None for q in d.quotes) for d in decisions):
        return waiting
    assigned, _ = assign_blocks(decisions, n_qpus)
    return [
        block._replace(
            prepared=dataclasses.replace(
                block.prepared,
                record=dataclasses.replace(block.prepared.record, decision=decision),
            )
        )
        for block, decision in zip(waiting, assigned, strict=True)
    ]
