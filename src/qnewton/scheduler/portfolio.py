"""The portfolio: each candidate pairs a price with the solver that does the work.

Adding a solver is one file under ``solvers``, one price under ``cost``, and one line here.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from qnewton.cost import (
    Audit,
    audited_quote,
    cg_quote,
    cholesky_quote,
    ldl_quote,
    lu_inverse_quote,
    lu_quote,
    minres_quote,
    paper_quote,
    sparse_cg_quote,
    sparse_lu_quote,
    woodbury_quote,
)
from qnewton.operators import LinearSystem
from qnewton.records import (
    Calibration,
    Facts,
    MachineKind,
    QuantumHardware,
    Quote,
    Representation,
)
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
        audit: What the quantum solver's audited price assumes; ``None`` for the paper's price.
        n_qpus: QPUs that share a step's blocks with the classical machine under policy hybrid.
    """

    calibration: Calibration
    hardware: QuantumHardware | None
    epsilon: float
    tolerance: float
    dtype: str
    max_products: int = 1000
    readout: Readout | None = None
    audit: Audit | None = None
    n_qpus: int = 1


@dataclass(frozen=True)
class Candidate:
    """One solver of the portfolio: how it is priced and how it is run.

    Attributes:
        name: Its name in quotes and records.
        machine: Whether a classical or a quantum machine would run it.
        price: Makes its quote from the facts.
        run: Solves a system.
        needs_entries: Whether it reads all N² entries, rather than what the matrix is held by.
        needs: The representation without which it is no candidate; ``None`` if any will do.
        direct: Whether it factorises: its price hangs on shapes and signs, on no earlier products.
    """

    name: str
    machine: MachineKind
    price: Callable[[Facts, Market], Quote]
    run: Callable[[LinearSystem, Facts, Market], Solution]
    needs_entries: bool
    needs: Representation | None = None
    direct: bool = False


def _classical(
    name: str,
    price: Callable[[Facts, Market], Quote],
    needs_entries: bool = True,
    needs: Representation | None = None,
    direct: bool = True,
) -> Candidate:
    def run(system: LinearSystem, facts: Facts, market: Market) -> Solution:
        return solve(system, name, tolerance=market.tolerance, max_products=market.max_products)

    return Candidate(name, "classical", price, run, needs_entries, needs, direct)


def _run_qsvt(system: LinearSystem, facts: Facts, market: Market) -> Solution:
    """Emulate QSVT with α and κ from the survey, each widened by the survey's own accuracy.

    The block-encoding is the tightest one, α = ‖A‖₂: the paper prices its queries with α = d
    but leaves the block-encoding itself free.
    """
    alpha = kappa = None
    if facts.norm is not None and facts.condition is not None and facts.condition.value is not None:
        widen = 1.0 if facts.condition.method == "exact" else SURVEY_MARGIN
        alpha, kappa = widen * facts.norm, widen**2 * facts.condition.value
    readout = market.readout
    if readout is not None:
        # Blocks of one step draw different outcomes.
        readout = replace(readout, seed=readout.seed ^ zlib.crc32(system.name.encode()))
    return solve(
        system,
        "qsvt",
        tolerance=market.tolerance,
        epsilon=market.epsilon,
        alpha=alpha,
        kappa=kappa,
        readout=readout,
    )


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
        direct=False,
    ),
    _classical("ldl", lambda f, m: ldl_quote(m.calibration, f, m.dtype)),
    _classical(
        "minres",
        lambda f, m: minres_quote(m.calibration, f, m.dtype, tolerance=m.tolerance),
        needs_entries=False,
        direct=False,
    ),
    _classical(
        "woodbury",
        lambda f, m: woodbury_quote(m.calibration, f, m.dtype),
        needs_entries=False,
        needs="low-rank",
    ),
    _classical(
        "sparse_cg",
        lambda f, m: sparse_cg_quote(m.calibration, f, m.dtype, tolerance=m.tolerance),
        needs_entries=False,
        needs="sparse",
        direct=False,
    ),
    _classical(
        "sparse_lu",
        lambda f, m: sparse_lu_quote(m.calibration, f, m.dtype),
        needs_entries=False,
        needs="sparse",
    ),
)


def _quantum(hardware: QuantumHardware) -> Candidate:
    def price(facts: Facts, market: Market) -> Quote:
        if facts.row_sparsity == 0:
            return Quote(
                solver="qsvt",
                machine="quantum",
                seconds=None,
                model="no price",
                hardware=hardware.name,
                hypothetical=hardware.hypothetical,
                refused="A has no entry but zeros",
                sparsity=0,
            )
        if market.audit is None:
            return paper_quote(facts, hardware, epsilon=market.epsilon)
        return audited_quote(market.calibration, facts, hardware, market.audit, market.dtype)

    return Candidate(
        "qsvt",
        "quantum",
        price,
        _run_qsvt,
        needs_entries=True,
    )


def candidates(
    market: Market, may_form: bool = True, facts: Facts | None = None
) -> tuple[Candidate, ...]:
    """Return the classical candidates, and the quantum one when there is a machine for it.

    Args:
        market: The machines.
        may_form: Whether the matrix has its entries, or they may be formed; otherwise only those
            that need none.
        facts: How the matrix is held: candidates that need another representation are left out,
            those that need some when nobody knows. Sparse ones may read the zeros of a formed
            matrix whose ``entries`` were counted.
    """
    found = PORTFOLIO if market.hardware is None else (*PORTFOLIO, _quantum(market.hardware))
    return tuple(
        candidate
        for candidate in found
        if (may_form or not candidate.needs_entries) and _held(candidate.needs, facts)
    )


def _held(needs: Representation | None, facts: Facts | None) -> bool:
    if needs is None:
        return True
    if facts is None:
        return False
    return facts.representation == needs or (needs == "sparse" and facts.entries is not None)


def quotes(facts: Facts, market: Market, may_form: bool = True) -> tuple[Quote, ...]:
    """Return one quote a candidate; a candidate that cannot be priced says why in its quote."""
    return tuple(
        candidate.price(facts, market) for candidate in candidates(market, may_form, facts)
    )
