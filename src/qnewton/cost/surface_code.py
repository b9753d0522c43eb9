"""Distance, physical qubits and seconds of circuits under the surface code, in closed form."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qnewton.cost.constants import THRESHOLD, Constants
from qnewton.records import QuantumHardware

MOST_T_ERROR = 0.05
"""Largest physical error of a T state that is distilled here: 15-to-1 fails with 15 times it."""

_LOGICAL_QUBITS, _CYCLES = 20, 13  # of a 15-to-1 unit, the estimator's "space efficient" one
_FROM_CUBE, _FROM_CLIFFORD = 35.0, 7.1  # its output error: 35·e³ + 7.1·P
_MOST_T_A_CYCLE = 4 / 3  # 4 a Toffoli, which takes 3 cycles
_MOST_ROUNDS = 12  # each cubes the error, so that any float64 is reached


@dataclass(frozen=True, kw_only=True)
class Timed:
    """The figures of a quantum machine that prices read, as numbers or arrays.

    Attributes:
        gate_s: Seconds of a two-qubit gate.
        readout_s: Seconds of a measurement; ``None`` where the profile has none.
        error: The larger error of two-qubit gates and measurements; ``None`` likewise.
        t_error: Error of a physical T state; ``None`` likewise.
    """

    gate_s: Any
    readout_s: Any = None
    error: Any = None
    t_error: Any = None

    @classmethod
    def of(cls, hardware: QuantumHardware, physical_error: float | None = None) -> "Timed":
        """Return a machine's figures, its errors replaced where an override is stated."""
        readout = hardware.readout_time_s
        figures = cls(
            gate_s=hardware.gate_time_s.value, readout_s=None if readout is None else readout.value
        )
        if physical_error is not None:
            return replace(figures, error=physical_error, t_error=physical_error)
        known = (hardware.two_qubit_error, hardware.readout_error)
        if known[0] is None or known[1] is None:
            return figures
        error = max(known[0].value, known[1].value)
        t_error = error if hardware.t_error is None else hardware.t_error.value
        return replace(figures, error=error, t_error=t_error)


@dataclass(frozen=True, kw_only=True)
class Factories:
    """T factories that keep up with a circuit, as numbers or arrays.

    Attributes:
        count: How many work in parallel; 0 where T states are good as they are.
        qubits: Physical qubits of one.
        distances: Code distance of each round, the first round last; 0 where there is none.
    """

    count: Any
    qubits: Any
    distances: tuple[Any, ...]

    @property
    def physical_qubits(self) -> Any:
        """Physical qubits of all."""
        return self.count * self.qubits


def t_factories(
    t_states: Any, error: Any, t_error: Any, budget: Any, constants: Constants
) -> Factories:
    """Return factories whose T states all are right but for a given chance.

    From the last round back: a round whose output may err with e has the least odd distance d with
    7.1·P(d) ≤ e/2, and takes states of error (e/70)^(1/3), until physical ones are as good. Round
    i from the last holds u^i units of 20·2d² qubits, u = ⌈15/(1-15·p_T)⌉ + 1; rounds follow each
    other in the same place. A unit takes 13 cycles at its own distance, at most half of the next
    round's, and 4/3 T states a cycle are used at most, so 13·(2 - 2^{1-r})·4/3 factories keep up.
    No part falls as more states are asked for.

    Args:
        t_states: T states of the circuit.
        error: Physical error of Clifford gates and measurements, below the threshold.
        t_error: Physical error of a T state, at most :data:`MOST_T_ERROR`.
        budget: Chance that any of them is wrong.
        constants: The code's prefactor, and the size of its patches.

    Cost: a few array operations per round.

    Reference: Beverland et al., arXiv:2211.07629, Appendix C; the constants (20 qubits, 13 cycles,
    35 and 7.1) reproduce what qdk 1.33.1 reports of its factories.

    Example:
        >>> found = t_factories(4e9, 1e-3, 1e-3, 5e-3, Constants.likely())
        >>> int(found.count), int(found.qubits), [int(d) for d in found.distances]
        (26, 55080, [23, 9])
    """
    log_need = np.log(budget) - np.log(np.maximum(t_states, 1.0))
    units = np.ceil(15 / (1 - 15 * np.asarray(t_error))) + 1
    with np.errstate(divide="ignore"):
        log_t = np.log(t_error)
    rounds, qubits, distances = np.zeros(np.shape(log_need + log_t)), 0.0, []
    while np.any(working := log_t > log_need) and len(distances) < _MOST_ROUNDS:
        half = np.log(2 * _FROM_CLIFFORD) - log_need
        distance = np.where(working, _distance(half, error, constants), 0.0)
        patch = np.where(working, 2 * (distance + constants.patch) ** 2, 0.0)
        qubits = np.maximum(qubits, units ** len(distances) * _LOGICAL_QUBITS * patch)
        distances.append(distance)
        rounds = rounds + working
        log_need = np.where(working, (log_need - np.log(2 * _FROM_CUBE)) / 3, log_need)
    count = np.ceil(_MOST_T_A_CYCLE * _CYCLES * (2 - 2.0 ** (1 - rounds)))
    return Factories(
        count=np.where(rounds > 0, count, 0.0), qubits=qubits, distances=tuple(distances)
    )


