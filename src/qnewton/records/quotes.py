"""Prices, and the choice made from them. Every figure here is modelled, none is measured."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from qnewton.records.facts import Representation

MachineKind = Literal["classical", "quantum"]
"""Which kind of machine a quote prices."""


class Basis(StrEnum):
    """What a quote's price rests on.

    Attributes:
        FACTS: What is known of the system: measured, or left by an earlier step.
        AS_TIMED: Timings of the whole solve, in place of a formula that leaves parts of it out.
        TRIAL: A number of products that somebody chose, since nobody knows how many it takes.
    """

    FACTS = "facts"
    AS_TIMED = "as timed"
    TRIAL = "trial"


class Refusal(StrEnum):
    """Why a quote has no price, where that depends on the run and not on the system's facts.

    Attributes:
        BLIND: The solver does not see negative curvature, which the step has to know of.
        MISSED: Its solution missed the tolerance at an earlier step.
        ROUNDING: The condition number leaves too few digits to a solver that squares the factor's.
    """

    BLIND = "blind"
    MISSED = "missed"
    ROUNDING = "rounding"


@dataclass(frozen=True, kw_only=True)
class QueryCount:
    """How often a quantum linear solver calls the block-encoding U_A of its matrix.

    Attributes:
        queries: Calls in one attempt.
        success_probability: Lower bound on the probability that an attempt succeeds.
        expected: Calls until success when each attempt is repeated independently.
        theorem: The result the count comes from, down to the equation.
        provenance: ``source``, ``transcribed``, ``standard`` or ``extrapolated``: how sure we are
            of it.
        state_preparations: Expected calls of the right-hand side's U_b until success.
        instance: Expected calls of U_A for this A and right-hand side, whose gain is known, where
            ``expected`` is for the worst; ``None`` where nobody knows it.
    """

    queries: float
    success_probability: float
    expected: float
    theorem: str
    provenance: str
    state_preparations: float | None = None
    instance: float | None = None


@dataclass(frozen=True, kw_only=True)
class PriceTerm:
    """One summand of a price: what it pays for, and its modelled seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class QuantumPart:
    """What only a quantum solver's price has.

    Attributes:
        algorithm: The algorithm whose queries were priced: ``jennings``, ``qsvt``, ``dalzell``,
            ``hhl`` or ``costa``; ``None`` in quotes of runs before it was recorded.
        query_count: Its queries; ``None`` when refused.
        logical_qubits: Logical qubits.
        physical_qubits: Physical qubits under error correction, when that is priced.
        t_count: T gates of the whole solve, read-out included, when it is priced.
        sparsity: The d that was priced.
        epsilon: The error tolerance that was priced.
        deflated: The largest eigenpairs k that are solved classically; ``None`` where all of the
            matrix is the quantum solver's.
        encoding: The block-encoding that was priced; ``None`` where none was.
    """

    algorithm: str | None = None
    query_count: QueryCount | None = None
    logical_qubits: int | None = None
    physical_qubits: int | None = None
    t_count: float | None = None
    sparsity: int | None = None
    epsilon: float | None = None
    deflated: int | None = None
    encoding: str | None = None


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What one solver would cost on one machine, or why it was refused.

    Attributes:
        solver: What would run, by its name in the table of solvers (``lu_inverse``, ``cholesky``,
            ``cg``, ``dalzell``, …). What was priced is ``quantum.algorithm``, which differs for
            ``qsvt`` at the paper's price, and in quotes of older runs.
        machine: ``classical`` or ``quantum``.
        seconds: Modelled seconds, the sum of ``terms``; ``None`` when refused. What is no duration
            (NaN, infinite, below 0), computed or read from a file, becomes ``None``, and
            ``refused`` says so: such a number has no place in an order of prices.
        model: The formula used.
        hardware: The profile or calibration behind it.
        hypothetical: True when that machine does not exist.
        terms: The summands.
        assumptions: What had to be assumed, one sentence each.
        refused: Why there is no price, in words; ``None`` when there is one.
        refusal: Why, where the run and not the system's facts is the reason.
        basis: What the price rests on.
        representation: How the matrix was held when a classical solver was priced.
        condition_number: The κ that was priced, after any clamping named in ``assumptions``;
            ``None`` where the price does not follow from κ.
        tolerance: The relative residual that was priced, when it is an iterative solver.
        direction_error: The error of the solution's direction that was priced, where the system
            asks for that in place of a residual.
        products: Matrix-vector products that were priced, when it is an iterative solver.
        max_products: Where an iterative solver is only given a try: the products after which the
            next quote takes over.
        quantum: What only a quantum solver's price has; ``None`` for a classical solver.
        low: Modelled seconds of what was priced with every constant at the kindest value that a
            source gives; ``None`` where the price has no such constants, or is not finite there.
            What is the cheapest at the likely values stays so: another design may cost less here.
        high: The same at the harshest values.
    """

    solver: str
    machine: MachineKind
    seconds: float | None
    model: str
    hardware: str
    hypothetical: bool = False
    terms: tuple[PriceTerm, ...] = ()
    assumptions: tuple[str, ...] = ()
    refused: str | None = None
    refusal: Refusal | None = None
    basis: Basis = Basis.FACTS
    representation: Representation | None = None
    condition_number: float | None = None
    tolerance: float | None = None
    direction_error: float | None = None
    products: int | None = None
    max_products: int | None = None
    quantum: QuantumPart | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is None or 0 <= self.seconds < math.inf:
            return
        if self.refused is None:
            why = f"{self.seconds} s is no price"
            if self.seconds == math.inf:
                why = "the price exceeds the largest float64"
            object.__setattr__(self, "refused", why)
        object.__setattr__(self, "seconds", None)

    @property
    def name(self) -> str:
        """The algorithm that was priced, or the solver where that says as much or more."""
        if self.quantum is not None and self.quantum.deflated is not None:
            return self.solver
        return (self.quantum and self.quantum.algorithm) or self.solver

    def with_terms(self, terms: Sequence[PriceTerm], **changes: Any) -> "Quote":
        """Return the quote at the sum of these terms, with other fields changed as told."""
        seconds = math.fsum(term.seconds for term in terms)
        return replace(self, seconds=seconds, terms=tuple(terms), **changes)

    @property
    def query_count(self) -> QueryCount | None:
        """The queries of a quantum price; ``None`` for a classical or a refused one."""
        return None if self.quantum is None else self.quantum.query_count


def cheapest(quotes: Iterable[Quote]) -> Quote | None:
    """Return the priced quote of the fewest seconds; ``None`` where none has a price."""
    priced = [quote for quote in quotes if quote.seconds is not None]
    return min(priced, key=lambda quote: quote.seconds or 0.0, default=None)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Which solver a policy chose for one block, from which quotes, and why.

    Attributes:
        chosen: The solver.
        quotes: One per candidate.
        policy: Who chose.
        reason: In one sentence.
        machine: Where the blocks of a step share machines that work at the same time: 0, the
            classical machine, or 1…m, a QPU; ``None`` where one block follows the other.
    """

    chosen: str
    quotes: tuple[Quote, ...]
    policy: str
    reason: str
    machine: int | None = None

    def quote(self, solver: str) -> Quote | None:
        """Return the quote of ``solver``, or ``None`` if it was not asked."""
        return next((quote for quote in self.quotes if quote.solver == solver), None)

    def order(self) -> tuple[str, ...]:
        """Return the chosen solver, then the other priced ones from cheap to dear."""
        others = sorted(
            (quote for quote in self.quotes if quote.seconds is not None),
            key=lambda quote: (quote.seconds, quote.solver),
        )
        return (self.chosen, *(q.solver for q in others if q.solver != self.chosen))
