"""One priced design of a quantum solve: every part in gates, qubits and seconds."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from qnewton.cost.budget import ErrorBudget
from qnewton.records import QueryCount


@dataclass(frozen=True, kw_only=True)
class GateTerm:
    """What one kind of call takes in one state.

    Attributes:
        name: ``block-encoding``, ``state preparation`` or ``solver``.
        calls: Expected calls per state, failed attempts included.
        toffoli: Toffoli gates of all calls.
        t_gates: T gates of all calls, in no Toffoli.
        cycles: Logical cycles of all calls, in sequence.
    """

    name: str
    calls: float
    toffoli: float
    t_gates: float
    cycles: float


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """The design that a price takes, in numbers.

    Attributes:
        algorithm: The quantum solver.
        encoding: The block-encoding of A.
        alpha: α/‖A‖₂ of it.
        budget: What each cause of error may do.
        count: Queries of the algorithm.
        gates: The parts of one state.
        logical_qubits: Of one run.
        states: States made to read the vector.
        state_s: Seconds of one state.
        seconds: Seconds by term, classical ones included: what each adds to those before it.
        low: The price with every constant at its kindest; ``None`` where it is not finite.
        high: The price with every constant at its harshest; ``None`` where it is not finite.
        code_distance: Of the surface code; ``None`` where gates never fail, as the next four.
        cycle_s: Seconds of a logical cycle.
        physical_qubits: All.
        factories: T factories.
        factory_qubits: Physical qubits of all factories.

    """

    algorithm: str
    encoding: str
    alpha: float
    budget: ErrorBudget
    count: QueryCount
    gates: tuple[GateTerm, ...]
    logical_qubits: int
    states: float
    state_s: float
    seconds: Mapping[str, float]
    low: float | None
    high: float | None
    code_distance: int | None = None
    cycle_s: float | None = None
    physical_qubits: int | None = None
    factories: int | None = None
    factory_qubits: int | None = None

    @property
    def total_s(self) -> float:
        """The price: the sum of its terms."""
        return math.fsum(self.seconds.values())

    @property
    def depth(self) -> float:
        """Logical cycles of one state, in sequence."""
        return math.fsum(term.cycles for term in self.gates)

    @property
    def toffoli(self) -> float:
        """Toffoli gates of one state."""
        return math.fsum(term.toffoli for term in self.gates)

    @property
    def t_gates(self) -> float:
        """T gates of one state, in no Toffoli."""
        return math.fsum(term.t_gates for term in self.gates)

    @property
    def t_count(self) -> float:
        """T gates of the whole solve, 4 a Toffoli."""
        return self.states * (4 * self.toffoli + self.t_gates)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per term: its gates in one state where it has some, and its seconds."""
        by_name = {term.name: term for term in self.gates}
        found = []
        for name, seconds in self.seconds.items():
            term = by_name.get(name)
            gates: dict[str, Any] = dict.fromkeys(("calls", "toffoli", "t_gates", "cycles"))
            if term is not None:
                gates = {f.name: getattr(term, f.name) for f in fields(term) if f.name != "name"}
            found.append({"term": name, **gates, "seconds": seconds})
        return found

    def as_csv(self) -> str:
        """Return :meth:`rows` as comma-separated values, a header first."""
        text = io.StringIO()
        rows = self.rows()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
