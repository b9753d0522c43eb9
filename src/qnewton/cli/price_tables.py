"""What ``qnewton price`` found, as one JSON object and as tables and lines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from qnewton import cost
from qnewton.records import Calibration, Facts, Quote, encode

if TYPE_CHECKING:
    from qnewton.cli.matrix_file import Emulated

# Ways to κ that no classical machine is charged for: the most that products may cost is said then.
_NOT_BY_PRODUCTS = ("given", "exact")


@dataclass(frozen=True, kw_only=True)
class Priced:
    """What one system costs.

    Attributes:
        facts: The system.
        epsilon: Error tolerance in the paper's price.
        calibration: The classical machine.
        dtype: Precision of its solvers.
        quotes: Of every classical solver, and the paper's price on every quantum machine.
        audited: The audited price on every quantum machine.
        others: Prices by cost models of the quantum solver that were registered.
        scenario: The system on the cheapest quantum machine; ``None`` where a price is missing.
        split: The price of a hybrid split; ``None`` without a matrix.
        emulated: What the emulated solver gave; ``None`` without a matrix.
        pictures: Files that were drawn.
    """

    facts: Facts
    epsilon: float
    calibration: Calibration
    dtype: str
    quotes: Sequence[Quote]
    audited: Sequence[Quote]
    others: Sequence[Quote]
    scenario: cost.Scenario | None
    split: Quote | None
    emulated: "Emulated | None"
    pictures: Sequence[Path]

    @property
    def gate_times(self) -> dict[str, float]:
        """Gate time below which the paper's price is lower, against each classical solver."""
        count = next((q.query_count for q in self.quotes if q.query_count is not None), None)
        if count is None:
            return {}
        return {
            quote.name: cost.break_even_gate_time(quote.seconds, count)
            for quote in _ordered(self.quotes)
            if quote.machine == "classical" and quote.seconds
        }

    @property
    def columns(self) -> dict[str, float]:
        """Seconds of N solves, one per column of the inverse, on each quantum machine."""
        return {
            machine_text(quote): self.facts.n * quote.seconds
            for quote in self.quotes
            if quote.machine == "quantum" and quote.seconds is not None
        }

    @cached_property
    def flips(self) -> tuple[cost.Flip, ...]:
        """What would flip the choice on the cheapest quantum machine."""
        return () if self.scenario is None else cost.break_even(self.scenario)

    @property
    def survey_s(self) -> float | None:
        """Modelled seconds to measure κ and d, with as many products as the survey may take."""
        condition = self.facts.spectrum.condition
        if condition is None:
            return None
        facts = self.facts
        if condition.method in _NOT_BY_PRODUCTS:
            products = cost.lanczos_products(self.calibration, facts.n, self.dtype)
            if products is None:
                return None
            spectrum = replace(facts.spectrum, condition=replace(condition, products=products))
            facts = replace(facts, spectrum=spectrum)
        known = (facts, self.calibration, self.dtype)
        condition_s, sparsity_s = (
            cost.survey_seconds(f, *known) for f in ("condition", "row_sparsity")
        )
        return None if condition_s is None or sparsity_s is None else condition_s + sparsity_s

    def plain(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {
            "facts": encode(self.facts),
            "calibration": self.calibration.name,
            "quotes": encode(_ordered([*self.quotes, *self.others])),
            "audited": encode(_ordered(self.audited)),
            "survey_s": self.survey_s,
            "deflated": None if self.split is None else encode(self.split),
            "through_columns_s": self.columns,
            "break_even_gate_time_s": self.gate_times,
            "break_even": {
                "hardware": None if self.scenario is None else self.scenario.hardware.name,
                "flips": encode(self.flips),
            },
            "emulated": None if self.emulated is None else encode(self.emulated.shown()),
            "pictures": [str(path) for path in self.pictures],
        }

    def shown(self) -> list[RenderableType]:
        """Return the tables and lines that a terminal shows, in order."""
        shown: list[RenderableType | None] = [
            self._quote_table(),
            *(
                f"on {machine}, the inverse column by column (the paper's Eq. 1), "
                f"{self.facts.n:,} solves at the paper's price of one: {seconds:.3g} s (modelled)"
                for machine, seconds in self.columns.items()
            ),
            *(
                f"at the paper's price, the quantum solver costs less than {solver} below a gate "
                f"time of {seconds:.3g} s"
                for solver, seconds in self.gate_times.items()
            ),
            self._survey_line(),
            _verdict(self.quotes, self.audited),
        ]
        if self.scenario is not None:
            name = self.scenario.hardware.name
            chosen = next(quote for quote in self.audited if quote.hardware == name)
            shown += [
                _term_table(chosen, self.scenario),
                f"what would flip the choice on {name}, one at a time:",
                *_flip_lines(self.flips),
                None if self.split is None else _deflation_line(self.split, chosen),
            ]
        shown.append(None if self.emulated is None else _emulated_line(self.emulated))
        shown += [f"picture {path}" for path in self.pictures]
        return [part for part in shown if part is not None]

    def _quote_table(self) -> RenderableType:
        """Return every quote, with the assumptions of all of them below."""
        # Not at the top: the report room loads its pictures' library.
        from qnewton.report.table import Column, table_of

        facts, quotes = self.facts, _ordered([*self.quotes, *self.audited, *self.others])
        condition = facts.spectrum.condition
        kappa = "unknown" if condition is None else condition.describe()
        if condition is not None and condition.method == "given":
            kappa = f"{condition.value:g}"
        columns: tuple[Column[Quote], ...] = (
            Column("solver", lambda quote: quote.name, words=True),
            Column("machine", machine_text, words=True),
            Column(
                "modelled seconds", lambda q: "refused" if q.seconds is None else f"{q.seconds:.3g}"
            ),
            Column("model", lambda quote: quote.refused or quote.model, words=True),
        )
        title = (
            f"Modelled seconds to solve one system: N = {facts.n:,}, κ = {kappa}, d = "
            f"{facts.spectrum.row_sparsity or facts.n:,}, ε = {self.epsilon:g} in the paper's price"
        )
        of_quotes = (note for quote in quotes for note in quote.assumptions)
        notes = dict.fromkeys(f"• {note}" for note in (*facts.notes, *of_quotes))
        machine = f"classical machine: {self.calibration.machine} ({self.calibration.source})"
        note = "\n".join((machine, "assumptions:", *notes))
        return table_of(title, columns, quotes, note).rich()

    def _survey_line(self) -> str | None:
        seconds, condition = self.survey_s, self.facts.spectrum.condition
        if seconds is None or condition is None:
            return None
        took = "takes at most" if condition.method in _NOT_BY_PRODUCTS else "took"
        measured = f"measuring κ and d {took} {seconds:.3g} s of the classical machine (modelled)"
        return f"{measured}, which a policy that decides by them pays on top"


def machine_text(quote: Quote) -> str:
    """Return the machine of a quote, marked where it does not exist."""
    return f"{quote.hardware} (hypothetical)" if quote.hypothetical else quote.hardware


def _ordered(quotes: Iterable[Quote]) -> list[Quote]:
    return sorted(quotes, key=lambda q: (q.seconds is None, q.seconds or 0.0, q.hardware))


def _verdict(quotes: Sequence[Quote], audited: Sequence[Quote]) -> str | None:
    """Return who wins, the cheapest classical price or the audited one; ``None`` without both."""
    rival = cost.cheapest(quote for quote in quotes if quote.machine == "classical")
    quantum = cost.cheapest(audited)
    if rival is None or quantum is None or rival.seconds is None or quantum.seconds is None:
        return None
    held = " by its entries" if rival.representation == "sparse" else ""
    winner = "the quantum" if quantum.seconds < rival.seconds else "the classical"
    return (
        f"{winner} solver wins: {quantum.name} on {machine_text(quantum)} takes "
        f"{quantum.seconds:.3g} s audited, the best classical solver of the same system{held}, "
        f"{rival.solver}, {rival.seconds:.3g} s (modelled)"
    )


def _term_table(quote: Quote, scenario: cost.Scenario) -> RenderableType:
    """Return the terms of an audited price: what each adds to those before it."""
    from qnewton.report.quantities import number_text, seconds_text, share_text
    from qnewton.report.table import Column, table_of

    assert quote.seconds is not None
    assert quote.quantum is not None
    whole, gate, run = quote.seconds, scenario.hardware.gate_time_s, quote.quantum
    count = run.query_count
    qubits = "not priced" if run.physical_qubits is None else f"{run.physical_qubits:,}"
    note = (
        f"{'' if count is None else f'{number_text(count.expected)} queries per state'}, "
        f"{number_text(run.t_count)} T gates, {run.logical_qubits:,} logical qubits, "
        f"physical qubits: {qubits}; two-qubit gate {seconds_text(gate.value)} "
        f"({gate.source}, {gate.date})"
    )
    columns: tuple[Column[tuple[str, float, str]], ...] = (
        Column("term", lambda term: term[0], words=True),
        Column("modelled seconds it adds", lambda term: f"{term[1]:.3g}"),
        Column("", lambda term: seconds_text(term[1])),
        Column("share", lambda term: term[2]),
    )
    terms = [(term.name, term.seconds, share_text(term.seconds / whole)) for term in quote.terms]
    title = f"Audited price on {machine_text(quote)}: modelled, term by term"
    return table_of(title, columns, [*terms, ("sum", whole, "")], note).rich()


def _deflation_line(split: Quote, whole: Quote) -> str:
    """Return what taking the largest eigenpairs out classically would save."""
    on = f"on {machine_text(whole)}"
    if split.seconds is None or whole.seconds is None:
        return f"hybrid split: not priced {on}, {split.refused or whole.refused}"
    if split.terms[-1].name != "deflation":
        return f"hybrid split: no eigenpair taken out classically lowers the audited price {on}"
    return (
        f"hybrid split: {split.assumptions[-1]}; {split.seconds:.3g} s {on} in place of "
        f"{whole.seconds:.3g} s (modelled), {split.terms[-1].seconds:.3g} s of it for finding them"
    )


def _flip_lines(flips: Sequence[cost.Flip]) -> list[str]:
    """Return one line per assumption; its last says so where nothing flips the choice."""
    lines = [f"  {'→' if flip.flips else '·'} {flip.said}" for flip in flips]
    if not any(flip.flips for flip in flips if flip.assumption != "classical competitor"):
        lines.append("  nothing flips it: no single assumption does, within its whole range")
    return lines


def _emulated_line(emulated: "Emulated") -> str:
    if emulated.refused is not None:
        return f"not emulated: {emulated.refused}"
    words = ", ".join(
        f"{name.replace('_', ' ')} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in emulated.figures.items()
    )
    return (
        "emulated on a random right-hand side, with a block-encoding at α = ‖A‖₂ (the audited "
        f"price takes the α of its tables): {words}"
    )
