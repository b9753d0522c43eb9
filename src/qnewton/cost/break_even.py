"""Break-even: to what value one assumption would have to change for the choice to flip."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from qnewton.cost.audit import Audit
from qnewton.cost.audited import audited_quote
from qnewton.cost.given import with_condition, with_sparsity
from qnewton.cost.solvers import classical_quotes
from qnewton.queries import JENNINGS_MAX_EPSILON, QUERY_SETS
from qnewton.records import Calibration, Facts, Figure, QuantumHardware, Quote
from qnewton.records.quotes import cheapest

_POINTS = 33
_FASTEST_S = 1e-30


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A system on a classical and on a quantum machine, under one set of assumptions.

    Attributes:
        facts: The system.
        calibration: The classical machine.
        hardware: The quantum machine.
        audit: What the quantum price assumes.
        dtype: dtype of the classical solvers.
        tolerance: Relative residual of the classical solvers.
        solvers: The classical competitors; ``None`` for all.
    """

    facts: Facts
    calibration: Calibration
    hardware: QuantumHardware
    audit: Audit
    dtype: str = "float32"
    tolerance: float = 1e-6
    solvers: tuple[str, ...] | None = None

    def prices(self) -> tuple[float | None, float | None]:
        """Return modelled seconds of the quantum and of the cheapest classical solver."""
        known = (self.calibration, self.facts, self.dtype)
        best = cheapest(classical_quotes(*known, tolerance=self.tolerance, solvers=self.solvers))
        return self.quantum().seconds, None if best is None else best.seconds

    def quantum(self) -> Quote:
        """Return the audited quote of the quantum solver."""
        return audited_quote(self.calibration, self.facts, self.hardware, self.audit, self.dtype)

    def with_audit(self, audit: Audit) -> "Scenario":
        """Return the scenario under another audit.

        Where the rivals are asked for the accuracy that the quantum solver reaches, they stay so.
        """
        facts = self.facts
        if facts.direction_error == self.audit.direction_error:
            facts = replace(facts, direction_error=audit.direction_error)
        return replace(self, facts=facts, audit=audit)

    def advantage(self) -> float | None:
        """Return ln(classical/quantum): above 0 the quantum solver wins; ``None`` if unpriced."""
        quantum, classical = self.prices()
        if quantum is None or classical is None:
            return None
        return math.log(classical) - math.log(quantum)


@dataclass(frozen=True, kw_only=True)
class Flip:
    """What one assumption would have to become, all others as they are.

    Attributes:
        assumption: Which.
        now: Its value now, in words.
        value: The value nearest to the present one at which the choice flips; ``None`` for an
            assumption without numbers, and where none flips it.
        flips: Whether the choice flips.
        said: One sentence.
    """

    assumption: str
    now: str
    value: float | None
    flips: bool
    said: str


def break_even(scenario: Scenario) -> tuple[Flip, ...]:
    """Return, for each assumption, where the choice between quantum and classical flips.

    A numeric assumption is scanned over its whole range, and the change of sign of
    ln(classical/quantum) nearest to the present value is bisected; where the sign never changes
    the sentence says what the best end of the range costs.

    Args:
        scenario: Where things stand; both solvers need a price.

    Raises:
        ValueError: If one has none.

    Cost:
        Some hundred prices: 0.1 s, or 1 s with ``qdk``.

    Example:
        >>> from qnewton.cost import kappa_facts, load_hardware, nominal_calibration
        >>> facts = kappa_facts(12_544, 30.0, 64)
        >>> here = Scenario(facts=facts, calibration=nominal_calibration(),
        ...                 hardware=load_hardware("qubit_gate_ns_e3"),
        ...                 audit=Audit(error_correction="closed-form"))
        >>> found = {flip.assumption: flip.flips for flip in break_even(here)}
        >>> found["gate time"], found["all machine times"]
        (False, True)
    """
    if scenario.advantage() is None:
        why = scenario.quantum().refused or "no classical solver has one"
        raise ValueError(f"break-even compares two prices, and one is missing: {why}")
    numeric = [_numeric(scenario, row) for row in _ranges(scenario)]
    return (*numeric, *_named(scenario), _competitor(scenario))


def crossing(
    advantage: Callable[[float], float | None], now: float, low: float, high: float
) -> float | None:
    """Return the value in [low, high] nearest to ``now`` (in logarithms) where the sign changes.

    Args:
        advantage: What changes sign; ``None`` where it is not known, which ends the range.
        now: The present value; within the range.
        low: Lower end, above 0.
        high: Upper end.

    Cost: 33 evaluations, and 60 more where there is a crossing.

    Example:
        >>> f"{crossing(lambda x: 1.0 - x / 300.0, 2.0, 1.0, 1e6):.6f}"
        '300.000000'
        >>> crossing(lambda x: 1.0, 2.0, 1.0, 1e6) is None
        True
    """
    a, b = math.log(low), math.log(high)
    points = sorted({a + (b - a) * k / (_POINTS - 1) for k in range(_POINTS)} | {math.log(now)})

    def at(point: float) -> float | None:
        # exp(log(high)) may lie beyond high by a rounding.
        return advantage(min(high, max(low, math.exp(point))))

    values = [(point, at(point)) for point in points]
    spans = [
        (left, right)
        for (left, at_left), (right, at_right) in itertools.pairwise(values)
        if at_left is not None and at_right is not None and (at_left > 0) != (at_right > 0)
    ]
    if not spans:
        return None
    here = math.log(now)
    left, right = min(spans, key=lambda span: min(abs(end - here) for end in span))
    wins_left = (at(left) or 0.0) > 0
    for _ in range(60):
        middle = (left + right) / 2
        at_middle = at(middle)
        if at_middle is not None and (at_middle > 0) == wins_left:
            left = middle
        else:
            right = middle
    return math.exp((left + right) / 2)


