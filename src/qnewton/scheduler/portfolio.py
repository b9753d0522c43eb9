"""The portfolio: each candidate pairs a price with the solver that does the work.

Adding a solver is one file under ``solvers``, one price under ``cost``, and one line here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qnewton.cost import (
    cg_quote,
    cholesky_quote,
    lu_inverse_quote,
    lu_quote,
    paper_quote,
)
from qnewton.operators import LinearSystem
from qnewton.records import Calibration, Facts, MachineKind, QuantumHardware, Quote
from qnewton.solvers import Solution, solve


@dataclass(frozen=True)
class Market:
    """What every quote of a run is made with.

    Attributes:
        calibration: The classical machine's constants.
        hardware: The quantum machine; ``None`` for no quantum quotes.
        epsilon: Error tolerance the quantum solver is priced and run at.
        tolerance: Relative residual the classical solvers have to reach.
        dtype: dtype of the system, which decides the calibrated rates.
    """

    calibration: Calibration
    hardware: QuantumHardware | None
    epsilon: float
    tolerance: float
    dtype: str


@dataclass(frozen=True)
class Candidate:
    """One solver of the portfolio: how it is priced and how it is run."""

    name: str
    machine: MachineKind
    price: Callable[[Facts, Market], Quote]
    run: Callable[[LinearSystem, Facts, Market], Solution]


def _classical(name: str, price: Callable[[Facts, Market], Quote]) -> Candidate:
    def run(system: LinearSystem, facts: Facts, market: Market) -> Solution:
        return solve(system, name, tolerance=market.tolerance)

    return Candidate(name, "classical", price, run)


def _run_qsvt(system: LinearSystem, facts: Facts, market: Market) -> Solution:
    """Emulate QSVT with α and κ from the survey, each widened by the survey's own accuracy.

    The block-encoding is the tightest one, α = ‖A‖₂: the paper prices its queries with α = d
    but leaves the block-encoding itself free.
    """
    alpha = kappa = None
    if facts.norm is not None and facts.condition is not None and facts.condition.value is not None:
        widen = 1.0 if facts.condition.method == "exact" else SURVEY_MARGIN
        alpha, kappa = widen * facts.norm, widen**2 * facts.condition.value
    return solve(
        system,
        "qsvt",
        tolerance=market.tolerance,
        epsilon=market.epsilon,
        alpha=alpha,
        kappa=kappa,
    )


SURVEY_MARGIN = 1.02
"""The default survey is accurate to 1%; twice that keeps the spectrum inside the promise."""

PORTFOLIO: tuple[Candidate, ...] = (
    _classical("lu_inverse", lambda f, m: lu_inverse_quote(m.calibration, f, m.dtype)),
    _classical("lu", lambda f, m: lu_quote(m.calibration, f, m.dtype)),
    _classical("cholesky", lambda f, m: cholesky_quote(m.calibration, f, m.dtype)),
    _classical("cg", lambda f, m: cg_quote(m.calibration, f, m.dtype, tolerance=m.tolerance)),
)


def _quantum(hardware: QuantumHardware) -> Candidate:
    return Candidate(
        "qsvt", "quantum", lambda f, m: paper_quote(f, hardware, epsilon=m.epsilon), _run_qsvt
    )


def candidates(market: Market) -> tuple[Candidate, ...]:
    """Return the classical candidates, and the quantum one when there is a machine for it."""
    return PORTFOLIO if market.hardware is None else (*PORTFOLIO, _quantum(market.hardware))


def quotes(facts: Facts, market: Market) -> tuple[Quote, ...]:
    """Return one quote a candidate; a candidate that cannot be priced says why in its quote."""
    return tuple(candidate.price(facts, market) for candidate in candidates(market))
