"""The portfolio: each candidate pairs a price with the solver that does the work.

Adding a solver is one file under ``solvers``, one price under ``cost``, and one line here.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from qnewton.cost import (
    cg_quote,
    cholesky_quote,
    lu_inverse_quote,
    lu_quote,
    paper_quote,
)
from qnewton.operators import LinearSystem
from qnewton.records import Calibration, Facts, MachineKind, QuantumHardware, Quote
from qnewton.scheduler.step_angle import with_angle
from qnewton.solvers import Solution, solve
from qnewton.solvers.quantum import Readout


@dataclass(frozen=True)
class Market:
    """What every quote of a run is made with.

    Attributes:
        calibration: The classical machine's constants.
        hardware: The quantum machine; ``None`` for no quantum quotes.
        epsilon: Error tolerance the quantum solver is priced and run at.
        tolerance: Relative residual the classical solvers have to reach.
        dtype: dtype of the system, which decides the calibrated rates.
        max_products: Most products an iterative classical solver may spend on a system.
        readout: How the quantum solver's state is measured; ``None`` for the ideal read-out.
    """

    calibration: Calibration
    hardware: QuantumHardware | None
    epsilon: float
    tolerance: float
    dtype: str
    max_products: int = 1000
    readout: Readout | None = None


@dataclass(frozen=True)
class Candidate:
    """One solver of the portfolio: how it is priced and how it is run.

    Attributes:
        name: Its name in quotes and records.
        machine: Whether a classical or a quantum machine would run it.
        price: Makes its quote from the facts.
        run: Solves a system.
        needs_entries: Whether it reads the matrix's entries rather than multiplying with it.
    """

    name: str
    machine: MachineKind
    price: Callable[[Facts, Market], Quote]
    run: Callable[[LinearSystem, Facts, Market], Solution]
    needs_entries: bool


def _classical(
    name: str, price: Callable[[Facts, Market], Quote], needs_entries: bool = True
) -> Candidate:
    def run(system: LinearSystem, facts: Facts, market: Market) -> Solution:
        return solve(system, name, tolerance=market.tolerance, max_products=market.max_products)

    return Candidate(name, "classical", price, run, needs_entries)


def _run_qsvt(system: LinearSystem, facts: Facts, market: Market) -> Solution:
    """Emulate QSVT with α and κ from the survey, each widened by the survey's own accuracy.

    The block-encoding is the tightest one, α = ‖A‖₂: the paper prices its queries with α = d
    but leaves the block-encoding itself free. The direction is compared with the exact one,
    for the record alone.
    """
    alpha = kappa = None
    if facts.norm is not None and facts.condition is not None and facts.condition.value is not None:
        widen = 1.0 if facts.condition.method == "exact" else SURVEY_MARGIN
        alpha, kappa = widen * facts.norm, widen**2 * facts.condition.value
    readout = market.readout
    if readout is not None:
        # Blocks of one step draw different outcomes.
        readout = replace(readout, seed=readout.seed ^ zlib.crc32(system.name.encode()))
    solution = solve(
        system,
        "qsvt",
        tolerance=market.tolerance,
        epsilon=market.epsilon,
        alpha=alpha,
        kappa=kappa,
        readout=readout,
    )
    return with_angle(system, solution)


SURVEY_MARGIN = 1.02
"""The default survey is accurate to 1%; twice that keeps the spectrum inside the promise."""

PORTFOLIO: tuple[Candidate, ...] = (
    _classical("lu_inverse", lambda f, m: lu_inverse_quote(m.calibration, f, m.dtype)),
    _classical("lu", lambda f, m: lu_quote(m.calibration, f, m.dtype)),
    _classical("cholesky", lambda f, m: cholesky_quote(m.calibration, f, m.dtype)),
    _classical(
        "cg",
        lambda f, m: cg_quote(m.calibration, f, m.dtype, tolerance=m.tolerance),
        needs_entries=False,
    ),
)


def _quantum(hardware: QuantumHardware) -> Candidate:
    return Candidate(
        "qsvt",
        "quantum",
        lambda f, m: paper_quote(f, hardware, epsilon=m.epsilon),
        _run_qsvt,
        needs_entries=True,
    )


def candidates(market: Market, formed: bool = True) -> tuple[Candidate, ...]:
    """Return the classical candidates, and the quantum one when there is a machine for it.

    Args:
        market: The machines.
        formed: Whether the matrix has its entries; without them, candidates that multiply alone.
    """
    found = PORTFOLIO if market.hardware is None else (*PORTFOLIO, _quantum(market.hardware))
    return tuple(candidate for candidate in found if formed or not candidate.needs_entries)


def quotes(facts: Facts, market: Market, formed: bool = True) -> tuple[Quote, ...]:
    """Return one quote a candidate; a candidate that cannot be priced says why in its quote."""
    return tuple(candidate.price(facts, market) for candidate in candidates(market, formed))