def _distance(log_excess: Any, error: Any, constants: Constants) -> Any:
    """Return the least odd D at which prefactor·(p/p_th)^((D+1)/2) falls below e^-log_excess."""
    with np.errstate(divide="ignore"):
        log_base = math.log(THRESHOLD) - np.log(error)
    steps = np.ceil((np.log(constants.prefactor) + log_excess) / log_base)
    return 2 * np.maximum(1.0, steps) - 1


@dataclass(frozen=True, kw_only=True)
class SurfaceCode:
    """Circuits under the surface code, as numbers or arrays.

    Attributes:
        distance: Code distance D.
        cycle_s: Seconds of a logical cycle.
        cycles: Logical cycles in sequence: the depth.
        physical_qubits: All of them, factories included.
        factories: Those of T states.
    """

    distance: Any
    cycle_s: Any
    cycles: Any
    physical_qubits: Any
    factories: Factories

    @property
    def seconds(self) -> Any:
        """The runtime."""
        return self.cycles * self.cycle_s


def surface_code(
    qubits: Any, toffoli: Any, t_gates: Any, machine: Timed, failure: Any, constants: Constants
) -> SurfaceCode:
    """Return what circuits take that fail with at most a given chance.

    p_L = 0.03·(p/0.01)^((D+1)/2) a logical qubit and cycle, p the larger of two-qubit and readout
    error; D the least odd distance at which half of ``failure`` covers all qubits and cycles
    (3 a Toffoli, 1 a T gate); a cycle takes (4·t_2q + 2·t_meas)·D, and the 2Q + ⌈√(8Q)⌉ + 1
    logical qubits of Q in a layout take 2D² physical ones each; the other half of ``failure``
    covers the T states of :func:`t_factories`.

    Args:
        qubits: Logical qubits Q.
        toffoli: Toffoli gates, in sequence.
        t_gates: T gates beside them.
        machine: Times and errors, all of them known and below the threshold.
        failure: Chance of a failed run, in (0, 1).
        constants: Prefactor, time of a round, size of a patch, cycles of a Toffoli.

    Cost: some 60 array operations.

    Reference: Beverland et al., arXiv:2211.07629.

    Example:
        >>> figures = Timed(gate_s=50e-9, readout_s=1e-7, error=1e-3, t_error=1e-3)
        >>> run = surface_code(1000, 2.2e9, 0.0, figures, 1e-2, Constants.likely())
        >>> f"{float(run.seconds) / 86400:.2f} days, distance {run.distance:.0f}"
        '0.82 days, distance 27'
    """
    cycles = constants.toffoli_cycles * toffoli + t_gates
    distance = code_distance(qubits, cycles, machine.error, failure, constants)
    states = 4 * toffoli + t_gates
    known = (machine.error, machine.t_error, failure / 2, constants)
    factories = t_factories(states, *known)
    return SurfaceCode(
        distance=distance,
        cycle_s=round_seconds(machine.gate_s, machine.readout_s, constants) * distance,
        cycles=cycles,
        physical_qubits=laid_out(qubits) * 2 * (distance + constants.patch) ** 2
        + factories.count * factories.qubits,
        factories=factories,
    )


def code_distance(qubits: Any, cycles: Any, error: Any, failure: Any, constants: Constants) -> Any:
    """Return the least odd distance at which half of ``failure`` covers all qubits and cycles.

    Args:
        qubits: Logical qubits Q.
        cycles: Logical cycles in sequence.
        error: Physical error, below the threshold.
        failure: Chance of a failed run, in (0, 1).
        constants: The code's prefactor.
    """
    chances = np.log(laid_out(qubits)) + np.log(np.maximum(cycles, 1.0)) - np.log(failure / 2)
    return _distance(chances, error, constants)


def round_seconds(gate_s: Any, readout_s: Any, constants: Constants) -> Any:
    """Return the seconds of one round of error correction; a logical cycle takes D of them."""
    return constants.cycle * (4 * gate_s + 2 * readout_s)


def laid_out(qubits: Any) -> Any:
    """Return the logical qubits of Q in a layout: 2Q + ⌈√(8Q)⌉ + 1."""
    return 2 * qubits + np.ceil(np.sqrt(8 * np.asarray(qubits))) + 1
