"""One more right-hand side for the factorisation that solved a system of least squares."""

from dataclasses import replace

from torch import Tensor

from qnewton.cost import SOLVERS
from qnewton.cost.solvers import quote_by
from qnewton.operators.base import dtype_name
from qnewton.optimizer.attempts import attempt_solve
from qnewton.optimizer.step_context import KeptFactors, StepContext
from qnewton.optimizer.update import Direction
from qnewton.records import BlockRecord, Decision


def solve_another(
    context: StepContext, kept: KeptFactors, target: Tensor, tolerance: float
) -> tuple[Direction | None, BlockRecord]:
    """Solve (U Uᵀ + λI)·x = U·t for another t, and tell the solution hooks.

    Args:
        context: Where the step takes place.
        kept: The system that was solved, with its factorisation.
        target: t, shape [k].
        tolerance: Largest relative residual that counts as solved.

    Returns:
        The direction, ``None`` if x missed the tolerance; the record, priced as a solve alone.

    Cost: that of a solve with the factorisation.
    """
    system, factors = kept.system.with_target(target), kept.factors
    with context.clock.stage("solve"):
        solution, attempt = attempt_solve(
            factors.solver, lambda: factors.solve(system.rhs, tolerance, target)
        )
    record = replace(_prepared(context, kept), attempts=(attempt,))
    x = solution.direction
    if x is None or not solution.solved:
        return None, record
    context.hooks.tell_solution(context.step, system, record, x)
    return Direction(system.parameters, x, "newton"), record


def _prepared(context: StepContext, kept: KeptFactors) -> BlockRecord:
    """Return what is known of the system, and the price of what is left to do."""
    known, solver = kept.record, SOLVERS.get(kept.factors.solver)
    facts = replace(known.facts, factored_by=solver.name)
    market = replace(context.market, dtype=dtype_name(kept.system.operator.dtype))
    quote = quote_by(solver, solver.price_as_timed or solver.price, facts, market)
    return replace(
        known,
        curvature=replace(
            known.curvature, forming_flops=0.0, preparing_flops=0.0, preparing_calls=0
        ),
        facts=facts,
        decision=Decision(
            chosen=solver.name,
            quotes=(quote,),
            policy=context.policy.name,
            reason=f"the factorisation of {solver.name} is there, so it solves for one more target",
        ),
    )
