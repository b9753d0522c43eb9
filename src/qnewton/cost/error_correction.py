"""Physical qubits and seconds of logical counts: by Microsoft's estimator, or a closed form."""

import importlib.util
import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from qnewton.cost.constants import THRESHOLD, Constants
from qnewton.cost.surface_code import MOST_T_ERROR, Timed, surface_code
from qnewton.records import QuantumHardware
from qnewton.records.messages import check

ErrorCorrection = Literal["closed-form", "qdk", "perfect"]

# The estimator counts in 64-bit integers and rounds times to nanoseconds without a word: it is
# given times in units of its own, whose ratio alone matters to it, and seconds are computed here.
_MOST_COUNTED = 1e13
_LAST_COUNT = 9_999_999_999_999

CORRECTED = (
    "error correction by the closed form 0.03·(p/0.01)^((D+1)/2); T states from factories in "
    "parallel"
)
"""What the closed form assumes, in words."""

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
    method: ErrorCorrection = "closed-form",
    physical_error: float | None = None,
) -> Corrected:
    """Return runtime and physical qubits of a circuit that fails with at most a given chance.

    The closed form is :func:`qnewton.cost.surface_code.surface_code` at the likely constants.

    Args:
        hardware: The machine.
        n_qubits: Logical qubits Q of the circuit.
        toffoli: Its Toffoli gates, in sequence.
        t_gates: Its T gates beside them.
        error_budget: Chance of a failed run, in (0, 1).
        method: ``closed-form``; ``qdk`` (Microsoft's estimator; beyond the counts that it takes
            the closed form, or the estimator at the end of its range, whichever is more); or
            ``perfect``: gates need no correction, and a cycle is one gate time.
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
    refused = machine_refusal(hardware, method, physical_error)
    if refused is not None:
        return Corrected(method=method, refused=refused)
    run = _Run(hardware, (n_qubits, toffoli, t_gates), error_budget, physical_error)
    if method == "perfect":
        said = "gates never fail: no error correction, a logical cycle is one gate"
        seconds = run.cycles * hardware.gate_time_s.value
        return Corrected(seconds=seconds, method="perfect", assumptions=(said,))
    notes = overridden_errors(hardware, physical_error)
    if method == "closed-form":
        return _closed_form(run, notes)
    if importlib.util.find_spec("qdk") is None:
        way_out = "run `pip install qdk`, or use closed-form"
        raise ValueError(f"error_correction is 'qdk', which is not installed; {way_out}")
    if max(run.counts) < _MOST_COUNTED:
        return _by_qdk(run, notes)
    notes = (*notes, "Microsoft's estimator is out of its range")
    return _at_least(_closed_form(run, notes), _by_qdk(run, ()))


def overridden_errors(hardware: QuantumHardware, physical_error: float | None) -> tuple[str, ...]:
    """Return the assumption that gates and measurements fail less or more often than they do.

    Example:
        >>> from qnewton.cost import load_hardware
        >>> overridden_errors(load_hardware("ibm_sherbrooke"), 1e-4)
        ("physical error 0.0001 in place of the machine's 0.0198",)
    """
    if physical_error is None:
        return ()
    own = Timed.of(hardware).error
    known = "own, which is not known" if own is None else f"{own:g}"
    return (f"physical error {physical_error:g} in place of the machine's {known}",)


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


def _closed_form(run: _Run, notes: tuple[str, ...]) -> Corrected:
    machine = Timed.of(run.hardware, run.override)
    found = surface_code(*run.counts, machine, run.budget, Constants.likely())
    factories = found.factories
    rounds = f"15-to-1 in {len(factories.distances)} rounds, {int(factories.count)} of them"
    said = f"{CORRECTED}, {rounds}"
    return Corrected(
        seconds=float(found.seconds),
        physical_qubits=math.ceil(found.physical_qubits),
        method="closed-form",
        code_distance=int(found.distance),
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
            "tGateErrorRate": Timed.of(hardware, override).t_error,
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


def machine_refusal(
    hardware: QuantumHardware, method: ErrorCorrection, physical_error: float | None = None
) -> str | None:
    """Return why no error correction can be priced on a machine; ``None`` where it can."""
    if method == "perfect":
        return None
    errors = ("two_qubit_error", "readout_error") if physical_error is None else ()
    figures = {name: getattr(hardware, name) for name in ("readout_time_s", *errors)}
    missing = next((name for name, figure in figures.items() if figure is None), None)
    if missing is not None:
        needed = f"has no {missing}, which error correction needs"
        way_out = "give it, or assume gates that never fail (--error-correction perfect)"
        return f"profile {hardware.name} {needed}; {way_out}"
    machine = Timed.of(hardware, physical_error)
    way_out = "state a lower one (--physical-error) to price it all the same"
    if machine.error >= THRESHOLD:
        above = f"is above threshold: its error {machine.error:g} is not below {THRESHOLD:g}"
        return f"{hardware.name} {above}, where error correction starts to help; {way_out}"
    if machine.t_error > MOST_T_ERROR:
        limits = f"distillation needs {MOST_T_ERROR:g} at most; {way_out}"
        return f"{hardware.name} has a T error of {machine.t_error:g}; {limits}"
    return None
