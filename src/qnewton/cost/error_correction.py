"""Physical qubits and seconds of logical counts: by Microsoft's estimator, or a closed form."""

import importlib.util
import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from qnewton.records import QuantumHardware
from qnewton.records.messages import check

THRESHOLD = 1e-2
"""Physical error at which the surface code stops helping."""

CROSSING_PREFACTOR = 0.03
"""A logical qubit fails in a cycle with 0.03·(p/0.01)^((D+1)/2)."""

MOST_T_ERROR = 0.05
"""Largest physical error of a T state that is distilled here: 15-to-1 fails with 15 times it."""

_LOGICAL_QUBITS, _CYCLES = 20, 13  # of a 15-to-1 unit, the estimator's "space efficient" one
_FROM_CUBE, _FROM_CLIFFORD = 35.0, 7.1  # its output error: 35·e³ + 7.1·P
_MOST_T_A_CYCLE = 4 / 3  # 4 a Toffoli, which takes 3 cycles


@dataclass(frozen=True)
class Factories:
    """T factories that keep up with a circuit.

    Attributes:
        count: How many work in parallel.
        qubits: Physical qubits of one.
        distances: Code distance of each round, the first round first.
    """

    count: int
    qubits: int
    distances: tuple[int, ...]

    @property
    def physical_qubits(self) -> int:
        """Physical qubits of all."""
        return self.count * self.qubits


def t_factories(t_states: float, error: float, t_error: float, budget: float) -> Factories:
    """Return factories whose T states all are right but for a given chance.

    From the last round back: a round whose output may err with e has the least odd distance d with
    7.1·P(d) ≤ e/2, and takes states of error (e/70)^(1/3), until physical ones are as good. Round
    i from the last holds u^i units of 20·2d² qubits, u = ⌈15/(1-15·p_T)⌉ + 1; rounds follow each
    other in the same place. A unit takes 13 cycles at its own distance, at most half of the next
    round's, and 4/3 T states a cycle are used at most, so 13·(2 - 2^{1-r})·4/3 factories keep up.
    No part falls as more states are asked for.

    Args:
        t_states: T states of the circuit.
        error: Physical error of Clifford gates and measurements, below :data:`THRESHOLD`.
        t_error: Physical error of a T state, at most :data:`MOST_T_ERROR`.
        budget: Chance that any of them is wrong.

    Cost: a few scalar operations.

    Reference: Beverland et al., arXiv:2211.07629, Appendix C; the constants (20 qubits, 13 cycles,
    35 and 7.1) reproduce what qdk 1.33.1 reports of its factories.

    Example:
        >>> t_factories(4e9, 1e-3, 1e-3, 5e-3)
        Factories(count=26, qubits=55080, distances=(9, 23))
        >>> t_factories(4e9, 1e-3, 1e-6, 5e-3).distances
        (23,)
    """
    log_need = math.log(budget) - math.log(max(t_states, 1.0))
    distances: list[int] = []
    while t_error > 0 and math.log(t_error) > log_need:
        distances.insert(0, _distance(log_need, error))
        log_need = (log_need - math.log(2 * _FROM_CUBE)) / 3
    if not distances:
        return Factories(0, 0, ())
    rounds = len(distances)
    units = math.ceil(15 / (1 - 15 * t_error)) + 1
    counts = [units ** (rounds - 1 - index) * _LOGICAL_QUBITS for index in range(rounds)]
    qubits = max(n * 2 * distance**2 for n, distance in zip(counts, distances, strict=True))
    count = math.ceil(_MOST_T_A_CYCLE * _CYCLES * (2 - 2.0 ** (1 - rounds)))
    return Factories(count, qubits, tuple(distances))


def _distance(log_error: float, error: float) -> int:
    """Return the least odd distance at which a unit's Clifford gates add half of an error."""
    if error <= 0:
        return 1
    log_excess = math.log(2 * _FROM_CLIFFORD * CROSSING_PREFACTOR) - log_error
    return 2 * max(1, math.ceil(log_excess / (math.log(THRESHOLD) - math.log(error)))) - 1


