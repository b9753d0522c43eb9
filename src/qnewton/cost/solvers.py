"""Every solver: its traits and its price. Torch-free; what runs it is loaded when it runs."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from functools import cached_property, partial
from typing import Any, get_args

from qnewton.cost import direct, eigenbasis, krylov, least_squares, nystrom, preconditioned
from qnewton.cost.audit import Market
from qnewton.cost.deflation import DEFLATED
from qnewton.cost.parts import nonzeros
from qnewton.cost.quantum_prices import (
    made_outside,
    prices_solver,
    quantum_quote,
)
from qnewton.records import Calibration, Facts, MachineKind, Quote, Representation
from qnewton.records.colors import (
    BLACK,
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
)
from qnewton.records.messages import choice_of
from qnewton.records.registry import Registry

Price = Callable[[Facts, Market], Quote]


class Family(StrEnum):
    """How a solver works, and so what its price hangs on."""

    DIRECT = "direct"
    CG = "cg"
    MINRES = "minres"
    PCG = "pcg"
    QUANTUM = "quantum"

    @property
    def iterates(self) -> bool:
        """Whether the price hangs on how many products with the matrix the solve takes."""
        return self in (Family.CG, Family.MINRES, Family.PCG)


@dataclass(frozen=True)
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
        needs_semidefinite: Whether the undamped part has to be positive semidefinite by its form.
        sees_definiteness: Whether a solve tells that the matrix is not positive definite.
        keeps_root: Whether it works on the factor U of U Uᵀ + λI, so that rounding is multiplied by
            √κ, and not by κ.
        descends: Whether an iterate that ran out of products is a direction of descent.
        offered: Whether it is asked for a quote before every decision. One that is not takes over
            where the others failed, or is asked by name.
        offered_on: Tells a market where it is offered; ``None`` for all of them.
        deflates: Whether it takes out as many of the largest eigenpairs as its quote says.
        rival: Whether prices of one system ask it, although no decision of a step does.
        has_circuit: Whether a circuit of it is built, so that gates may carry it out.
        price_of: Prices a number of products: an iterative solver that has it gets a trial where
            nobody knows how many it takes.
        price_as_timed: Its price beside other solvers', where ``price`` leaves parts of it out.
        run: What solves, ``(operator, rhs, options) -> Solution``: ``module:name``, which is loaded
            when the solver runs, so that pricing it loads nothing; or the function itself. ``None``
            for the one of this name in :mod:`qnewton.solvers`.
        color: Its color in pictures.
        shape: Its point in pictures, as Vega-Lite names it.

    Raises:
        ValueError: If a trait is none of those there are, or ``price`` or ``run`` cannot be called.

    Example:
        >>> SOLVERS.get("cg").family.iterates, SOLVERS.get("lu").needs_entries
        (True, True)
    """

    name: str
    title: str
    family: Family
    price: Price
    _: KW_ONLY
    machine: MachineKind = "classical"
    reads: tuple[Representation, ...] = ("formed",)
    needs_definite: bool = False
    needs_semidefinite: bool = False
    sees_definiteness: bool = False
    keeps_root: bool = False
    descends: bool = False
    offered: bool = True
    offered_on: Callable[[Market], bool] | None = None
    deflates: bool = False
    rival: bool = False
    has_circuit: bool = True
    price_of: Callable[[Facts, Market, int], Quote] | None = None
    price_as_timed: Price | None = None
    run: str | Callable[..., Any] | None = None
    color: str = GRAY
    shape: str = "circle"

    def __post_init__(self) -> None:
        def refuse(trait: str, limit: str) -> None:
            value = getattr(self, trait)
            raise ValueError(f"solver {self.name!r}: {trait} is {value!r}; it must be {limit}")

        if not isinstance(self.family, Family):
            refuse("family", "a member of qnewton.cost.Family")
        machine = "quantum" if self.family is Family.QUANTUM else "classical"
        if self.machine != machine:
            refuse("machine", f"{machine!r} for the family {self.family.value!r}")
        kinds = get_args(Representation)
        if isinstance(self.reads, str) or not self.reads or not set(self.reads) <= set(kinds):
            refuse("reads", f"a tuple of some of {', '.join(kinds)}")
        if not callable(self.price):
            refuse("price", "a function of the facts and the market that returns a Quote")
        named = isinstance(self.run, str) and all(self.run.partition(":"))
        if not (named or self.run is None or callable(self.run)):
            refuse("run", "'module:name', or the function itself")

    @cached_property
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
        if self.needs_semidefinite and not (facts is not None and facts.semidefinite):
            return False
        if self.needs_entries:
            return may_form
        if "products" in self.reads:
            return True
        if facts is None:
            return False
        # Sparse solvers may read the zeros of a formed matrix whose entries were counted.
        counted = "sparse" in self.reads and nonzeros(facts).entries is not None
        return counted or facts.held.KIND in self.reads