Changed = Callable[[float], Scenario]
_Range = tuple[str, str, float, float, float, Changed]
"""An assumption, its unit, its value now, the ends of its range, and the scenario at a value."""


def _ranges(s: Scenario) -> list[_Range]:
    machine, audit, facts = s.hardware, s.audit, s.facts
    gate = machine.gate_time_s.value
    condition = facts.spectrum.condition
    assert condition is not None and condition.value is not None  # noqa: PT018  # one fact

    def timed(factor: float, with_readout: bool) -> Scenario:
        faster = replace(machine, gate_time_s=_scaled(machine.gate_time_s, factor))
        if with_readout and machine.readout_time_s is not None:
            faster = replace(faster, readout_time_s=_scaled(machine.readout_time_s, factor))
        return replace(s, hardware=faster)

    def audited(name: str) -> Changed:
        return lambda value: s.with_audit(replace(audit, **{name: value}))

    def conditioned(kappa: float) -> Scenario:
        return replace(s, facts=with_condition(facts, max(1.0, kappa)))

    def sparser(d: float) -> Scenario:
        return replace(s, facts=with_sparsity(facts, min(facts.n, max(1, round(d)))))

    least, kappa, d = _FASTEST_S / gate, condition.value, facts.spectrum.row_sparsity
    rows: list[_Range] = [
        ("gate time", "s", gate, _FASTEST_S, 1.0, lambda t: timed(t / gate, False)),
        ("all machine times", "times", 1.0, least, 1e6, lambda f: timed(f, True)),
    ]
    if audit.readout != "none":
        now, changed = audit.readout_tolerance, audited("readout_tolerance")
        rows.append(("read-out tolerance", "", now, 1e-6, 0.999, changed))
    rows += [
        ("solver error", "", audit.epsilon, 1e-12, JENNINGS_MAX_EPSILON, audited("epsilon")),
        ("condition number", "", kappa, 1.0, 1e12, conditioned),
    ]
    if audit.error_correction != "perfect":
        now = audit.physical_error
        if now is None:
            known = (machine.two_qubit_error, machine.readout_error)
            now = max(1e-15, *(figure.value for figure in known if figure is not None))
        rows.append(("error rate", "", now, 1e-15, 9.99e-3, audited("physical_error")))
    if d is not None and facts.n > 1:
        rows.append(("row sparsity", "entries", float(d), 1.0, float(facts.n), sparser))
    return rows


def _numeric(s: Scenario, row: _Range) -> Flip:
    name, unit, now, low, high, changed = row
    words = f"{now:.3g} {unit}".strip()
    found = crossing(lambda v: changed(v).advantage(), now, min(low, now), max(high, now))
    winner = "classical" if (s.advantage() or 0.0) > 0 else "quantum"
    if found is not None:
        said = f"{name}: the {winner} solver wins past {found:.3g} {unit}".rstrip()
        return Flip(assumption=name, now=words, value=found, flips=True, said=said)
    ends = [(end, changed(end).prices()) for end in (low, high)]
    priced = [(v, q / c) for v, (q, c) in ends if q is not None and c is not None]
    best = min(priced, key=lambda pair: pair[1] if winner == "quantum" else -pair[1], default=None)
    said = f"{name}: nothing flips it"
    if best is not None:
        said += f"; at {best[0]:.3g} {unit}".rstrip()
        said += f" the quantum solver costs {best[1]:.3g} times the classical one"
    return Flip(assumption=name, now=words, value=None, flips=False, said=said)


def _named(s: Scenario) -> list[Flip]:
    audit = s.audit
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("table loading", "reads of QRAM", {"tables": "qram"}),
        ("table loading", "writing the tables free", {"table_building": False}),
        ("read-out", "none", {"readout": "none"}),
        ("read-out", "coherent tomography", {"readout": "coherent"}),
        ("error correction", "gates that never fail", {"error_correction": "perfect"}),
        *(("query count", f"{name} set", {"query_set": name}) for name in QUERY_SETS),
    ]
    kindest = {"tables": "qram", "table_building": False, "readout": "none"}
    kindest |= {"error_correction": "perfect", "query_set": "optimistic"}
    said = "QRAM, free tables, nothing read, perfect gates, optimistic count"
    changes.append(("all of these", said, kindest))
    now = (s.advantage() or 0.0) > 0
    flips = []
    for name, words, changed in changes:
        other = replace(audit, **changed)
        if other == audit:
            continue
        quantum, classical = s.with_audit(other).prices()
        if quantum is None or classical is None:
            continue
        flipped = (classical > quantum) != now
        then = "the choice flips" if flipped else "the choice stays"
        said = f"{name}, {words}: {then}; quantum {quantum:.3g} s, classical {classical:.3g} s"
        held = ", ".join(f"{key} {getattr(audit, key)}" for key in changed)
        flips.append(Flip(assumption=name, now=held, value=None, flips=flipped, said=said))
    return flips


def _competitor(s: Scenario) -> Flip:
    quantum, classical = s.prices()
    assert quantum is not None
    assert classical is not None
    times = quantum / classical
    name, now = "classical competitor", f"{classical:.3g} s"
    said = f"{name}: it would have to take {quantum:.3g} s, {times:.3g} times as long as the"
    said += " cheapest does"
    return Flip(assumption=name, now=now, value=quantum, flips=True, said=said)


def _scaled(figure: Figure, factor: float) -> Figure:
    return replace(figure, value=figure.value * factor)
