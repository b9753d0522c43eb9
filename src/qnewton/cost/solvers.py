"""Every solver: its traits and its price. Torch-free; what runs it is loaded when it runs."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from qnewton.cost.direct import (
    absolute_quote,
    cholesky_quote,
    ldl_quote,
    lu_inverse_quote,
    lu_quote,
    sparse_lu_quote,
    woodbury_quote,
)
from qnewton.cost.krylov import cg_quote, minres_quote, sparse_cg_quote
from qnewton.cost.market import Market
from qnewton.cost.parts import nonzeros
from qnewton.cost.quantum_prices import quantum_quote
from qnewton.records import Calibration, Facts, MachineKind, Quote, Representation
from qnewton.records.colours import BLACK, BLUE, GRAY, GREEN, PURPLE, SKY, VERMILLION
from qnewton.records.registry import Registry

Price = Callable[[Facts, Market], Quote]


class Family(StrEnum):
    """How a solver works, and so what its price hangs on."""

    DIRECT = "direct"
    CG = "cg"
    MINRES = "minres"
    QUANTUM = "quantum"

    @property
    def iterates(self) -> bool:
        """Whether the price hangs on how many products with the matrix the solve takes."""
        return self in (Family.CG, Family.MINRES)


@dataclass(frozen=True, kw_only=True)
class Solver:
    """A solver: what it is called, what it needs, what it costs, and what runs it.

    Attributes:
        name: Its name in quotes, records and options.
        title: Its name for people.
        family: How it works.
        price: Makes its quote from the facts.
        machine: Whether a classical or a quantum machine would run it.
        reads: How the matrix may be held. ``formed`` alone means that its entries are formed for
            the solver; ``products`` is any matrix, which is then only multiplied with.
        needs_definite: Whether it solves positive definite systems alone.
        sees_definiteness: Whether a solve tells that the matrix is not positive definite.
        descends: Whether an iterate that ran out of products is a direction of descent.
        offered: Whether it is asked for a quote before every decision. One that is not takes over
            where the others failed.
        price_of: Prices a number of products: an iterative solver that has it gets a trial where
            nobody knows how many it takes.
        price_as_timed: Its price beside other solvers', where ``price`` leaves parts of it out.
        run: What solves, ``(operator, rhs, options) -> Solution``: ``module:name``, which is loaded
            when the solver runs, so that pricing it loads nothing; or the function itself. ``None``
            for the one of this name in :mod:`qnewton.solvers`.
        colour: Its color in pictures.
        shape: Its point in pictures, as Vega-Lite names it.

    Example:
        >>> SOLVERS.get("cg").family.iterates, SOLVERS.get("lu").needs_entries
        (True, True)
    """

    name: str
    title: str
    family: Family
    price: Price
    machine: MachineKind = "classical"
    reads: tuple[Representation, ...] = ("formed",)
    needs_definite: bool = False
    sees_definiteness: bool = False
    descends: bool = False
    offered: bool = True
    price_of: Callable[[Facts, Market, int], Quote] | None = None
    price_as_timed: Price | None = None
    run: str | Callable[..., Any] | None = None
    colour: str = GRAY
    shape: str = "circle"

    @property
    def needs_entries(self) -> bool:
        """Whether it reads all N² entries, rather than what the matrix is held by."""
        return "formed" in self.reads and "products" not in self.reads

    @property
    def proves_definite(self) -> bool:
        """Whether its solution proves that the matrix is positive definite."""
        return self.family is Family.DIRECT and self.needs_definite

    def takes(self, facts: Facts | None, may_form: bool = True) -> bool:
        """Return whether it can take a system as it is held.

        Args:
            facts: How the matrix is held; ``None`` where nobody knows.
            may_form: Whether the matrix has its entries, or they may be formed.
        """
        if self.needs_entries:
            return may_form
        if "products" in self.reads:
            return True
        if facts is None:
            return False
        # Sparse solvers may read the zeros of a formed matrix whose entries were counted.
        counted = "sparse" in self.reads and nonzeros(facts).entries is not None
        return counted or facts.held.KIND in self.reads


_ANY: tuple[Representation, ...] = ("formed", "products", "low-rank", "sparse")


def _by(quote: Callable[[Calibration, Facts, str], Quote]) -> Price:
    return lambda facts, market: quote(market.calibration, facts, market.dtype)


def _cg(facts: Facts, market: Market, products: int | None = None) -> Quote:
    return cg_quote(
        market.calibration, facts, market.dtype, tolerance=market.tolerance, products=products
    )


def _minres(facts: Facts, market: Market, products: int | None = None) -> Quote:
    return minres_quote(
        market.calibration, facts, market.dtype, tolerance=market.tolerance, products=products
    )


SOLVERS: Registry[Solver] = Registry(
    "solver",
    "qnewton.solvers",
    (
        Solver(
            name="lu_inverse",
            title="LU inversion",
            family=Family.DIRECT,
            price=_by(lu_inverse_quote),
            price_as_timed=lambda facts, market: lu_inverse_quote(
                market.calibration, facts, market.dtype, as_timed=True
            ),
            colour=BLUE,
        ),
        Solver(
            name="lu",
            title="LU solve",
            family=Family.DIRECT,
            price=_by(lu_quote),
            colour=SKY,
            shape="square",
        ),
        Solver(
            name="cholesky",
            title="Cholesky",
            family=Family.DIRECT,
            price=_by(cholesky_quote),
            needs_definite=True,
            sees_definiteness=True,
            colour=GREEN,
            shape="triangle-up",
        ),
        Solver(
            name="cg",
            title="CG",
            family=Family.CG,
            price=_cg,
            price_of=_cg,
            reads=_ANY,
            needs_definite=True,
            sees_definiteness=True,
            descends=True,
            colour=PURPLE,
            shape="triangle-down",
        ),
        Solver(
            name="ldl",
            title="LDL",
            family=Family.DIRECT,
            price=_by(ldl_quote),
            colour=GREEN,
            shape="triangle-left",
        ),
        Solver(
            name="minres",
            title="MINRES",
            family=Family.MINRES,
            price=_minres,
            price_of=_minres,
            reads=_ANY,
            colour=PURPLE,
            shape="triangle-right",
        ),
        Solver(
            name="woodbury",
            title="Woodbury",
            family=Family.DIRECT,
            price=_by(woodbury_quote),
            reads=("low-rank",),
            sees_definiteness=True,  # its systems are definite by their form
            colour=BLACK,
            shape="square",
        ),
        Solver(
            name="sparse_cg",
            title="CG on the entries",
            family=Family.CG,
            price=lambda facts, market: sparse_cg_quote(
                market.calibration, facts, market.dtype, tolerance=market.tolerance
            ),
            reads=("sparse",),
            needs_definite=True,
            sees_definiteness=True,
            colour=PURPLE,
            shape="cross",
        ),
        Solver(
            name="sparse_lu",
            title="Sparse LU",
            family=Family.DIRECT,
            price=_by(sparse_lu_quote),
            reads=("sparse",),
            colour=BLACK,
            shape="cross",
        ),
        Solver(
            name="absolute",
            title="Eigenvalues by size",
            family=Family.DIRECT,
            price=_by(absolute_quote),
            offered=False,
            colour=SKY,
            shape="diamond",
        ),
        Solver(
            name="qsvt",
            title="Quantum (QSVT)",
            family=Family.QUANTUM,
            price=quantum_quote,
            machine="quantum",
            colour=VERMILLION,
            shape="diamond",
        ),
    ),
)
"""The table that prices, policies, records and pictures read; the order is that of quotes."""


def classical_solvers() -> tuple[Solver, ...]:
    """Return the classical solvers that are asked for a quote before every decision."""
    return tuple(s for s in SOLVERS if s.offered and s.machine == "classical")


def direct_solvers() -> tuple[str, ...]:
    """Return the names of the classical solvers that do not iterate."""
    return tuple(s.name for s in classical_solvers() if not s.family.iterates)


def classical_solver(name: str) -> Solver:
    """Return the classical solver called ``name``.

    Raises:
        ValueError: If none that is offered is called so.
    """
    known = {solver.name: solver for solver in classical_solvers()}
    if name not in known:
        raise ValueError(f"no classical solver is called {name!r}; choose {', '.join(known)}")
    return known[name]


def classical_quotes(
    calibration: Calibration,
    facts: Facts,
    dtype: str = "float32",
    *,
    tolerance: float = 1e-6,
    solvers: Collection[str] | None = None,
) -> tuple[Quote, ...]:
    """Return a quote of each classical solver that can take the system as it is held.

    Args:
        calibration: The classical machine.
        facts: Facts of the system.
        dtype: ``float32`` or ``float64``.
        tolerance: Relative residual of iterative solvers.
        solvers: The competitors; ``None`` for all.

    Raises:
        ValueError: If a solver is unknown or a number out of range.

    Cost:
        Some microseconds a solver.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> quotes = classical_quotes(nominal_calibration(), Facts(n=100))
        >>> sorted(quote.solver for quote in quotes if quote.seconds is not None)
        ['cholesky', 'ldl', 'lu', 'lu_inverse']
    """
    market = Market(calibration, tolerance=tolerance, dtype=dtype)
    chosen = (
        classical_solvers() if solvers is None else [classical_solver(name) for name in solvers]
    )
    return tuple(solver.price(facts, market) for solver in chosen if solver.takes(facts))
