"""What one quantum solve takes, from queries to seconds, on arrays of systems and assumptions."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qnewton import queries
from qnewton.cost.arrays import per_pair
from qnewton.cost.audit import Audit, states_read
from qnewton.cost.budget import WIDENED, ErrorBudget
from qnewton.cost.constants import Constants
from qnewton.cost.encodings import ROTATION_T, Encoding, rotation_tree
from qnewton.cost.surface_code import SurfaceCode, Timed, surface_code
from qnewton.cost.tomography import tomography_shots
from qnewton.queries import clock
from qnewton.records import Amplitudes

_LARGEST_CONDITION = 1e150  # κ_be, whose square has to be a float64


@dataclass(frozen=True, kw_only=True)
class Part:
    """One kind of call: how often it is made for a state, and its gates.

    Attributes:
        name: As price tables have it.
        calls: Expected calls per state, failed attempts included.
        toffoli: Toffoli gates of a call.
        t_gates: T gates beside them.
    """

    name: str
    calls: Any
    toffoli: Any
    t_gates: Any


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Systems, each with a block-encoding, that one algorithm solves; arrays of shape [points].

    Attributes:
        encodings: The distinct encodings.
        which: Index of each point's own among them.
        n: Unknowns N.
        kappa: Condition number of A.
        epsilon: Error of the vector that is read.
        gain: ‖(A/‖A‖₂)⁻¹b̂‖, from 1 to κ; ``None`` where nobody knows.
        machine: The quantum machine.
        shapes: By encoding, the shape of the solution that is read; ``None`` for the worst.
    """

    encodings: tuple[Encoding, ...]
    which: Any
    n: Any
    kappa: Any
    epsilon: Any
    machine: Timed
    shapes: tuple[Amplitudes | None, ...]
    gain: Any = None

    @property
    def alpha(self) -> Any:
        """α/‖A‖₂ of each point's encoding."""
        return np.array([encoding.alpha for encoding in self.encodings])[self.which]


@dataclass(frozen=True, kw_only=True)
class StatePrice:
    """What solution states cost a quantum machine; arrays of one shape.

    Attributes:
        parts: What makes one state.
        count: Queries of the algorithm.
        budget: How the error was split.
        logical_qubits: Of one run.
        code: Error correction of one run; ``None`` where gates never fail.
        gate_s: Seconds of a gate.
        toffoli_cycles: Logical cycles of a Toffoli gate.
        states: States made to read the vector.
    """

    parts: tuple[Part, ...]
    count: queries.QueryCounts
    budget: ErrorBudget
    logical_qubits: Any
    code: SurfaceCode | None
    gate_s: Any
    toffoli_cycles: Any
    states: Any

    @property
    def toffoli(self) -> Any:
        """Toffoli gates of a state."""
        return sum(part.calls * part.toffoli for part in self.parts)

    @property
    def t_gates(self) -> Any:
        """T gates of a state, in no Toffoli."""
        return sum(part.calls * part.t_gates for part in self.parts)

    @property
    def state_s(self) -> Any:
        """Seconds of a state."""
        return self.bare_s if self.code is None else self.code.seconds

    @property
    def bare_s(self) -> Any:
        """Seconds of a state on gates that never fail."""
        return self.gate_s * (self.toffoli_cycles * self.toffoli + self.t_gates)

    @property
    def seconds(self) -> Any:
        """Seconds of all states."""
        return self.states * self.state_s

    def terms(self) -> dict[str, Any]:
        """Return the seconds that each term adds to those before it; they add up to all."""
        bare = {
            part.name: self.gate_s
            * part.calls
            * (self.toffoli_cycles * part.toffoli + part.t_gates)
            for part in self.parts
        }
        return {
            **bare,
            "error correction": np.maximum(0.0, self.state_s - self.bare_s),
            "read-out": (self.states - 1) * self.state_s,
        }


