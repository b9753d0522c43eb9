"""What a price may be swept over: one assumption each, its range, and the scenario at a value."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from qnewton.cost.constants import THRESHOLD
from qnewton.cost.given import with_condition, with_size, with_sparsity
from qnewton.cost.scenario import Scenario
from qnewton.records import Calibration, Figure, QuantumHardware

_FASTEST_S = 1e-30
_LEAST_ERROR = 1e-15


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One assumption of a price.

    Attributes:
        name: As options and tables have it.
        title: As pictures have it, with its unit.
        unit: Its unit; empty where it has none.
        low: The least value that makes sense.
        high: The largest; N where that is the limit.
        drawn: The ends that a map shows where none are asked for; N where that is the limit.
        now: Returns a scenario's value; ``None`` where it has none.
        at: Returns the scenario at another value.

    Example:
        >>> AXES["kappa"].title
        'condition number κ'
    """

    name: str
    title: str
    unit: str
    low: float
    high: float
    drawn: tuple[float, float]
    now: Callable[[Scenario], float | None]
    at: Callable[[Scenario, float], Scenario]

    @property
    def quantity(self) -> str:
        """The title without its unit, for sentences, where the unit stands after the value."""
        return self.title.removesuffix(f" ({self.unit})")

    def range(self, scenario: Scenario) -> tuple[float, float]:
        """Return the least and the largest value for a scenario, its own among them."""
        now = self.now(scenario)
        high = min(self.high, float(scenario.facts.n)) if math.isinf(self.high) else self.high
        return (self.low, high) if now is None else (min(self.low, now), max(high, now))

    def shown(self, scenario: Scenario) -> tuple["Axis", float, float]:
        """Return the axis and the ends that a map of a scenario shows."""
        low, high = self.drawn
        return self, low, float(scenario.facts.n) if math.isinf(high) else high


def faster(machine: QuantumHardware, times: float) -> QuantumHardware:
    """Return a quantum machine whose gates and measurements take so many times as long.

    No such machine exists, so that it is hypothetical.
    """
    known = {name: getattr(machine, name) for name in ("gate_time_s", "readout_time_s")}
    scaled = {n: replace(f, value=f.value * times) for n, f in known.items() if f is not None}
    return _with_figures(machine, **scaled)


def _with_figures(machine: QuantumHardware, **figures: Figure) -> QuantumHardware:
    """Return a machine with other figures; it is hypothetical where they are not its own."""
    changed = replace(machine, **figures)
    return machine if changed == machine else replace(changed, hypothetical=True)


def _with_machine_time(scenario: Scenario, gate_s: float) -> Scenario:
    machine = scenario.hardware
    return replace(scenario, hardware=faster(machine, gate_s / machine.gate_time_s.value))


def _with_gate_time(scenario: Scenario, gate_s: float) -> Scenario:
    gate = replace(scenario.hardware.gate_time_s, value=gate_s)
    return replace(scenario, hardware=_with_figures(scenario.hardware, gate_time_s=gate))


def _audited(name: str) -> Callable[[Scenario, float], Scenario]:
    def at(scenario: Scenario, value: float) -> Scenario:
        changed: dict[str, Any] = {name: value}
        return scenario.with_audit(replace(scenario.audit, **changed))

    return at


def _error(scenario: Scenario) -> float | None:
    audit, machine = scenario.audit, scenario.hardware
    if audit.error_correction == "perfect":
        return None
    if audit.physical_error is not None:
        return audit.physical_error
    known = (machine.two_qubit_error, machine.readout_error)
    return max(_LEAST_ERROR, *(figure.value for figure in known if figure is not None))


def _condition(scenario: Scenario) -> float | None:
    condition = scenario.facts.spectrum.condition
    return None if condition is None else condition.value


def _sparsity(scenario: Scenario) -> float | None:
    d = scenario.facts.spectrum.row_sparsity
    return None if d is None or scenario.facts.n < 2 else float(d)


def _with_sparsity(scenario: Scenario, d: float) -> Scenario:
    facts = scenario.facts
    entries = min(facts.n, max(1, round(d)))
    return replace(scenario, facts=with_sparsity(facts, entries))


def _with_size(scenario: Scenario, n: float) -> Scenario:
    return replace(scenario, facts=with_size(scenario.facts, max(1, round(n))))


def _with_condition(scenario: Scenario, kappa: float) -> Scenario:
    return replace(scenario, facts=with_condition(scenario.facts, max(1.0, kappa)))


def _slower(scenario: Scenario, factor: float) -> Scenario:
    rivals = tuple(slower(machine, factor) for machine in scenario.rivals)
    return replace(scenario, calibration=slower(scenario.calibration, factor), rivals=rivals)


def slower(calibration: Calibration, factor: float) -> Calibration:
    """Return a classical machine whose kernels and network take so many times as long."""
    fits = tuple(
        replace(
            fit,
            seconds_per_unit=fit.seconds_per_unit * factor,
            overhead_s=fit.overhead_s * factor,
            samples=tuple((work, seconds * factor) for work, seconds in fit.samples),
        )
        for fit in calibration.fits
    )
    network = calibration.network
    if network is not None:
        reduced, sent = network.all_reduce_s * factor, network.bytes_per_s / factor
        network = replace(network, all_reduce_s=reduced, bytes_per_s=sent)
    name = f"{calibration.name} × {factor:g}"
    return replace(calibration, name=name, fits=fits, network=network)


SPARSITY = Axis(
    name="sparsity",
    title="entries in a row d",
    unit="entries",
    low=1.0,
    high=math.inf,
    drawn=(1.0, math.inf),
    now=_sparsity,
    at=_with_sparsity,
)

_OWN = (
    Axis(
        name="gate-time",
        title="gate time (s)",
        unit="s",
        low=_FASTEST_S,
        high=1.0,
        drawn=(1e-18, 1e-3),
        now=lambda s: s.hardware.gate_time_s.value,
        at=_with_gate_time,
    ),
    Axis(
        name="machine-time",
        title="gate time, with measurements in proportion (s)",
        unit="s",
        low=_FASTEST_S,
        high=1.0,
        drawn=(1e-18, 1e-3),
        now=lambda s: s.hardware.gate_time_s.value,
        at=_with_machine_time,
    ),
    Axis(
        name="epsilon",
        title="error ε of the vector that is read",
        unit="",
        low=1e-12,
        high=0.999,
        drawn=(1e-3, 0.5),
        now=lambda s: s.audit.epsilon,
        at=_audited("epsilon"),
    ),
    Axis(
        name="kappa",
        title="condition number κ",
        unit="",
        low=1.0,
        high=1e12,
        drawn=(1.0, 1e6),
        now=_condition,
        at=_with_condition,
    ),
    Axis(
        name="error-rate",
        title="physical error rate",
        unit="",
        low=_LEAST_ERROR,
        high=0.999 * THRESHOLD,
        drawn=(1e-9, 9e-3),
        now=_error,
        at=_audited("physical_error"),
    ),
    SPARSITY,
    Axis(
        name="n",
        title="unknowns N",
        unit="unknowns",
        low=2.0,
        high=2.0**50,
        drawn=(10.0, 1e9),
        now=lambda s: float(s.facts.n),
        at=_with_size,
    ),
    Axis(
        name="classical-speed",
        title="slowdown of the classical machine",
        unit="times",
        low=1e-6,
        high=1e12,
        drawn=(1.0, 1e12),
        now=lambda _: 1.0,
        at=_slower,
    ),
)

AXES: Mapping[str, Axis] = {axis.name: axis for axis in _OWN}
"""Every assumption that a price can be swept over, by name."""
