"""What does the noise of today's machine leave of a Newton step that a circuit solves?

HHL and QSVT solve the systems of 4 and 16 unknowns of one real training step. Their circuits are
transpiled to FakeSherbrooke, the model of ibm_sherbrooke that qiskit-ibm-runtime brings, and
simulated with the errors of its gates. Hypothetical machines are the same one with errors 10, 100
and 1,000 times smaller. Fidelity is that of the state on success with the exact step.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from qiskit.providers import BackendV2
from qiskit_aer.noise import NoiseModel

from benchmarks.circuit_machines import DEVICE, machine, median_error, noisy, perfect
from benchmarks.circuit_systems import NewtonSystem, newton_systems
from benchmarks.harness import Report, Row, Say, reached
from qnewton.solvers.quantum import Clock
from qnewton.solvers.quantum.circuits import (
    SolverCircuit,
    counted,
    interfered,
    named_backend,
    sampled,
    solver_circuit,
    transpiled,
)

FACTORS = (1, 10, 100, 1000)
"""How many times smaller the errors are; 1 is the device itself."""

SHOTS = 20_000
"""Shots on the device, half of them for the signs."""

READINGS = 5
"""How often a circuit is read out, each time from another seed."""

SAME = 1e-8
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One circuit, and what the pages call it.

    Attributes:
        title: Such as ``HHL, clock of 4 qubits``.
        algorithm: As ``solver_circuit`` takes it.
        arguments: Beside it.
        read: Whether it is read out, too.
    """

    title: str
    algorithm: str
    arguments: Mapping[str, Any]
    read: bool = False

    def attempt(self, system: NewtonSystem) -> SolverCircuit:
        """Return the circuit for a system."""
        return solver_circuit(system.matrix, system.rhs, self.algorithm, **self.arguments)


def hhl(qubits: int, *, read: bool = False) -> Choice:
    """Return HHL with a clock of so many qubits."""
    arguments = {"epsilon": 1e-3, "clock": Clock(qubits=qubits)}
    title = f"HHL, clock of {qubits} qubits"
    return Choice(title=title, algorithm="hhl", arguments=arguments, read=read)


def qsvt(degree: int, epsilon: float, kappa: float | None = None, *, read: bool = False) -> Choice:
    """Return QSVT with the ε, and the promise of κ, that its degree belongs to."""
    arguments = {"epsilon": epsilon, "kappa": kappa}
    title = f"QSVT, degree {degree}"
    return Choice(title=title, algorithm="qsvt", arguments=arguments, read=read)


CHOICES = {
    # Degree 3 is promised κ = 2, half of what is true: the shortest circuit that is of use.
    4: (
        *(qsvt(3, 0.95, 2.0, read=True), qsvt(7, 0.9), qsvt(9, 0.5), qsvt(15, 0.1)),
        *(hhl(3), hhl(4, read=True), hhl(5)),
    ),
    16: (qsvt(7, 0.9), qsvt(11, 0.3), qsvt(15, 0.1), hhl(3), hhl(4)),
}


def measure(say: Say) -> Report:
    """Simulate every circuit on every machine."""
    device = named_backend(DEVICE)
    noise = {factor: NoiseModel.from_backend(machine(factor)) for factor in FACTORS}
    rows: list[Row] = []
    facts: dict[str, Any] = {
        "device": DEVICE,
        "two_qubit_error": median_error(device),
        "shots": SHOTS,
        "versions": {name: version(name) for name in ("qiskit", "qiskit-aer")},
    }
    for n, system in sorted(newton_systems().items()):
        circuits = [_simulated(n, system, choice, device, noise, say) for choice in CHOICES[n]]
        facts[str(n)] = {
            "kappa": system.kappa,
            "gradient_fidelity": system.gradient_fidelity,
            "circuits": circuits,
        }
        rows += [_row(n, found) for found in circuits]
        rows += [_read(n, system, found) for found in circuits if "read" in found]
        off = max(found["off_without_noise"] for found in circuits)
        question = f"{n} × {n}: transpiled circuits without noise, beside the circuits"
        rows.append(
            reached(question, f"≤ {SAME:g}", f"fidelities differ by {off:.0e}", off <= SAME)
        )
    return Report("circuit_noise", rows, facts=facts)


def _simulated(
    n: int,
    system: NewtonSystem,
    choice: Choice,
    device: BackendV2,
    noise: Mapping[int, NoiseModel],
    say: Say,
) -> dict[str, Any]:
    """Return what one circuit leaves on every machine."""
    attempt, exact = choice.attempt(system), system.exact.numpy()
    on_device = transpiled(attempt.circuit, device, SEED)
    counts, whole = counted(on_device), perfect(attempt, exact)
    bare = noisy(attempt, on_device, NoiseModel(), exact)
    left = {factor: noisy(attempt, on_device, each, exact) for factor, each in noise.items()}
    say(f"{n} × {n}, {choice.title}: fidelity {left[1].fidelity:.4f}")
    found = {
        "title": choice.title,
        "qubits": attempt.circuit.num_qubits,
        "queries": attempt.queries,
        "two_qubit_gates": counts.two_qubit_gates,
        "depth": counts.depth,
        "perfect": asdict(whole),
        "off_without_noise": abs(bare.fidelity - whole.fidelity),
        "noisy": {str(factor): asdict(each) for factor, each in left.items()},
    }
    if choice.read:
        signs = interfered(attempt, np.abs(exact), whole.success_probability)
        on_device = transpiled(signs.attempt.circuit, device, SEED)
        found["two_qubit_gates_for_signs"] = counted(on_device).two_qubit_gates
        read = [sampled(attempt, SHOTS, device, SEED + k) for k in range(READINGS)]
        found["read"] = [
            {
                "counts": each.counts.tolist(),
                "cosine": None if each.vector is None else float(exact @ each.vector),
            }
            for each in read
        ]
    return found


def _row(n: int, found: Mapping[str, Any]) -> Row:
    today, then = (found["noisy"][factor]["fidelity"] for factor in ("1", "100"))
    gates = f"{found['two_qubit_gates']:,} two-qubit gates"
    measured = f"{found['perfect']['fidelity']:.3f} with perfect gates, {today:.3f} on {DEVICE} "
    measured += f"({gates}), {then:.3f} with errors 100 times smaller (hypothetical)"
    return Row(f"{n} × {n}, {found['title']}: fidelity", "", measured, "")


def _read(n: int, system: NewtonSystem, found: Mapping[str, Any]) -> Row:
    cosines = sorted(each["cosine"] for each in found["read"] if each["cosine"] is not None)
    question = f"{n} × {n}, {found['title']}: cosine of what {SHOTS:,} shots read on {DEVICE}"
    measured = f"{cosines[0]:.2f} to {cosines[-1]:.2f} in {len(cosines)} readings; "
    measured += f"{system.gradient_fidelity**0.5:.2f} of the negative gradient"
    return Row(question, "", measured, "")
