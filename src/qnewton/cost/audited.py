"""The audited price of a quantum solve: every term on the table, every assumption in the quote."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qnewton import records
from qnewton.cost.audit import DEFAULT_AUDIT, READOUTS, Audit, priced_machine
from qnewton.cost.breakdown import Breakdown
from qnewton.cost.budget import Splits
from qnewton.cost.designs import LIKELY, Designs, algorithms_of, splits_of
from qnewton.cost.error_correction import (
    CORRECTED,
    error_corrected,
    machine_refusal,
    overridden_errors,
)
from qnewton.cost.points import Points, alike
from qnewton.cost.quantum import hypothetical, machine_quote, raised_condition
from qnewton.cost.scenario import Scenario
from qnewton.records.messages import check


@dataclass(frozen=True)
class Design:
    """One way to solve a system: an algorithm, a block-encoding, and its cheapest split of ε.

    Attributes:
        made: The designs that it is one of.
        point: Which.
    """

    made: Designs
    point: int

    @property
    def seconds(self) -> float:
        """Its price."""
        return float(self.made.least[LIKELY, self.point])

    @property
    def least(self) -> float:
        """Its price with every constant at its kindest, by the split that is cheapest there."""
        return float(self.made.seconds[0, :, self.point].min())

    @cached_property
    def breakdown(self) -> Breakdown:
        """Its numbers."""
        return self.made.breakdown(self.point)


@dataclass(frozen=True, kw_only=True)
class Audited:
    """An audited price, and the design behind it.

    Attributes:
        quote: The price, or why there is none.
        breakdown: The cheapest design; ``None`` where there is no price.
        designs: Every algorithm with every block-encoding, cheap to dear.
    """

    quote: records.Quote
    breakdown: Breakdown | None = None
    designs: tuple[Design, ...] = ()

    @property
    def least(self) -> float | None:
        """Seconds of the design that is cheapest with every constant at its kindest.

        The quote's ``low`` is that of the design that is cheapest at the likely constants.
        """
        if self.breakdown is None or self.breakdown.low is None or self.quote.low is None:
            return None
        # Of error correction by ``qdk``, which the designs have in closed form.
        scale = self.quote.low / self.breakdown.low
        return scale * min(design.least for design in self.designs)


def audited_quote(
    calibration: records.Calibration,
    facts: records.Facts,
    hardware: records.QuantumHardware,
    audit: Audit = DEFAULT_AUDIT,
    dtype: str = "float32",
    algorithm: str | None = None,
) -> records.Quote:
    """Price a quantum solve with everything it needs; the cheapest design is taken.

    Each term is what it adds to those before it::

        forming, tables       classical: the entries, and writing them into the tables, each step
        block-encoding        U_A, of all attempts until one succeeds, at one gate time per cycle
        state preparation     U_b, likewise
        solver                2a+3 Toffoli and one rotation per query, about a ancillas
        error correction      the same run in corrected cycles
        read-out              all states but the first
        norm                  classical: one product gives the step's length and sign

    A design is an algorithm, a block-encoding and a split of ε over what causes errors.

    Args:
        calibration: The classical machine that forms, writes tables and multiplies.
        facts: N, κ and d of the system; ‖A‖₂, ‖A‖max, ‖A‖_F where known.
        hardware: The quantum machine.
        audit: What is assumed.
        dtype: dtype of the classical parts.
        algorithm: The quantum solver; ``None`` for the cheapest that the audit's query set counts.

    Returns:
        The quote, named by its algorithm, with the interval that :data:`CONSTANTS` leave; refused
        where κ is unknown, the machine is above threshold or lacks a figure, or a number
        overflows.

    Raises:
        ValueError: One line naming the field, if κ < 1, d is not in [1, N], or an assumption is
            out of its range.

    Cost:
        About 0.5 ms per algorithm; error correction by ``qdk`` takes 2 ms more the first time.

    Reference:
        Each part cites its own source.

    Example:
        >>> from qnewton.cost import load_hardware, nominal_calibration
        >>> from qnewton.records import Estimate, Facts, Spectrum
        >>> kappa = Estimate(value=156.25, low=None, high=None, method="given", products=0)
        >>> facts = Facts(n=12_544, spectrum=Spectrum(condition=kappa, row_sparsity=64))
        >>> machine = load_hardware("qubit_gate_ns_e3")
        >>> quote = audited_quote(nominal_calibration(), facts, machine)
        >>> quote.low < quote.seconds < quote.high, [term.name for term in quote.terms][1:3]
        (True, ['block-encoding', 'state preparation'])
    """
    known = {"facts": facts, "calibration": calibration, "hardware": hardware}
    return audited(Scenario(**known, audit=audit, dtype=dtype), algorithm).quote


def audited(scenario: Scenario, algorithm: str | None = None) -> Audited:
    """Price a quantum solve as :func:`audited_quote` does, and return the designs as well.

    Example:
        >>> from qnewton.cost import Scenario, kappa_facts, load_hardware, nominal_calibration
        >>> found = audited(Scenario(facts=kappa_facts(12_544, 30.0, 64),
        ...                          calibration=nominal_calibration(),
        ...                          hardware=load_hardware("qubit_gate_ns_e3")))
        >>> found.quote.quantum.algorithm == found.breakdown.algorithm
        True
    """
    return audited_lot([scenario], algorithm)[0]


def audited_lot(scenarios: Sequence[Scenario], algorithm: str | None = None) -> list[Audited]:
    """Price many scenarios as :func:`audited` does each, together where their audits are alike.

    Cost: some milliseconds, and 0.3 ms per scenario.
    """
    found: dict[int, Audited] = {}
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, scenario in enumerate(scenarios):
        asked = algorithms_of(scenario.audit, algorithm)
        reason = _refusal(scenario, asked, algorithm)
        if reason:
            found[place] = _refused(scenario, algorithm or asked[0], reason)
        else:
            groups[alike(scenario)].append(place)
    for places in groups.values():
        lot = [scenarios[place] for place in places]
        found |= zip(places, _of_one_kind(lot, algorithm), strict=True)
    return [found[place] for place in range(len(scenarios))]


def _refusal(scenario: Scenario, asked: Sequence[str], algorithm: str | None) -> str:
    """Return why a scenario has no price, as far as its facts and its machine tell."""
    facts, audit = scenario.facts, scenario.audit
    kappa, reason = _condition(facts)
    d = facts.spectrum.row_sparsity
    if d is not None:
        check("sparsity", d, f"must lie between 1 and n = {facts.n}", 1 <= d <= facts.n)
    if not asked:
        return f"the query set {audit.query_set} does not count {algorithm}"
    if kappa is None:
        return reason
    known = (scenario.hardware, audit.error_correction, audit.physical_error)
    return machine_refusal(*known) or ""


def _of_one_kind(scenarios: Sequence[Scenario], algorithm: str | None) -> Iterator[Audited]:
    """Give the price of each of several scenarios whose audits make the same choices."""
    audit = scenarios[0].audit
    points, splits = Points.of(scenarios), Splits.of(splits_of(audit))
    asked = algorithms_of(audit, algorithm)
    made = [points.designs(name, splits) for name in asked] if len(points.owners) else []
    own: list[list[int]] = [[] for _ in scenarios]
    for point, owner in enumerate(points.owners):
        own[owner].append(point)
    for place, scenario in enumerate(scenarios):
        if points.refused[place] is not None:
            yield _refused(scenario, asked[0], points.refused[place] or "")
            continue
        each = (Design(designs, point) for designs in made for point in own[place])
        found = sorted(
            (design for design in each if math.isfinite(design.seconds)),
            key=lambda design: design.seconds,
        )
        if not found:
            reason = "a number of the price exceeds the largest float64"
            yield _refused(scenario, asked[0], reason)
            continue
        best = found[0]
        encoded = points.encoding(best.point).assumptions
        quote = _priced(scenario, best.breakdown, encoded)
        yield Audited(quote=quote, breakdown=best.breakdown, designs=tuple(found))


def _condition(facts: records.Facts) -> tuple[float | None, str]:
    estimate = facts.spectrum.condition
    if estimate is None:
        return None, "the condition number is unknown; measure it to price the quantum solver"
    if estimate.value is None or not math.isfinite(estimate.value):
        return None, f"the condition number is not known, {estimate.describe()}"
    check("kappa", estimate.value, "must be finite and at least 1", estimate.value >= 1)
    return estimate.value, ""


def _refused(scenario: Scenario, algorithm: str, reason: str) -> Audited:
    return Audited(quote=_quote(scenario, algorithm, {}, refused=reason))


def _quote(
    scenario: Scenario, algorithm: str, figures: dict[str, Any], **price: Any
) -> records.Quote:
    audit = scenario.audit
    model = f"audited, {audit.query_set} queries × gates × corrected cycles × states read"
    d = scenario.facts.spectrum.row_sparsity
    known = {"algorithm": algorithm, "epsilon": audit.epsilon, "sparsity": d}
    part = records.QuantumPart(**known, **figures)
    return machine_quote(priced_machine(scenario.hardware, audit), model, part, **price)


def _priced(scenario: Scenario, found: Breakdown, encoded: tuple[str, ...]) -> records.Quote:
    """Return the quote of a design, its error correction by ``qdk`` where the audit asks so."""
    audit, condition = scenario.audit, scenario.facts.spectrum.condition
    seconds, physical, notes = dict(found.seconds), found.physical_qubits, ()
    scale = 1.0
    if audit.error_correction == "qdk":
        run = error_corrected(
            scenario.hardware,
            n_qubits=found.logical_qubits,
            toffoli=found.toffoli,
            t_gates=found.t_gates,
            error_budget=audit.error_budget,
            method="qdk",
            physical_error=audit.physical_error,
        )
        if run.seconds is None:
            return _quote(scenario, found.algorithm, {}, refused=run.refused)
        physical, notes = run.physical_qubits, run.assumptions
        scale = run.seconds / found.state_s
        seconds["error correction"] += run.seconds - found.state_s
        seconds["read-out"] = (found.states - 1) * run.seconds
    elif audit.error_correction == "closed-form":
        stated = overridden_errors(scenario.hardware, audit.physical_error)
        notes = (*stated, f"{CORRECTED}; distance {found.code_distance}")
    else:
        notes = ("gates never fail: no error correction, a logical cycle is one gate",)
    if audit.error_correction != "perfect":
        chance = f"error correction fails in one state with a chance of {audit.error_budget:g}"
        notes = (*notes, f"{chance} at most")
    terms = tuple(records.PriceTerm(name=name, seconds=s) for name, s in seconds.items())
    figures = {
        "query_count": found.count,
        "logical_qubits": found.logical_qubits,
        "physical_qubits": physical,
        "t_count": found.t_count,
        "encoding": found.encoding,
    }
    price = {"seconds": math.fsum(seconds.values()), "terms": terms}
    price |= {"low": _scaled(found.low, scale), "high": _scaled(found.high, scale)}
    price |= {"condition_number": None if condition is None else condition.value}
    machine = hypothetical(priced_machine(scenario.hardware, audit))
    said = (*encoded, *_assumptions(scenario, found), *notes, *machine)
    return _quote(scenario, found.algorithm, figures, assumptions=said, **price)


def _scaled(seconds: float | None, by: float) -> float | None:
    return None if seconds is None else seconds * by


def _assumptions(scenario: Scenario, found: Breakdown) -> tuple[str, ...]:
    audit, condition, notes = scenario.audit, scenario.facts.spectrum.condition, []
    if audit.query_set == "paper" and condition is not None and condition.value is not None:
        notes += raised_condition(condition.value)
    parts = ", ".join(
        f"{cause} {getattr(found.budget, field):.2g}"
        for field, cause in CAUSES.items()
        if getattr(found.budget, field)
    )
    tables = audit.preparation == "tables"
    notes += [
        f"g is prepared {'loaded from tables' if tables else 'by one rotation a branch'}",
        "tables are written anew at every step, one pass over the kept entries"
        if audit.table_building
        else "writing the tables is free",
        f"all errors together move the vector by {audit.epsilon:g} at most: {parts}",
        f"read-out: {READOUTS[audit.readout]}",
    ]
    if audit.readout in ("simulated", "provable"):
        branch = "its reference branch succeeds as often as the solver"
        notes.append(f"the sign stage makes as many states as the magnitudes; {branch}")
    return tuple(notes)


CAUSES = {
    "solver": "the solver",
    "entries": "entries of A",
    "rhs": "g",
    "rotations": "rotations",
    "readout": "read-out",
}
"""What an error comes from, by its field of the budget."""
