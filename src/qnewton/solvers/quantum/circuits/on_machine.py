"""A quantum solver whose state is read on a machine, with the noise that it has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from qiskit.circuit import Qubit
from qiskit.primitives import BaseSamplerV2
from qiskit.providers import BackendV2

from qnewton.records import Outcome
from qnewton.solvers.quantum.algorithm import Posed
from qnewton.solvers.quantum.circuits.backends import named_backend
from qnewton.solvers.quantum.circuits.gate_by_gate import applied_by
from qnewton.solvers.quantum.circuits.measured import CircuitOutcomes, Counts, distribution
from qnewton.solvers.quantum.circuits.sampling import Machine
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit
from qnewton.solvers.quantum.execution import Executed
from qnewton.solvers.quantum.promise import SystemRefused
from qnewton.solvers.quantum.readout import Readout


@dataclass(frozen=True)
class OnMachine:
    """Runs the circuits that measure a solver's state on a machine, or on a sampler.

    Only what is read has the machine's noise: the state, its chances and the queries in the
    solution are those of the circuit without noise. A circuit is run until it has succeeded as
    often as the read-out has shots.

    Attributes:
        backend: Any machine or sampler of Qiskit's kind, or the name of a machine's model.
        max_unknowns: Largest system; the circuit of 8 unknowns takes 100 two-qubit gates per query
            and 350 while it is interfered.
        max_queries: Most queries in one attempt.
        max_attempts: Most attempts to have one circuit succeed as often as it has to.

    Cost: on the model of a machine a second or two per circuit up to 4 unknowns, which are two
    for a read-out by amplitudes and one per component for the others.

    Example:
        >>> import torch
        >>> from qnewton.solvers.quantum import Emulator
        >>> matrix = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
        >>> on_machine = OnMachine("fake_manila")
        >>> emulator = Emulator(matrix, epsilon=0.1, execution=on_machine)
        >>> solved = emulator.solve(torch.tensor([1.0, 0.2]), Readout(shots=4_000))
        >>> solved.execution, bool(solved.direction[0] > solved.direction[1].abs())
        ('fake_manila', True)
    """

    backend: BackendV2 | BaseSamplerV2 | str
    max_unknowns: int = 8
    max_queries: int = 32
    max_attempts: int = 1_000_000

    @property
    def name(self) -> str:
        """What records call it."""
        if isinstance(self.backend, str):
            return self.backend
        return getattr(self.backend, "name", None) or type(self.backend).__name__

    def check(self, n: int) -> None:
        """Raise ``ValueError`` for a system that is too large, or a machine that is not known."""
        self._loaded()  # raises on a name that is not known
        if n > self.max_unknowns:
            raise ValueError(
                f"the system has {n:,} unknowns; {self.name} runs at most {self.max_unknowns}: "
                "simulate the circuit without noise, or take a smaller one"
            )

    def check_readout(self, readout: Readout | None) -> None:
        """Raise ``ValueError`` for the ideal read-out, which would show no noise at all."""
        if readout is None:
            raise ValueError(
                f"{self.name} gives shots and no state; give a read-out with shots, such as "
                "Readout(shots=10_000), or --readout amplitude --shots 10000"
            )

    def run(self, posed: Posed) -> Executed:
        """Simulate the circuit of one system without noise; its outcomes are the machine's."""
        if posed.solver.queries > self.max_queries:
            calls = posed.solver.queries
            message = f"one attempt needs {calls:,} calls of the block-encoding, and {self.name} "
            message += f"runs at most {self.max_queries}; add damping, or raise epsilon"
            detail = f"{calls:,} above {self.max_queries}"
            raise SystemRefused(Outcome.DEGREE_TOO_HIGH, message, detail)
        applied, attempt = applied_by(posed)

        def outcomes(generator: np.random.Generator) -> CircuitOutcomes:
            shots = MachineShots(self._loaded(), generator, self.max_attempts)
            return CircuitOutcomes(attempt, shots)

        return Executed(applied=applied, outcomes=outcomes)

    def _loaded(self) -> BackendV2 | BaseSamplerV2:
        return _named(self.backend) if isinstance(self.backend, str) else self.backend


@lru_cache(maxsize=8)
def _named(name: str) -> BackendV2:
    """Return the model of a machine, whose noise takes a second to load."""
    return named_backend(name)


@dataclass(frozen=True)
class MachineShots:
    """Repeats a circuit on a machine until it has succeeded so often.

    Attributes:
        backend: The machine.
        generator: What seeds a simulated machine, and picks the successes that count.
        most: Most attempts.
    """

    backend: BackendV2 | BaseSamplerV2
    generator: np.random.Generator
    most: int

    def counts(self, attempt: SolverCircuit, kept: Sequence[Qubit], successes: int) -> Counts:
        """Return how often each value of some qubits was seen among the first successes."""
        found = np.zeros(1 << len(kept), dtype=np.int64)
        share, attempts = float(distribution(attempt, kept).sum()), 0
        while (missing := successes - int(found.sum())) > 0:
            batch = min(math.ceil(1.2 * missing / share) + 20, self.most - attempts)
            if batch <= 0:
                message = f"{attempts:,} attempts succeeded {found.sum():,} times, and "
                message += f"{successes:,} shots were asked for; take fewer, or add damping"
                raise SystemRefused(Outcome.NO_SUCCESS, message)
            machine = Machine(self.backend, int(self.generator.integers(2**31)))
            found += machine.counts(attempt, kept, batch)
            attempts += batch
            share = max(int(found.sum()), 1) / attempts
        # Which successes come first does not depend on what they show.
        return self.generator.multivariate_hypergeometric(found, successes)
