"""One solver's try at a block: what it raises, and whether what it claims is so."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from numpy.linalg import LinAlgError

from qnewton.operators import DenseOperator, LinearSystem, LowRankOperator, SparseOperator
from qnewton.records import Attempt, Outcome
from qnewton.solvers import Solution, SolveStats
from qnewton.solvers.classical import judge, relative_residual


def attempt_solve(name: str, run: Callable[[], Solution]) -> tuple[Solution, Attempt]:
    """Run a solver; one that raises over its numbers has failed, and its attempt says how."""
    start, raised = time.perf_counter(), None
    try:
        solution = run()
    except (ArithmeticError, RuntimeError, LinAlgError) as error:
        raised = type(error).__name__
        first_line = (str(error).strip().splitlines() or ["no message"])[0]
        detail = f"{raised}: {first_line}"
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
        raised=raised,
    )
    return solution, attempt


def checked_claim(
    solution: Solution, attempt: Attempt, system: LinearSystem, tolerance: float
) -> tuple[Solution, Attempt]:
    """Hold what a solver calls solved against the true residual.

    Where the matrix is only multiplied with, a residual that the solver states is believed: a
    product there costs as much as a solver's own, and the solvers share the code that measures it.
    """
    x, residual = solution.direction, solution.stats.residual
    if x is None or not torch.isfinite(x).all():
        residual, outcome, detail = None, Outcome.NOT_FINITE, ""
    else:
        held = isinstance(system.operator, DenseOperator | SparseOperator | LowRankOperator)
        if held or residual is None:
            residual = relative_residual(system.operator, x, system.rhs)
        outcome, detail = judge(residual, tolerance, system.operator.dtype)
    found = {"outcome": outcome, "detail": detail}
    return replace(solution, **found), replace(attempt, residual=residual, **found)