ErrorCorrection = Literal["auto", "qdk", "closed-form", "perfect"]

# The estimator counts in 64-bit integers and rounds times to nanoseconds without a word: it is
# given times in units of its own, whose ratio alone matters to it, and seconds are computed here.
_MOST_COUNTED = 1e13
_LAST_COUNT = 9_999_999_999_999
_PARALLEL = "T states from factories in parallel"
_UNITS, _MOST_RATIO = 100, 10.0


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """One run of a circuit on a machine.

    Attributes:
        seconds: Its runtime; ``None`` when refused.
        physical_qubits: Under error correction; ``None`` where it is not priced.
        method: ``qdk``, ``closed-form`` or ``perfect``.
        code_distance: Of the surface code.
        assumptions: One sentence each.
        refused: Why there is no runtime.
    """

    method: str
    seconds: float | None = None
    physical_qubits: int | None = None
    code_distance: int | None = None
    assumptions: tuple[str, ...] = ()
    refused: str | None = None


@lru_cache(maxsize=4096)
def error_corrected(
    hardware: QuantumHardware,
    *,
    n_qubits: float,
    toffoli: float,
    t_gates: float,
    error_budget: float = 1e-2,
    method: ErrorCorrection = "auto",
    physical_error: float | None = None,
) -> Corrected:
    """Return runtime and physical qubits of a circuit that fails with at most a given chance.

    Closed form: p_L = 0.03·(p/0.01)^((D+1)/2) a logical qubit and cycle, p the larger of
    two-qubit and readout error; D the least odd distance at which half of the budget covers all
    qubits and cycles (3 a Toffoli, 1 a T gate); a cycle takes (4·t_2q + 2·t_meas)·D, and the
    2Q + ⌈√(8Q)⌉ + 1 logical qubits of Q in a layout take 2D² physical ones each; the other half of
    the budget covers the T states of :func:`qnewton.cost.error_correction.t_factories`.

    Args:
        hardware: The machine.
        n_qubits: Logical qubits Q of the circuit.
        toffoli: Its Toffoli gates, in sequence.
        t_gates: Its T gates beside them.
        error_budget: Chance of a failed run, in (0, 1).
        method: ``qdk`` (Microsoft's estimator), ``closed-form``, ``auto``: the first if
            installed; beyond its range the closed form, or the estimator at the end of its
            range, whichever is more; or ``perfect``: gates need no correction, and a cycle
            is one gate time.
        physical_error: Overrides the machine's error probabilities; the result says so.

    Returns:
        The runtime, refused for a machine above threshold or without the figures needed.

    Raises:
        ValueError: If a number is out of range, or ``qdk`` is asked for and not installed.

    Cost:
        Some microseconds; 2 ms with ``qdk``, then from a cache.

    Reference:
        Beverland et al., arXiv:2211.07629.

    Example:
        >>> from qnewton.cost import load_hardware
        >>> machine = load_hardware("qubit_gate_ns_e3")
        >>> run = error_corrected(machine, n_qubits=1000, toffoli=2.2e9, t_gates=0.0,
        ...                       method="closed-form")
        >>> f"{run.seconds / 86400:.2f} days, distance {run.code_distance}"
        '0.82 days, distance 27'
    """
    check("error_budget", error_budget, "must lie between 0 and 1", 0 < error_budget < 1)
    if physical_error is not None:
        limits = f"must be above 0 and below the surface code's threshold {THRESHOLD:g}"
        check("physical_error", physical_error, limits, 0 < physical_error < THRESHOLD)
    run = _Run(hardware, (n_qubits, toffoli, t_gates), error_budget, physical_error)
    if method == "perfect":
        said = "gates never fail: no error correction, a logical cycle is one gate"
        seconds = run.cycles * hardware.gate_time_s.value
        return Corrected(seconds=seconds, method="perfect", assumptions=(said,))
    error, refused = _physical_error(hardware, physical_error)
    if error is None:
        return Corrected(method=method, refused=refused)
    notes = ()
    if physical_error is not None:
        notes = (f"override: error probabilities of {physical_error:g} in place of the machine's",)
    installed = importlib.util.find_spec("qdk") is not None
    if method == "qdk" and not installed:
        way_out = "run `pip install qdk`, or use closed-form"
        raise ValueError(f"error_correction is 'qdk', which is not installed; {way_out}")
    fits = max(run.counts) < _MOST_COUNTED
    if method != "closed-form" and fits and installed:
        estimated = _by_qdk(run, notes)
        if estimated.refused is None or method == "qdk":
            return estimated
        notes = (*notes, estimated.refused)
    elif method == "qdk":
        refused = "the counts exceed what the estimator counts in; use closed-form"
        return Corrected(method="qdk", refused=refused)
    elif method == "auto":
        why = "not installed" if not installed else "out of its range"
        notes = (*notes, f"Microsoft's estimator is {why}")
    closed = _closed_form(run, error, notes)
    if method != "auto" or fits or not installed or closed.refused is not None:
        return closed
    return _at_least(closed, _by_qdk(run, ()))


