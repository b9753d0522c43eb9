"""What ``qnewton price`` found: every figure, and the one JSON object that holds them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qnewton import cost
from qnewton.records import Calibration, Facts, Quote, encode

if TYPE_CHECKING:
    from qnewton.cli.matrix_file import Emulated

# Ways to κ that no classical machine is charged for: the most that products may cost is said then.
NOT_BY_PRODUCTS = ("given", "exact")


@dataclass(frozen=True, kw_only=True)
class Priced:
    """What one system costs.

    Attributes:
        facts: The system.
        calibration: The classical machine that the quantum prices use.
        dtype: Precision of its solvers.
        rivals: Of every classical solver, on every classical machine.
        paper: The paper's price on every quantum machine.
        audited: The audited price on every quantum machine.
        others: Prices by cost models of the quantum solver that were registered.
        scenario: The system on the cheapest quantum machine; ``None`` where a price is missing.
        split: The price of a hybrid split; ``None`` without a matrix.
        emulated: What the emulated solver gave; ``None`` without a matrix.
        written: Files that were written.
    """

    facts: Facts
    calibration: Calibration
    dtype: str
    rivals: Sequence[Quote]
    paper: Sequence[Quote]
    audited: Sequence[cost.Audited]
    others: Sequence[Quote]
    scenario: cost.Scenario | None
    split: Quote | None
    emulated: "Emulated | None"
    written: Sequence[Path]

    @cached_property
    def rival(self) -> Quote | None:
        """The cheapest classical price."""
        return cost.cheapest_whole(self.rivals)

    @cached_property
    def quantum(self) -> cost.Audited | None:
        """The cheapest audited price."""
        best = cost.cheapest(found.quote for found in self.audited)
        return next((found for found in self.audited if found.quote is best), None)

    @cached_property
    def certainty(self) -> cost.Certainty | None:
        """How sure it is who wins; ``None`` where a price is missing."""
        quantum, rival = self.quantum, self.rival
        if quantum is None or rival is None or not quantum.quote.seconds or not rival.seconds:
            return None
        # At the kindest constants another design may be the cheapest.
        low, quote = quantum.least, quantum.quote
        return cost.certainty(low or 0.0, quote.seconds or 0.0, quote.high, rival.seconds)

    @cached_property
    def flips(self) -> tuple[cost.Flip, ...]:
        """What would change the choice on the cheapest quantum machine."""
        return () if self.scenario is None else cost.break_even(self.scenario)

    @cached_property
    def swings(self) -> tuple[cost.Swing, ...]:
        """Which constants move the price of the cheapest design."""
        if self.scenario is None or self.quantum is None or self.quantum.breakdown is None:
            return ()
        return cost.tornado(self.scenario, self.quantum)

    @cached_property
    def layouts(self) -> tuple[cost.Layout, ...]:
        """More or fewer physical qubits against seconds, of the cheapest design."""
        made = None if self.quantum is None else self.quantum.breakdown
        return () if made is None or made.physical_qubits is None else cost.frontier(made)

    @property
    def gate_times(self) -> dict[str, float]:
        """Gate time below which the paper's price is lower, against each classical solver."""
        count = next((q.query_count for q in self.paper if q.query_count is not None), None)
        if count is None:
            return {}
        return {
            f"{quote.name} on {quote.hardware}": cost.break_even_gate_time(quote.seconds, count)
            for quote in ordered(self.rivals)
            if quote.seconds
        }

    @property
    def columns(self) -> dict[str, float]:
        """Seconds of N solves, one per column of the inverse, on each quantum machine."""
        # Not at the top: reports are more than all commands need.
        from qnewton.report.words import machine_name

        return {
            machine_name(quote): self.facts.n * quote.seconds
            for quote in self.paper
            if quote.seconds is not None
        }

    @property
    def survey_s(self) -> float | None:
        """Modelled seconds to measure κ and d, with as many products as the survey may take."""
        condition = self.facts.spectrum.condition
        if condition is None:
            return None
        facts = self.facts
        if condition.method in NOT_BY_PRODUCTS:
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
        made = None if self.quantum is None else self.quantum.breakdown
        designs = () if self.quantum is None else self.quantum.designs
        return {
            "facts": encode(self.facts),
            "calibration": self.calibration.name,
            "quotes": encode(ordered([*self.rivals, *self.paper, *self.others])),
            "audited": encode(ordered(found.quote for found in self.audited)),
            "certainty": None if self.certainty is None else self.certainty.name.lower(),
            "breakdown": None if made is None else encode(made),
            "designs": [encode(design.breakdown) for design in designs],
            "tornado": encode(self.swings),
            "frontier": encode(self.layouts),
            "survey_s": self.survey_s,
            "deflated": None if self.split is None else encode(self.split),
            "through_columns_s": self.columns,
            "break_even_gate_time_s": self.gate_times,
            "break_even": {
                "hardware": None if self.scenario is None else self.scenario.hardware.name,
                "flips": encode(self.flips),
            },
            "emulated": None if self.emulated is None else encode(self.emulated.shown()),
            "written": [str(path) for path in self.written],
        }


def ordered(quotes: Iterable[Quote]) -> list[Quote]:
    """Return quotes from cheap to dear, those that were refused last."""
    return sorted(quotes, key=lambda q: (q.seconds is None, q.seconds or 0.0, q.hardware))
