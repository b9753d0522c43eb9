"""Solving one block: an attempt with the chosen solver, then the next quote while one fails."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from qnewton.cost import SOLVERS, Market, absolute_quote
from qnewton.operators import DenseOperator, LinearSystem, LowRankOperator, SparseOperator
from qnewton.operators.base import dtype_name
from qnewton.operators.scaling import into_range, norm_ratio
from qnewton.optimizer.blocks import PreparedBlock, formed
from qnewton.optimizer.clock import StageClock
from qnewton.records import Attempt, BlockRecord, Decision, Outcome
from qnewton.records.messages import first_line
from qnewton.scheduler.offers import forming_pays
from qnewton.scheduler.running import run_solver
from qnewton.scheduler.step_angle import with_angle
from qnewton.solvers import Solution, SolveStats
from qnewton.solvers.classical import (
    Factorization,
    judge,
    relative_residual,
    solve_absolute,
)
from qnewton.survey.lowest import PRODUCTS as LOWEST_PRODUCTS

ABSOLUTE_LIMIT = 1024
"""Rows up to which an indefinite block is decomposed: a second in float64 on two cores."""

BY_SIZE = "absolute"
"""The solver that nobody offers: it takes over from all that met negative curvature."""


def attempt_solve(name: str, run: Callable[[], Solution]) -> tuple[Solution, Attempt]:
    """Run a solver; one that raises has failed, and its attempt says how."""
    start, raised = time.perf_counter(), None
    try:
        solution = run()
    except Exception as error:  # noqa: BLE001  # whoever registered a solver may raise anything
        raised = type(error).__name__
        detail = f"{raised}: {first_line(error) or 'no message'}"
        solution = Solution(None, Outcome.RAISED, SolveStats(solver=name), detail)
    attempt = Attempt(
        solver=name,
        outcome=solution.outcome,
        detail=solution.detail,
        residual=solution.stats.residual,
        products=solution.stats.products,
        condition=solution.stats.condition,
        definiteness=solution.stats.definiteness,
        measured_seconds=time.perf_counter() - start,
        quantum=solution.stats.quantum,
        deflation=solution.stats.deflation,
        raised=raised,
    )
    return solution, attempt


def checked_claim(
    solution: Solution, attempt: Attempt, system: LinearSystem, tolerance: float
) -> tuple[Solution, Attempt]:
    """Hold what a solver calls solved against the true residual.

    One that a product in the matrix's own dtype agrees with stays as the solver states it.
    Where the matrix is only multiplied with, a residual that the solver states is believed: a
    product there costs as much as a solver's own, and the solvers share the code that measures it.
    """
    x, residual = solution.direction, solution.stats.residual
    if x is None or not _is_finite(x):
        residual, outcome, detail = None, Outcome.NOT_FINITE, ""
    else:
        held = isinstance(system.operator, DenseOperator | SparseOperator | LowRankOperator)
        if residual is None or (held and not _believable(residual, x, system, tolerance)):
            residual = relative_residual(system.operator, x, system.rhs)
        outcome, detail = judge(residual, tolerance, system.operator.dtype)
    judged = {"outcome": outcome, "detail": detail}
    return replace(solution, **judged), replace(attempt, residual=residual, **judged)


def _believable(residual: float, x: Tensor, system: LinearSystem, tolerance: float) -> bool:
    """Return whether a product in the matrix's own dtype agrees that x solves the system."""
    # One in float64 is a quarter of what a small solve takes, and the solver has made it already.
    seen = norm_ratio(system.rhs - system.operator @ x, system.rhs)
    dtype = system.operator.dtype
    return all(judge(r, tolerance, dtype)[0] is Outcome.SOLVED for r in (residual, seen))