@dataclass(frozen=True)
class _Run:
    """A circuit's qubits, Toffoli and T gates on a machine, and the chance that it may fail."""

    hardware: QuantumHardware
    counts: tuple[float, float, float]
    budget: float
    override: float | None

    @property
    def cycles(self) -> float:
        """Logical cycles in sequence."""
        return 3 * self.counts[1] + self.counts[2]

    def cycle_s(self, distance: int) -> float:
        """Return the seconds of a logical cycle at a code distance."""
        assert self.hardware.readout_time_s is not None
        gate, measurement = self.hardware.gate_time_s.value, self.hardware.readout_time_s.value
        return (4 * gate + 2 * measurement) * distance

    def t_error(self, error: float) -> float:
        """Return the error of a T gate on a machine whose other gates have this one."""
        if self.override is not None:
            return self.override
        return error if self.hardware.t_error is None else self.hardware.t_error.value


def _closed_form(run: _Run, error: float, notes: tuple[str, ...]) -> Corrected:
    (n_qubits, toffoli, t_gates), t_error = run.counts, run.t_error(error)
    if t_error > MOST_T_ERROR:
        limits = f"distillation needs {MOST_T_ERROR:g} at most; state an override (physical_error)"
        refused = f"{run.hardware.name} has a T error of {t_error:g}; {limits}"
        return Corrected(method="closed-form", refused=refused)
    laid_out = 2 * n_qubits + math.ceil(math.sqrt(8 * n_qubits)) + 1
    log_chances = math.log(laid_out) + math.log(max(run.cycles, 1.0)) - math.log(run.budget / 2)
    log_need = math.log(CROSSING_PREFACTOR) + log_chances
    steps = math.ceil(log_need / (math.log(THRESHOLD) - math.log(error))) if error > 0 else 1
    distance = 2 * max(1, steps) - 1
    factories = t_factories(4 * toffoli + t_gates, error, t_error, run.budget / 2)
    rounds = f"15-to-1 in {len(factories.distances)} rounds, {factories.count} of them"
    said = f"error correction by the closed form 0.03·(p/0.01)^((D+1)/2); {_PARALLEL}, {rounds}"
    return Corrected(
        seconds=run.cycles * run.cycle_s(distance),
        physical_qubits=math.ceil(laid_out) * 2 * distance**2 + factories.physical_qubits,
        method="closed-form",
        code_distance=distance,
        assumptions=(*notes, said),
    )


