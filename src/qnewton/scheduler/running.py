"""Runs a solver of the table: here its torch-free traits meet the code that does the work."""

import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from qnewton.cost import Market, Solver, nystrom_rank
from qnewton.cost.solvers import quote_by
from qnewton.operators import LinearSystem
from qnewton.operators.scaling import into_range
from qnewton.queries import knows_norm
from qnewton.records import Facts
from qnewton.solvers import Solution, solve
from qnewton.solvers.quantum import Readout

SURVEY_MARGIN = 1.02
"""Measured values are accurate to 1%; twice that keeps the spectrum inside the promise."""


def run_solver(
    solver: Solver,
    system: LinearSystem,
    facts: Facts,
    market: Market,
    *,
    keep_factors: bool = False,
) -> Solution:
    """Solve a system with a solver of the table.

    A quantum solver is run with α and κ from the survey, each widened by the survey's own
    accuracy. The block-encoding is the tightest one, α = ‖A‖₂: the paper prices its queries with
    α = d but leaves the block-encoding itself free.

    Args:
        solver: The solver.
        system: The system.
        facts: What is known of it.
        market: The machines, and the tolerance.
        keep_factors: Whether the solution is to hold the factorisation that made it.

    Raises:
        ValueError: If the solver's ``run`` names nothing that is there.
    """
    options: dict[str, Any]
    if solver.machine == "classical":
        options = {"max_products": market.max_products, "rank": nystrom_rank(facts)}
        options["keep_factors"] = keep_factors
    else:
        options = {"epsilon": market.epsilon, "readout": _readout(system, market)}
        options["execution"] = market.execution
        condition, norm = facts.spectrum.condition, facts.spectrum.norm
        if norm is not None and condition is not None and condition.value is not None:
            widen = 1.0 if condition.method == "exact" else SURVEY_MARGIN
            options |= {"alpha": widen * norm, "kappa": widen**2 * condition.value}
            options["norm"] = _norm_known(system, facts, market)
        if solver.deflates and market.hardware is not None:
            part = quote_by(solver, solver.price, facts, market).quantum
            options["deflate"] = None if part is None else part.deflated
    runner = solver.name if solver.run is None else _loaded(solver.run)
    return solve(system, runner, tolerance=market.tolerance, **options)


def _norm_known(system: LinearSystem, facts: Facts, market: Market) -> float | None:
    """Return ‖x‖ as the last step's gain tells it, where the audit's queries count on that."""
    gain, norm = facts.solution_gain, facts.spectrum.norm
    if not knows_norm(market.audit.query_set) or gain is None or not norm:
        return None
    near, down = into_range(system.rhs.double())
    guess = math.ldexp(gain * float(near.norm()) / norm, down)
    return guess if 0.0 < guess < math.inf else None


def _readout(system: LinearSystem, market: Market) -> Readout | None:
    readout = market.readout
    if readout is None:
        return None
    # Blocks of one step draw different outcomes.
    return replace(readout, seed=readout.seed ^ zlib.crc32(system.name.encode()))


def _loaded(place: str | Callable[..., Any]) -> Any:
    if not isinstance(place, str):
        return place
    module, _, name = place.partition(":")
    found = getattr(import_module(module), name, None)
    if found is None:
        raise ValueError(f"nothing to run at {place!r}; a solver's run is 'module:name'")
    return found