def solve_block(
    prepared: PreparedBlock, market: Market, clock: StageClock
) -> tuple[Tensor | None, BlockRecord, Factorization | None]:
    """Solve a block with the decision's solver, then the next quote while one fails.

    Only classical candidates take over from a failed solver. Returns the direction, or ``None``
    when all failed; the record with every attempt; and, where least squares have to descend and a
    factorisation solved them, that.

    Where the direction x has to descend, xᵀA·x = -gᵀx is looked at. Where negative
    curvature is seen, a small formed block takes the eigenvalues by their size and a larger one
    has no direction. An iterate of conjugate gradients that ran out of products descends, so it
    counts.
    """
    system, record = prepared.system, prepared.record
    attempts: list[Attempt] = []
    direction = entries = None
    # By its form, whatever rounding makes of it.
    held = system.operator if isinstance(system.operator, LowRankOperator) else None
    definite = held is not None and held.shift > 0.0
    order = _order(record.decision)
    blind = _blind(order, definite)
    run = partial(
        run_solver,
        facts=record.facts,
        keep_factors=prepared.descends and held is not None and system.target is not None,
    )
    factors: Factorization | None = None
    for name in order:
        solver, offer = SOLVERS.get(name), record.decision.quote(name)
        if solver.name in blind and any(a.outcome is Outcome.NOT_DEFINITE for a in attempts):
            continue
        limit = None if offer is None else offer.max_products
        if limit is not None and any(_ran_out(attempt) for attempt in attempts):
            continue
        asked = market if limit is None else replace(market, max_products=limit)
        ready = system
        if solver.needs_entries and not isinstance(system.operator, DenseOperator):
            if entries is None:
                with clock.stage("curvature"):
                    entries = formed(system)
            ready = entries
        with clock.stage("solve"):
            solution, attempt = attempt_solve(
                name, lambda s=solver, r=ready, m=asked: run(s, r, market=m)
            )
            if solution.solved and solver.machine == "classical":
                solution, attempt = checked_claim(solution, attempt, ready, market.tolerance)
            elif solution.solved and not _is_finite(solution.direction):
                solution = replace(solution, outcome=Outcome.NOT_FINITE)
                attempt = replace(attempt, outcome=Outcome.NOT_FINITE)
        # The exact direction beside a quantum one is for the record alone: no clock runs.
        if solution.stats.quantum is not None:
            solution = with_angle(ready, solution)
            attempt = replace(attempt, quantum=solution.stats.quantum)
        attempts.append(attempt)
        x = solution.direction
        if not prepared.descends:
            direction = x if solution.solved else None
        elif solution.outcome is Outcome.NOT_DEFINITE or (x is not None and _climbs(x, system.rhs)):
            attempts[-1] = replace(attempts[-1], outcome=Outcome.NOT_DEFINITE, detail="")
            if not definite:
                break
        else:
            # Only for want of products: whatever else went wrong, the iterate tells nothing.
            out_of_products = solution.stats.products >= asked.max_products
            usable = solution.solved or (solver.descends and limit is None and out_of_products)
            direction = x if usable and _is_finite(x) else None
        if direction is not None:
            factors = solution.factors
            break
    may_decompose = prepared.descends and prepared.may_form and system.n <= ABSOLUTE_LIMIT
    unsolved = direction is None and may_decompose
    if unsolved and (entries is not None or _forming_pays(prepared, market)):
        with clock.stage("solve"):
            solution, attempt = attempt_solve(
                BY_SIZE, lambda: solve_absolute(system.operator, system.rhs, market.tolerance)
            )
        attempts.append(attempt)
        record = _with_price_of_absolute(record, system, market)
        direction = solution.direction if solution.solved else None
    return direction, replace(record, attempts=tuple(attempts)), factors


def _forming_pays(prepared: PreparedBlock, market: Market) -> bool:
    """Return whether all eigenvalues of a block are worth their price."""
    # A look for the lowest one by products, and a larger λ, turn it into descent, too: entries
    # that are not there have to cost less than those products.
    operator = prepared.system.operator
    dtype = dtype_name(operator.dtype)
    return isinstance(operator, DenseOperator) or forming_pays(
        prepared.record.facts, replace(market, dtype=dtype), LOWEST_PRODUCTS
    )


def _with_price_of_absolute(
    record: BlockRecord, system: LinearSystem, market: Market
) -> BlockRecord:
    """Return the record with a quote of the solver that took over, which nobody chose."""
    dtype = dtype_name(system.operator.dtype)
    quote = absolute_quote(market.calibration, record.facts, dtype)
    decision = record.decision
    return replace(record, decision=replace(decision, quotes=(*decision.quotes, quote)))


def _ran_out(attempt: Attempt) -> bool:
    """Return whether a Krylov solver needed more products: another one would, too."""
    return attempt.products > 0 and attempt.outcome not in (Outcome.SOLVED, Outcome.NOT_DEFINITE)


def _blind(order: Sequence[str], definite: bool) -> set[str]:
    """Return who fails where another solver found A not to be definite."""
    solvers = [SOLVERS.get(name) for name in order]
    if definite and any(solver.keeps_root for solver in solvers):
        # Rounding did that, of which every square of the factor has as much.
        return {solver.name for solver in solvers if not solver.keeps_root}
    return {solver.name for solver in solvers if solver.needs_definite}


def _is_finite(direction: Tensor | None) -> bool:
    return direction is not None and bool(torch.isfinite(direction).all())


def _climbs(direction: Tensor, rhs: Tensor) -> bool:
    # In range, since the product of two short vectors may be no number above 0.
    x, b = into_range(direction.double())[0], into_range(rhs.double())[0]
    return float(x @ b) < 0.0


def _order(decision: Decision) -> tuple[str, ...]:
    classical = {quote.solver for quote in decision.quotes if quote.machine == "classical"}
    return tuple(name for name in decision.order() if name == decision.chosen or name in classical)
