"""From logical counts to physical qubits and seconds: Microsoft's estimator, or a closed form."""

import importlib.util
import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from qnewton.cost.factories import CROSSING_PREFACTOR, MOST_T_ERROR, THRESHOLD, t_factories
from qnewton.records import QuantumHardware

ErrorCorrection = Literal["auto", "qdk", "closed-form", "perfect"]

# The estimator counts in 64-bit integers and rounds times to nanoseconds without a word: it is
# given times in units of its own, whose ratio alone matters to it, and seconds are computed here.
_MOST_COUNTED = 1e13
_LAST_COUNT = 9_999_999_999_999
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
    the budget covers the T states of :func:`qnewton.cost.factories.t_factories`.

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
    if not 0 < error_budget < 1:
        raise ValueError(f"error_budget is {error_budget!r}; it must lie between 0 and 1")
    if physical_error is not None and not 0 < physical_error < THRESHOLD:
        raise ValueError(
            f"physical_error is {physical_error!r}; it must be above 0 and below the surface "
            f"code's threshold {THRESHOLD:g}"
        )
    run = _Run(hardware, (n_qubits, toffoli, t_gates), error_budget, physical_error)
    if method == "perfect":
        return Corrected(
            seconds=run.cycles * hardware.gate_time_s.value,
            method="perfect",
            assumptions=("gates never fail: no error correction, a logical cycle is one gate",),
        )
    error, refused = _physical_error(hardware, physical_error)
    if error is None:
        return Corrected(method=method, refused=refused)
    notes = ()
    if physical_error is not None:
        notes = (f"override: error probabilities of {physical_error:g} in place of the machine's",)
    installed = importlib.util.find_spec("qdk") is not None
    if method == "qdk" and not installed:
        raise ValueError(
            "error_correction is 'qdk', which is not installed; run `pip install qdk`, or use "
            "closed-form"
        )
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
        return Corrected(
            method="closed-form",
            refused=(
                f"{run.hardware.name} has a T error of {t_error:g}; distillation needs "
                f"{MOST_T_ERROR:g} at most; state an override (physical_error)"
            ),
        )
    laid_out = 2 * n_qubits + math.ceil(math.sqrt(8 * n_qubits)) + 1
    log_chances = math.log(laid_out) + math.log(max(run.cycles, 1.0)) - math.log(run.budget / 2)
    log_need = math.log(CROSSING_PREFACTOR) + log_chances
    steps = math.ceil(log_need / (math.log(THRESHOLD) - math.log(error))) if error > 0 else 1
    distance = 2 * max(1, steps) - 1
    factories = t_factories(4 * toffoli + t_gates, error, t_error, run.budget / 2)
    return Corrected(
        seconds=run.cycles * run.cycle_s(distance),
        physical_qubits=math.ceil(laid_out) * 2 * distance**2 + factories.physical_qubits,
        method="closed-form",
        code_distance=distance,
        assumptions=(
            *notes,
            "error correction by the closed form of FORMULAS 23; T states from factories in "
            f"parallel, 15-to-1 in {len(factories.distances)} rounds, {factories.count} of them",
        ),
    )


def _at_least(closed: Corrected, edge: Corrected) -> Corrected:
    """Return the closed form, raised to what the estimator says of the largest counts it takes."""
    if edge.seconds is None or edge.physical_qubits is None:
        return closed
    return replace(
        closed,
        seconds=max(closed.seconds or 0.0, edge.seconds),
        physical_qubits=max(closed.physical_qubits or 0, edge.physical_qubits),
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
    gate, measurement = (
        f"{round(_UNITS * min(_MOST_RATIO, seconds / min(times)))} ns" for seconds in times
    )
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
        assumptions=(
            *notes,
            "error correction by Microsoft's estimator: surface code, one-qubit gates as good and "
            f"as fast as two-qubit ones, T gates as fast{as_good}",
        ),
    )


def _physical_error(
    hardware: QuantumHardware, override: float | None
) -> tuple[float | None, str | None]:
    needed = {"readout_time_s": hardware.readout_time_s}
    if override is None:
        needed |= {
            "two_qubit_error": hardware.two_qubit_error,
            "readout_error": hardware.readout_error,
        }
    missing = next((name for name, figure in needed.items() if figure is None), None)
    if missing is not None:
        return None, (
            f"profile {hardware.name} has no {missing}, which error correction needs; give it, "
            "or assume perfect gates"
        )
    if override is not None:
        return override, None
    errors = (hardware.two_qubit_error, hardware.readout_error)
    error = max(figure.value for figure in errors if figure is not None)
    if error >= THRESHOLD:
        return None, (
            f"{hardware.name} is above threshold: its error {error:g} is not below "
            f"{THRESHOLD:g}, where error correction starts to help; state an override "
            "(physical_error) to price it all the same"
        )
    return error, None