_ANY: tuple[Representation, ...] = ("formed", "products", "low-rank", "sparse", "eigenbasis")
_SPARSE: tuple[Representation, ...] = ("sparse",)
_FACTOR: dict[str, Any] = {"reads": ("low-rank",), "keeps_root": True, "sees_definiteness": True}
_DEFINITE: dict[str, Any] = {"needs_definite": True, "sees_definiteness": True}


def _by(quote: Callable[[Calibration, Facts, str], Quote]) -> Price:
    return lambda facts, market: quote(market.calibration, facts, market.dtype)


def _to_tolerance(
    quote: Callable[..., Quote], facts: Facts, market: Market, products: int | None = None
) -> Quote:
    options = {"tolerance": market.tolerance, "products": products}
    return quote(market.calibration, facts, market.dtype, **options)


def _direct(name: str, title: str, quote: Callable[..., Quote], **traits: Any) -> Solver:
    return Solver(name, title, Family.DIRECT, _by(quote), **traits)


def _krylov(
    name: str, title: str, family: Family, quote: Callable[..., Quote], **traits: Any
) -> Solver:
    price = partial(_to_tolerance, quote)
    return Solver(name, title, family, price, price_of=price, reads=_ANY, color=PURPLE, **traits)


def _quantum(name: str, title: str, **traits: Any) -> Solver:
    known: dict[str, Any] = {"machine": "quantum", "shape": "diamond", **traits}
    known["offered_on"] = partial(prices_solver, name)
    return Solver(name, title, Family.QUANTUM, partial(quantum_quote, solver=name), **known)


_OWN = (
    _direct(
        "lu_inverse",
        "LU inversion",
        direct.lu_inverse_quote,
        price_as_timed=_by(partial(direct.lu_inverse_quote, as_timed=True)),
        color=BLUE,
    ),
    _direct("lu", "LU solve", direct.lu_quote, color=SKY, shape="square"),
    _direct(
        "cholesky",
        "Cholesky",
        direct.cholesky_quote,
        color=GREEN,
        shape="triangle-up",
        **_DEFINITE,
    ),
    _krylov(
        "cg", "CG", Family.CG, krylov.cg_quote, descends=True, shape="triangle-down", **_DEFINITE
    ),
    _direct("ldl", "LDL", direct.ldl_quote, color=GREEN, shape="triangle-left"),
    _krylov("minres", "MINRES", Family.MINRES, krylov.minres_quote, shape="triangle-right"),
    _direct(
        "woodbury",
        "Woodbury",
        direct.woodbury_quote,
        reads=("low-rank",),
        sees_definiteness=True,  # its systems are definite by their form
        color=BLACK,
        shape="square",
    ),
    _direct(
        "augmented_qr",
        "QR of the factor",
        least_squares.augmented_qr_quote,
        color=GREEN,
        shape="triangle-right",
        **_FACTOR,
    ),
    Solver(
        "lsmr",
        "LSMR",
        Family.MINRES,  # whose iterates are the same in exact arithmetic
        partial(_to_tolerance, least_squares.lsmr_quote),
        color=PURPLE,
        shape="diamond",
        **_FACTOR,
    ),
    _krylov(
        "pcg_nystrom",
        "CG after a Nyström sketch",
        Family.PCG,
        nystrom.pcg_nystrom_quote,
        needs_semidefinite=True,
        shape="square",
        **_DEFINITE,
    ),
    Solver(
        "sparse_cg",
        "CG on the entries",
        Family.CG,
        partial(_to_tolerance, krylov.sparse_cg_quote),
        reads=_SPARSE,
        color=PURPLE,
        shape="cross",
        **_DEFINITE,
    ),
    Solver(
        "pcg_diagonal",
        "CG, scaled by the diagonal",
        Family.PCG,
        partial(_to_tolerance, preconditioned.pcg_diagonal_quote),
        reads=("formed", "low-rank", "sparse"),
        offered=False,  # no step measures what its price hangs on
        rival=True,
        color=PURPLE,
        shape="triangle-up",
        **_DEFINITE,
    ),
    _direct(
        "sparse_lu", "Sparse LU", direct.sparse_lu_quote, reads=_SPARSE, color=BLACK, shape="cross"
    ),
    _direct(
        "eigenbasis",
        "Known eigenvectors",
        eigenbasis.eigenbasis_quote,
        reads=("eigenbasis",),
        sees_definiteness=True,
        color=SKY,
        shape="cross",
    ),
    _direct(
        "absolute",
        "Absolute eigenvalues",
        direct.absolute_quote,
        offered=False,
        color=SKY,
        shape="diamond",
    ),
    _quantum("qsvt", "Quantum (QSVT)", color=VERMILLION),
    _quantum("dalzell", "Quantum (Dalzell)", color=ORANGE),
    _quantum("hhl", "Quantum (HHL)", color=YELLOW),
    _quantum("costa", "Quantum (Costa)", color=PURPLE, has_circuit=False),
    _quantum(
        DEFLATED, "Quantum (QSVT), deflated", color=ORANGE, shape="triangle-down", deflates=True
    ),
)