@dataclass(frozen=True)
class Called:
    """What one call of U_A and one of U_b take, which no algorithm changes.

    Attributes:
        encoding: Toffoli gates, T gates, workspace and ancillas of U_A.
        preparation: Toffoli gates, T gates and workspace of U_b.
    """

    encoding: Any
    preparation: Any

    @classmethod
    def of(cls, asked: Asked, audit: Audit, budget: ErrorBudget, constants: Constants) -> "Called":
        """Return that of systems, as :func:`state_price` takes them."""
        encoded = asked.alpha * asked.kappa
        return cls(
            encoding=_encoded_gates(asked, encoded, budget.entries),
            preparation=_preparation_gates(asked, budget.rhs, audit, constants),
        )


def state_price(
    asked: Asked,
    algorithm: str,
    audit: Audit,
    budget: ErrorBudget,
    constants: Constants,
    called: Called | None = None,
) -> StatePrice:
    """Return what systems cost by one algorithm.

    Args:
        asked: The systems, shape [points].
        algorithm: A key of :data:`qnewton.queries.ALGORITHMS`.
        audit: Which theorem counts, what reads tables and the vector, what corrects errors.
        budget: The error's parts; broadcasts with the points, as ``constants`` do.
        constants: What no theorem fixes.
        called: Gates of the calls, where they are counted already.

    Returns:
        Arrays of the shape that all of these broadcast to; not finite where a number overflows.

    Cost: some 150 array operations, and gate counts once per distinct encoding and number of bits.
    """
    encoded = asked.alpha * asked.kappa
    count = _count(asked, algorithm, audit, budget, constants)
    expected, preparations = count.expected, count.state_preparations
    if queries.knows_norm(audit.query_set) and count.instance is not None:
        # Who knows the norm of the solution knows how often an attempt succeeds.
        expected, preparations = count.instance, count.instance_preparations
    expected = np.where(encoded < _LARGEST_CONDITION, expected, np.inf)
    counted = called or Called.of(asked, audit, budget, constants)
    encoding, prepared = counted.encoding, counted.preparation
    # A reflection about a ancillas, its control, and one rotation, at every query. Q/p, which holds
    # the retries of every count, is above the Q/√p that amplifies a rotation's error.
    log_error = np.log2(budget.rotations) - np.log2(expected)
    turns = _rotation_t_gates(log_error, constants.rotation_slope)
    parts = (
        Part(name="block-encoding", calls=expected, toffoli=encoding[0], t_gates=encoding[1]),
        Part(
            name="state preparation",
            calls=preparations,
            toffoli=prepared[0],
            t_gates=prepared[1],
        ),
        Part(
            name="solver",
            calls=expected,
            toffoli=constants.reflection * encoding[3] + 3,
            t_gates=turns,
        ),
    )
    workspace = np.ceil(np.maximum(encoding[2], prepared[2]))
    registers = _registers(algorithm, encoded, budget.solver)
    qubits = _levels(asked.n) + encoding[3] + registers + workspace
    toffoli = sum(part.calls * part.toffoli for part in parts)
    t_gates = sum(part.calls * part.t_gates for part in parts)
    code = None
    if audit.error_correction != "perfect":
        counts = (qubits, toffoli, t_gates)
        code = surface_code(*counts, asked.machine, audit.error_budget, constants)
    return StatePrice(
        parts=parts,
        count=count,
        budget=budget,
        logical_qubits=qubits,
        code=code,
        gate_s=asked.machine.gate_s,
        toffoli_cycles=constants.toffoli_cycles,
        states=states_made(asked, budget.readout, audit, constants),
    )