def _at_least(closed: Corrected, edge: Corrected) -> Corrected:
    """Return the closed form, raised to what the estimator says of the largest counts it takes."""
    if edge.seconds is None or edge.physical_qubits is None:
        return closed
    seconds = max(closed.seconds or 0.0, edge.seconds)
    qubits = max(closed.physical_qubits or 0, edge.physical_qubits)
    return replace(closed, seconds=seconds, physical_qubits=qubits)


_ESTIMATED = (
    "error correction by Microsoft's estimator: surface code, one-qubit gates as good and "
    "as fast as two-qubit ones"
)


def _by_qdk(run: _Run, notes: tuple[str, ...]) -> Corrected:
    # The package reports its use over the network unless told not to; prices are made offline.
    os.environ.setdefault("QDK_PYTHON_TELEMETRY", "none")
    from qdk.estimator import EstimatorError, LogicalCounts  # pyright: ignore[reportMissingImports]  # an optional extra

    hardware, override = run.hardware, run.override
    assert hardware.readout_time_s is not None
    assert hardware.two_qubit_error is not None
    assert hardware.readout_error is not None
    n_qubits, toffoli, t_gates = (min(math.ceil(count), _LAST_COUNT) for count in run.counts)
    times = hardware.gate_time_s.value, hardware.readout_time_s.value
    ratios = (min(_MOST_RATIO, seconds / min(times)) for seconds in times)
    gate, measurement = (f"{round(_UNITS * ratio)} ns" for ratio in ratios)
    gate_error = hardware.two_qubit_error.value if override is None else override
    readout_error = hardware.readout_error.value if override is None else override
    request = {
        "qubitParams": {
            "name": hardware.name,
            "instructionSet": "GateBased",
            **dict.fromkeys(("oneQubitGateTime", "twoQubitGateTime", "tGateTime"), gate),
            "oneQubitMeasurementTime": measurement,
            **dict.fromkeys(("oneQubitGateErrorRate", "twoQubitGateErrorRate"), gate_error),
            "tGateErrorRate": run.t_error(gate_error),
            "oneQubitMeasurementErrorRate": readout_error,
            # A machine of a name that the estimator knows would keep its own.
            "idleErrorRate": gate_error,
        },
        "errorBudget": run.budget,
    }
    unused = dict.fromkeys(("rotationCount", "rotationDepth", "ccixCount", "measurementCount"), 0)
    counted = {"numQubits": n_qubits, "tCount": t_gates, "cczCount": toffoli}
    try:
        result = LogicalCounts(counted | unused).estimate(request)
    except EstimatorError as error:
        reason = " ".join(str(error).split())
        return Corrected(method="qdk", refused=f"the estimator: {reason}")
    physical = result["physicalCounts"]
    distance = result["logicalQubit"]["codeDistance"]
    as_good = "" if hardware.t_error is not None and override is None else " and as good"
    return Corrected(
        seconds=physical["breakdown"]["logicalDepth"] * run.cycle_s(distance),
        physical_qubits=physical["physicalQubits"],
        method="qdk",
        code_distance=distance,
        assumptions=(*notes, f"{_ESTIMATED}, T gates as fast{as_good}"),
    )


def _physical_error(
    hardware: QuantumHardware, override: float | None
) -> tuple[float | None, str | None]:
    errors = ("two_qubit_error", "readout_error") if override is None else ()
    figures = {name: getattr(hardware, name) for name in ("readout_time_s", *errors)}
    missing = next((name for name, figure in figures.items() if figure is None), None)
    if missing is not None:
        needed = f"has no {missing}, which error correction needs"
        return None, f"profile {hardware.name} {needed}; give it, or assume perfect gates"
    if override is not None:
        return override, None
    error = max(figures[name].value for name in errors)
    if error >= THRESHOLD:
        above = f"is above threshold: its error {error:g} is not below {THRESHOLD:g}"
        way_out = "state an override (physical_error) to price it all the same"
        return None, f"{hardware.name} {above}, where error correction starts to help; {way_out}"
    return error, None
