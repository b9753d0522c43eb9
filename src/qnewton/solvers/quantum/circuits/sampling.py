"""What shots leave of a solver's state: drawn exactly, or on a machine with its noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Qubit
from qiskit.primitives import BackendSamplerV2, BaseSamplerV2
from qiskit.providers import BackendV2

from qnewton.records.messages import check
from qnewton.solvers.quantum.circuits.interference import interfered
from qnewton.solvers.quantum.circuits.measured import on_success
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit
from qnewton.solvers.quantum.circuits.transpiling import in_basis, transpiled

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST_SHOTS = 2**62
"""Shots that are drawn at most, for numbers of 64 bits."""

MOST_ON_MACHINES = 10_000_000
"""Shots that a machine, or the model of one, is asked for at most: it keeps each outcome."""

MOST_NOISE = 10**11
"""Limit of gates · 2^q · min(shots, 2^q), q the qubits, for a machine that is simulated: about ten
minutes of one core."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What was read of a state by two-stage tomography.

    Attributes:
        shots: Shots in all, half of them for the magnitudes and half for the signs.
        successes: Those of the first half in which the attempt succeeded.
        counts: Outcomes of each component among them, shape [N].
        vector: The estimate of the state, of unit length, shape [N]; ``None`` where no attempt
            succeeded or every component was seen with either sign equally often.
    """

    shots: int
    successes: int
    counts: Counts = field(repr=False)
    vector: Array | None = field(repr=False)

    @property
    def success_probability(self) -> float:
        """The share of attempts that succeeded."""
        return self.successes / (self.shots // 2)

    @property
    def magnitudes(self) -> Array | None:
        """The square roots of the shares of each component; ``None`` where nothing succeeded."""
        return np.sqrt(self.counts / self.successes) if self.successes else None


def sampled(
    attempt: SolverCircuit,
    shots: int,
    backend: BackendV2 | BaseSamplerV2 | None = None,
    seed: int | None = None,
) -> Samples:
    """Return what measuring a solver's circuit gives.

    Half of the shots measure every qubit: of those that succeeded, the shares c_j/Σc are x_j². The
    other half interfere the state with the magnitudes read before: the larger count is the sign.

    Args:
        attempt: The solver's circuit.
        shots: In all, 2 at least.
        backend: A machine with a ``run`` of its own, as models of machines have; or a sampler,
            such as ``Sampler(mode=machine)`` of a provider. ``None`` draws from the exact
            distribution. The circuit is transpiled to the machine; for a sampler that names none,
            to CNOT and one-qubit gates.
        seed: Of the outcomes that are drawn or simulated, and of the routing; a sampler brings
            its own for the outcomes.

    Raises:
        ValueError: If there are too few or too many shots, the circuit does not fit on the
            machine, or its noise takes too long to simulate.

    Cost: two circuits are run, the second with every gate of the attempt controlled.

    Reference: Kerenidis and Prakash, arXiv:1812.00054 (two-stage tomography).

    Example:
        >>> import torch
        >>> from qnewton.solvers.quantum.circuits import solver_circuit
        >>> matrix = torch.tensor([[2.0, 1.0], [1.0, -3.0]]).double()
        >>> attempt = solver_circuit(matrix, torch.tensor([3.0, -2.0]).double(), epsilon=1e-3)
        >>> sampled(attempt, 10**9, seed=0).vector.round(2).tolist()
        [0.71, 0.71]
    """
    most = MOST_SHOTS if backend is None else MOST_ON_MACHINES
    check("shots", shots, f"must be from 2 to {most:,}", 2 <= shots <= most)
    machine, n = Machine(backend, seed), attempt.n
    # What noise leaves beyond the unknowns has failed, too.
    counts = machine.counts(attempt, attempt.system, shots // 2)[:n]
    successes = int(counts.sum())
    vector = None
    if successes:
        magnitudes = np.sqrt(counts / successes)
        read = interfered(attempt, magnitudes, successes / (shots // 2))
        kept = [*attempt.system, read.test]
        plus, minus = np.split(machine.counts(read.attempt, kept, shots - shots // 2), 2)
        signed = magnitudes * np.sign(plus - minus)[:n]
        length = math.sqrt(signed @ signed)
        vector = signed / length if length else None
    return Samples(shots=shots, successes=successes, counts=counts, vector=vector)


@dataclass(frozen=True)
class Machine:
    """Whatever runs a circuit: a sampler, a machine, or the exact distribution."""

    backend: BackendV2 | BaseSamplerV2 | None
    seed: int | None

    def counts(self, attempt: SolverCircuit, kept: Sequence[Qubit], shots: int) -> Counts:
        """Run so many shots; count those that succeeded by the values of some qubits."""
        values, times = self._outcomes(attempt, shots)
        return on_success(attempt, kept, values, times).astype(np.int64)

    def _outcomes(self, attempt: SolverCircuit, shots: int) -> tuple[Counts, Counts]:
        """Return the values that all qubits were measured with, and how often."""
        if self.backend is None:
            chances = np.abs(attempt.amplitudes) ** 2
            drawn = np.random.default_rng(self.seed).multinomial(shots, chances / chances.sum())
            (values,) = np.nonzero(drawn)
            return values, drawn[values]
        circuit = attempt.circuit
        measured = circuit.copy()
        register = ClassicalRegister(circuit.num_qubits, "outcome")
        measured.add_register(register)
        measured.measure(circuit.qubits, register)
        sampler, ready = self._ready(self.backend, measured)
        if isinstance(sampler, BackendSamplerV2):
            check_noise(ready, shots)
        data: Any = sampler.run([ready], shots=shots).result()[0].data
        found = data.outcome.get_int_counts()
        values, times = ([*found], [*found.values()])
        return np.array(values, dtype=np.int64), np.array(times, dtype=np.int64)

    def _ready(
        self, backend: BackendV2 | BaseSamplerV2, circuit: QuantumCircuit
    ) -> tuple[BaseSamplerV2, QuantumCircuit]:
        """Return what samples, and the circuit in gates that it takes."""
        seed = self.seed or 0
        if isinstance(backend, BackendV2):
            options = None if self.seed is None else {"seed_simulator": self.seed}
            sampler = BackendSamplerV2(backend=backend, options=options)
            return sampler, transpiled(circuit, backend, seed)
        machine = getattr(backend, "backend", None)
        machine = machine() if callable(machine) else machine
        if isinstance(machine, BackendV2):
            return backend, transpiled(circuit, machine, seed)
        return backend, in_basis(circuit, seed)


def check_noise(circuit: QuantumCircuit, shots: int) -> None:
    """Raise ``ValueError`` if so many shots of a transpiled circuit take too long to simulate."""
    gates, qubits = len(circuit.data), len({q for each in circuit.data for q in each.qubits})
    work = gates * min(shots, 1 << qubits) << qubits
    if work > MOST_NOISE:
        limit = f"{shots:,} shots take about {work / MOST_NOISE:,.0f} times the ten minutes"
        raise ValueError(
            f"the noise of {gates:,} gates on {qubits} qubits is not simulated: {limit} that are "
            "allowed; take fewer shots, unknowns, clock qubits or calls"
        )
