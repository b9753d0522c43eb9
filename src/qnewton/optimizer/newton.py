"""The Newton systems of a step: every block treated, decided and solved, one after the other."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from qnewton.operators import LinearSystem
from qnewton.optimizer.attempts import solve_block
from qnewton.optimizer.blocks import BlockTask, PreparedBlock, prepare_block
from qnewton.optimizer.settings import settings_of_block
from qnewton.optimizer.step_context import Direction, KeptFactors, NewtonUpdate, StepContext
from qnewton.records import BlockRecord, Outcome
from qnewton.scheduler.pricing import shared_out
from qnewton.survey import amplitudes, solution_gain


def one_by_one(systems: list[LinearSystem]) -> Iterator[LinearSystem]:
    """Give systems away, so that the entries of one are freed before those of the next are formed.

    That holds if nobody else keeps the list.
    """
    queue = deque(systems)
    del systems
    while queue:
        yield queue.popleft()


def survey_systems(
    context: StepContext, systems: Iterable[LinearSystem]
) -> tuple[BlockRecord, ...]:
    """Return the record of every block, which is measured and decided, but not solved.

    Raises:
        FloatingPointError: If some curvature holds a number that is not finite.
    """
    records = tuple(block.record for block in _prepared(context, systems, None))
    context.memory.keep(records, context.market.tolerance, measured=True)
    return records


def solve_systems(
    context: StepContext, systems: Iterable[LinearSystem], strength: float = 0.0
) -> NewtonUpdate:
    """Solve one system after the other, as long as each has a direction.

    Args:
        context: Where the step takes place.
        systems: One per block. Where they come from :func:`one_by_one` only one dense matrix is
            alive at a time, but those of all blocks where blocks share machines.
        strength: λ of the groups whose damping is ``auto``. A direction of theirs has to descend:
            a solver that meets negative curvature ends the update, which says where.

    Raises:
        FloatingPointError: If some curvature holds a number that is not finite.
        ValueError: If a block spans groups that are treated differently.
    """
    update = NewtonUpdate(directions=())
    for block in _shared_out(context, _prepared(context, systems, strength)):
        update = _with_solved(update, context, block)
        del block  # frees its matrix before the next one is formed
        if update.directions is None:
            break
    measured = context.market.hardware is not None
    context.memory.keep(update.blocks, context.market.tolerance, measured)
    return update


def _prepared(
    context: StepContext, systems: Iterable[LinearSystem], strength: float | None
) -> Iterator[PreparedBlock]:
    """Prepare the blocks one by one; without a λ, to survey them alone."""
    memory, solves = context.memory, strength is not None
    for system in systems:
        settings = settings_of_block(system.name, system.parameters, context.settings.groups)
        descends = settings.damping == "auto" and solves
        if settings.damping == "auto":
            settings = replace(settings, damping=strength or 0.0)
        earlier = memory.earlier(system.name)
        if descends and earlier is not None:
            # λ has moved since, and with it the signs, and who can reach the tolerance.
            earlier = replace(earlier, definiteness=None, failed=())
        surveyed = memory.surveyed(system.name) if solves else None
        task = BlockTask(
            system,
            settings,
            may_form=system.n <= context.settings.max_dense,
            measures=surveyed is None and (not solves or context.market.hardware is not None),
            descends=descends,
            earlier=earlier,
            surveyed=surveyed,
        )
        yield prepare_block(context, task)


def _shared_out(context: StepContext, prepared: Iterator[PreparedBlock]) -> Iterator[PreparedBlock]:
    """Decide for all blocks together where they share machines; the last is then done soonest."""
    # All of them are then prepared before the first is solved.
    if not context.policy.shares_machines:
        return prepared
    blocks = [*prepared]
    decisions = [block.record.decision for block in blocks]
    assigned = shared_out(context.policy, decisions, context.market.n_qpus)
    return iter(
        [
            replace(block, record=replace(block.record, decision=decision))
            for block, decision in zip(blocks, assigned, strict=True)
        ]
    )


def _with_solved(update: NewtonUpdate, context: StepContext, block: PreparedBlock) -> NewtonUpdate:
    """Return what came of the blocks so far, and of one more."""
    system = block.system
    direction, record, factors = solve_block(block, context.market, context.clock)
    if context.replicas is not None:
        direction = context.replicas.agree(direction, system.rhs)
    if direction is not None and torch.isfinite(direction).all():
        if context.market.hardware is not None:
            gain = solution_gain(record.facts, system.rhs, direction)
            record = replace(record, amplitudes=amplitudes(direction), solution_gain=gain)
        context.hooks.tell_solution(context.step, system, record, direction)
        kept = None if factors is None else KeptFactors(system, record, factors)
        return update.and_block(record, Direction(system.parameters, direction, "newton"), kept)
    if block.descends and record.outcome is Outcome.NOT_DEFINITE:
        damping = record.treatment.damping
        where = f"block {system.name!r} is not positive definite at λ = {damping:.3g}"
        return replace(update.and_block(record), indefinite=where)
    failed = ", ".join(f"{a.solver}: {a.describe()}" for a in record.attempts)
    if block.may_form:
        failure = f"no direction for block {system.name!r} ({failed})"
        return replace(update.and_block(record), failure=failure)
    # A block that is too large to be formed goes along -g, and its record says so.
    reason = f"no solver for a block that is not formed ({failed})"
    record = replace(record, first_order=reason)
    return update.and_block(record, Direction(system.parameters, system.rhs, "first-order"))