def _count(
    asked: Asked, algorithm: str, audit: Audit, budget: ErrorBudget, constants: Constants
) -> queries.QueryCounts:
    """Return the queries of an algorithm, which is promised a κ_be that rounding may not break."""
    encoded = np.minimum(asked.alpha * asked.kappa * WIDENED, _LARGEST_CONDITION)
    proven = algorithm == "costa" and audit.query_set == "rigorous"
    error = np.asarray(budget.relative if algorithm == "qsvt" else budget.solver)
    where = None
    if error.ndim > 1 and error.shape[-2] > 1:
        # Many splits give the solver the same share, and each share is counted once.
        error, where = np.unique(error, axis=-2, return_inverse=True)
    count = queries.attempt(
        algorithm,  # pyright: ignore[reportArgumentType]  # a key of queries.ALGORITHMS
        audit.query_set,
        kappa=encoded,
        epsilon=error,
        gain=None if asked.gain is None else asked.alpha * asked.gain,
        guess_factor=audit.guess_factor,
        constant=constants.adiabatic if proven else None,
    )
    if where is None:
        return count
    arrays = {name: value for name, value in vars(count).items() if isinstance(value, np.ndarray)}
    again = {name: np.take(value, where.ravel(), axis=-2) for name, value in arrays.items()}
    return replace(count, **again)


def _registers(algorithm: str, encoded: Any, epsilon: Any) -> Any:
    """Return the qubits beside the system and the block-encoding: HHL's clock, or 6."""
    if algorithm == "hhl":
        return clock.clock_qubits(encoded, epsilon) + 1
    return 6  # Li et al., arXiv:2405.00252, II-E, for Jennings et al.


def states_made(asked: Asked, tolerance: Any, audit: Audit, constants: Constants) -> Any:
    """Return the states that are made to read the vector to an error."""
    per = constants.provable_shots if audit.readout == "provable" else constants.shots
    states = states_read(asked.n, tolerance, audit.readout, per)
    if audit.readout != "simulated" or not any(asked.shapes):
        return states
    found = np.array(states)
    wanted = np.broadcast_to(tolerance, found.shape)
    for place, amplitudes in enumerate(asked.shapes):
        if amplitudes is not None:
            at = asked.which == place
            found[..., at] = tomography_shots(amplitudes, wanted[..., at])
    return found


def _encoded_gates(asked: Asked, encoded: Any, error: Any) -> Any:
    """Return Toffoli gates, T gates, workspace and ancillas of one call of U_A."""
    extra = np.array([encoding.extra_bits for encoding in asked.encodings])[asked.which]
    bits = np.maximum(1.0, np.ceil(np.log2(encoded) - np.log2(error) + extra))

    def gates(which: int, bits: int) -> tuple[float, ...]:
        encoding = asked.encodings[which]
        call = encoding.gates(bits)
        return call.toffoli, call.t_gates, call.workspace, float(encoding.ancillas(bits))

    return per_pair(gates, asked.which, _whole(bits))


def _preparation_gates(asked: Asked, error: Any, audit: Audit, constants: Constants) -> Any:
    """Return Toffoli gates, T gates and workspace of one call of U_b."""
    # Errors in b come back amplified by up to κ_be.
    log_error = np.log2(error) - np.log2(asked.alpha * asked.kappa)
    levels = _levels(asked.n)
    if audit.preparation == "rotations":
        # One angle a branch, each to its share of the error.
        each = _rotation_t_gates(log_error - levels, constants.rotation_slope)
        t_gates = np.where(levels > 0, 2.0**levels * each, 0.0)
        return np.zeros_like(t_gates), t_gates, np.zeros_like(t_gates)
    bits = np.maximum(1.0, np.ceil(np.log2(2 * math.pi * np.maximum(1.0, levels)) - log_error))

    def gates(levels: int, bits: int) -> tuple[float, ...]:
        call = rotation_tree(1 << levels, 1, max(1, bits), audit.tables)
        return call.toffoli, call.t_gates, call.workspace

    return per_pair(gates, levels, _whole(bits))


def _rotation_t_gates(log_error: Any, slope: Any) -> Any:
    """Return T gates that synthesise a rotation to an error given by its log2."""
    return np.maximum(0.0, ROTATION_T[1] - slope * log_error)


def _levels(n: Any) -> Any:
    """Return ⌈log2 N⌉ of whole numbers below 2^53, exactly."""
    return np.frexp(np.asarray(n, np.float64) - 1.0)[1]


def _whole(bits: Any) -> Any:
    """Return bits as integers; of a number that overflowed 1, for its price is not finite."""
    return np.where(np.isfinite(bits), bits, 1.0).astype(np.int64)
