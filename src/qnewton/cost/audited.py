"""The audited price of a quantum solve: every term on the table, every assumption in the quote."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from qnewton import records
from qnewton.cost.audit import DEFAULT_AUDIT, WIDENED, Audit, ErrorShares, shots
from qnewton.cost.encodings import (
    Encoding,
    LogicalGates,
    encodings,
    rotation_t_gates,
    state_preparation,
    value_bits,
)
from qnewton.cost.error_correction import Corrected, error_corrected
from qnewton.cost.parts import Draft
from qnewton.cost.quantum import hypothetical, machine_quote, raised_condition
from qnewton.queries import QUERY_ALGORITHMS, attempt, logical_qubits, query_count
from qnewton.records.messages import check
from qnewton.records.quotes import cheapest


def audited_quote(
    calibration: records.Calibration,
    facts: records.Facts,
    hardware: records.QuantumHardware,
    audit: Audit = DEFAULT_AUDIT,
    dtype: str = "float32",
    algorithm: str | None = None,
) -> records.Quote:
    """Price a quantum solve with everything it needs; the cheapest block-encoding is taken.

    Each term is what it adds to those before it::

        forming, tables       classical: the entries, and writing them into the tables, each step
        block-encoding        U_A of one attempt at one gate time a logical cycle
        state preparation     U_b of one attempt
        solver                2a+3 Toffoli and one rotation per query, about a ancillas
        repetition            attempts until one succeeds
        error correction      the same run in corrected cycles
        read-out              all states but the first
        norm                  classical: one product gives the step's length and sign

    Args:
        calibration: The classical machine that forms, writes tables and multiplies.
        facts: N, κ and d of the system; ‖A‖₂, ‖A‖max, ‖A‖_F where known.
        hardware: The quantum machine.
        audit: What is assumed.
        dtype: dtype of the classical parts.
        algorithm: What is counted, by what the query set knows; ``None`` for the set's own.

    Returns:
        The quote of solver ``qsvt``, which is what runs here, named by the ``algorithm`` of the
        query set; refused where κ or d is unknown, the machine is above
        threshold or lacks a figure, or a number overflows.

    Raises:
        ValueError: One line naming the field, if κ < 1, d is not in [1, N], or an assumption is
            out of its range.

    Cost:
        About 100 µs; error correction by ``qdk`` takes 2 ms more the first time.

    Reference:
        Each part cites its own source.

    Example:
        >>> from qnewton.cost import load_hardware, nominal_calibration
        >>> from qnewton.records import Estimate, Facts, Spectrum
        >>> kappa = Estimate(value=156.25, low=None, high=None, method="given", products=0)
        >>> facts = Facts(n=12_544, spectrum=Spectrum(condition=kappa, row_sparsity=64))
        >>> warm = Audit(query_set="warm-start", error_correction="closed-form")
        >>> machine = load_hardware("qubit_gate_ns_e3")
        >>> quote = audited_quote(nominal_calibration(), facts, machine, warm)
        >>> quote.seconds > 1e10, [term.name for term in quote.terms][1:3]
        (True, ['block-encoding', 'state preparation'])
    """
    kappa, reason = _condition(facts)
    d = facts.spectrum.row_sparsity
    if d is not None:
        check("sparsity", d, f"must lie between 1 and n = {facts.n}", 1 <= d <= facts.n)
    system = _System(calibration, facts, hardware, audit, dtype, algorithm)
    fitting = () if kappa is None else encodings(facts, audit.tables)
    try:
        quotes = [system.priced(encoding, kappa or 0.0) for encoding in fitting]
    except OverflowError:
        return system.quote(refused="a number of the price exceeds the largest float64")
    return cheapest(quotes) or (quotes[0] if quotes else system.quote(refused=reason))


def _condition(facts: records.Facts) -> tuple[float | None, str]:
    estimate = facts.spectrum.condition
    if estimate is None:
        return None, "the condition number is unknown; survey it to price the quantum solver"
    if estimate.value is None or not math.isfinite(estimate.value):
        return None, f"the condition number is not known, {estimate.describe()}"
    check("kappa", estimate.value, "must be finite and at least 1", estimate.value >= 1)
    return estimate.value, ""


_Parts = tuple[tuple[str, float, LogicalGates], ...]
"""What makes one state: the name, the calls and the gates of each part."""


def _total(parts: _Parts, count: Callable[[LogicalGates], float]) -> float:
    """Return what all calls need together of the gates that ``count`` counts."""
    return math.fsum(calls * count(gates) for _, calls, gates in parts)


def _circuit(
    n: int, encoding: Encoding, kappa: float, count: records.QueryCount, audit: Audit
) -> tuple[_Parts, int]:
    """Return the parts that make one state, and its logical qubits."""
    assert count.state_preparations is not None
    shares = ErrorShares(audit.epsilon)
    # Errors in b come back amplified by up to κ_be.
    amplified = encoding.alpha * kappa
    bits = value_bits(amplified, shares.entries, encoding.extra_bits)
    encoded, ancillas = encoding.gates(bits), encoding.ancillas(bits)
    prepared = state_preparation(n, shares.rhs, audit.preparation, audit.tables, amplified)
    # A reflection about a ancillas, its control, and one rotation, at every query. Q/p, which holds
    # the retries of every count, is above the Q/√p that amplifies a rotation's error.
    log_error = math.log2(shares.rotations) - math.log2(count.expected)
    toffoli, t_gates = 2.0 * ancillas + 3, rotation_t_gates(log_error)
    parts = (
        ("block-encoding", count.expected, encoded),
        ("state preparation", count.state_preparations, prepared),
        ("solver", count.expected, LogicalGates(toffoli=toffoli, t_gates=t_gates)),
    )
    workspace = math.ceil(max(encoded.workspace, prepared.workspace))
    return parts, logical_qubits(n, ancillas) + workspace


@dataclass(frozen=True)
class _System:
    """A system on a classical and a quantum machine: what every part of its price reads."""

    calibration: records.Calibration
    facts: records.Facts
    hardware: records.QuantumHardware
    audit: Audit
    dtype: str
    algorithm: str | None

    def quote(self, figures: dict[str, Any] | None = None, **price: Any) -> records.Quote:
        """Return a quote of this price, with the figures of its quantum part; both may be empty."""
        audit = self.audit
        model = f"audited, {audit.query_set} queries × gates × corrected cycles × states read"
        algorithm = self.algorithm or QUERY_ALGORITHMS[audit.query_set]
        known = {"algorithm": algorithm, "epsilon": audit.epsilon}
        d = self.facts.spectrum.row_sparsity
        part = records.QuantumPart(sparsity=d, **known, **(figures or {}))
        return machine_quote(self.hardware, model, part, **price)

    def _count(self, alpha: float, kappa: float, **asked: float) -> records.QueryCount:
        if self.algorithm is None:
            return query_count(self.audit.query_set, alpha=alpha, kappa=kappa, **asked)
        found = attempt(self.algorithm, self.audit.query_set, kappa=alpha * kappa, **asked).at()
        if not math.isfinite(found.expected):
            raise OverflowError("the query count exceeds the largest float64")
        return found

    def priced(self, encoding: Encoding, kappa: float) -> records.Quote:
        """Return the quote by one block-encoding."""
        facts, audit = self.facts, self.audit
        asked = {"alpha": encoding.alpha, "kappa": kappa * WIDENED}
        asked |= {"epsilon": ErrorShares(audit.epsilon).solver, "guess_factor": audit.guess_factor}
        try:
            count = self._count(**asked)
        except (OverflowError, ValueError) as refusal:
            return self.quote(refused=str(refusal))
        before, after = (Draft("qsvt", self.calibration, facts, self.dtype, "") for _ in range(2))
        if encoding.reads_entries and not isinstance(facts.held, records.Sparse):
            # Sparse access reads the entries that are there; no solver writes out the zeros.
            before.add_forming()
        if audit.table_building:
            before.add("tables", "elementwise", encoding.entries)
        if audit.readout != "none":
            after.add_products(1)
        states = shots(facts.n, audit.readout_tolerance, audit.readout)
        parts, qubits = _circuit(facts.n, encoding, kappa, count, audit)
        run = error_corrected(
            self.hardware,
            n_qubits=float(qubits),
            toffoli=_total(parts, lambda gates: gates.toffoli),
            t_gates=_total(parts, lambda gates: gates.t_gates),
            error_budget=audit.error_budget,
            method=audit.error_correction,
            physical_error=audit.physical_error,
        )
        refused = before.refused or run.refused or after.refused
        if refused is not None:
            return self.quote(refused=refused)
        terms = (
            *before.terms,
            *self._quantum_terms(parts, run, count, states.states),
            *(replace(term, name="norm") for term in after.terms),
        )
        seconds = math.fsum(term.seconds for term in terms)
        if not math.isfinite(seconds):
            return self.quote(refused="the price exceeds the largest float64")
        figures = {
            "query_count": count,
            "logical_qubits": qubits,
            "physical_qubits": run.physical_qubits,
            "t_count": states.states * _total(parts, lambda gates: gates.t_count),
        }
        said = self._assumptions(encoding, kappa, run, states.assumption)
        price = {"seconds": seconds, "terms": terms, "condition_number": kappa}
        return self.quote(figures, assumptions=said, **price)

    def _quantum_terms(
        self, parts: _Parts, run: Corrected, count: records.QueryCount, states: float
    ) -> list[records.PriceTerm]:
        assert run.seconds is not None
        attempts = count.expected / count.queries
        gate = self.hardware.gate_time_s.value
        attempt = [(name, gate * (calls * g.cycles) / attempts) for name, calls, g in parts]
        succeeded = gate * _total(parts, lambda gates: gates.cycles)
        added = (
            *attempt,
            ("repetition", succeeded - math.fsum(seconds for _, seconds in attempt)),
            ("error correction", run.seconds - succeeded),
            ("read-out", (states - 1) * run.seconds),
        )
        return [records.PriceTerm(name=name, seconds=max(0.0, seconds)) for name, seconds in added]

    def _assumptions(
        self, encoding: Encoding, kappa: float, run: Corrected, readout: str
    ) -> tuple[str, ...]:
        audit, notes = self.audit, [*encoding.assumptions]
        if audit.query_set == "paper":
            notes += raised_condition(kappa)
        tables = audit.preparation == "tables"
        total = audit.epsilon + audit.readout_tolerance
        notes += [
            f"g is prepared {'loaded from tables' if tables else 'by one rotation a branch'}",
            "tables are written anew at every step, one pass over the kept entries"
            if audit.table_building
            else "writing the tables is free",
            f"state error {audit.epsilon:g}: half for the solver, a sixth each for the entries of "
            "A, for g and for rotations, each divided by what amplifies it",
            *run.assumptions,
            readout,
        ]
        if audit.readout != "none":
            notes.append(f"the vector read is within {total:g} of the exact one, all errors added")
        if audit.readout in ("simulated", "provable"):
            branch = "its reference branch succeeds as often as the solver"
            notes.append(f"the sign stage makes as many states as the magnitudes; {branch}")
        return (*notes, *hypothetical(self.hardware))