SOLVERS: Registry[Solver] = Registry("solver", "qnewton.solvers", _OWN, of=Solver)
"""The table that prices, policies, records and pictures read; the order is that of quotes."""


def quote_by(
    solver: Solver, price: Callable[..., Quote], facts: Facts, market: Market, *products: int
) -> Quote:
    """Return the quote that one of a solver's prices makes; from outside, it may not raise.

    A price of a solver that does not come with the package is a refused quote where it raises, or
    returns anything but a quote of this solver.
    """
    if SOLVERS.is_own(solver):
        return price(facts, market, *products)
    made = made_outside(partial(price, facts, market, *products), solver.name, solver.machine)
    if isinstance(made, Quote):
        return made
    known: dict[str, Any] = {"model": "no price", "hardware": "unknown", "refused": made}
    return Quote(solver=solver.name, machine=solver.machine, seconds=None, **known)


def quantum_solvers(market: Market) -> tuple[Solver, ...]:
    """Return the quantum solvers that are asked for a quote on a market with such a machine.

    They are those that are offered on it, and that what executes them can run; where the market
    names one, it alone, whether or not its cost model prices it.
    """
    asked = [s for s in SOLVERS if s.offered and s.machine == "quantum"]
    if market.algorithm is not None:
        return tuple(s for s in asked if s.name == market.algorithm)
    return tuple(
        s
        for s in asked
        if (market.execution is None or s.has_circuit)
        and (s.offered_on is None or s.offered_on(market))
    )


def quantum_solver(name: str) -> Solver:
    """Return the quantum solver called ``name``.

    Raises:
        ValueError: If none that is offered is called so.
    """
    known = {s.name: s for s in SOLVERS if s.offered and s.machine == "quantum"}
    if name not in known:
        raise ValueError(f"no quantum solver is called {name!r}; {choice_of(name, known)}")
    return known[name]


def classical_solvers() -> tuple[Solver, ...]:
    """Return the classical solvers that are asked for a quote before every decision."""
    return tuple(s for s in SOLVERS if s.offered and s.machine == "classical")


def rivals() -> tuple[Solver, ...]:
    """Return the classical solvers that prices of one system ask: more than decisions do."""
    return tuple(s for s in SOLVERS if (s.offered or s.rival) and s.machine == "classical")


def direct_solvers() -> tuple[str, ...]:
    """Return the names of the classical solvers that do not iterate."""
    return tuple(s.name for s in classical_solvers() if not s.family.iterates)


def classical_solver(name: str) -> Solver:
    """Return the classical solver called ``name``.

    Raises:
        ValueError: If none that may be asked is called so.
    """
    known = {solver.name: solver for solver in rivals()}
    if name not in known:
        raise ValueError(f"no classical solver is called {name!r}; {choice_of(name, known)}")
    return known[name]
