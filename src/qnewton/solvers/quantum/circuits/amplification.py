"""Amplitude amplification: an attempt, made to succeed more often by repeating it backwards."""

from collections.abc import Iterable

from qiskit import QuantumCircuit
from qiskit.circuit import Qubit

from qnewton.records.messages import check
from qnewton.solvers.quantum.circuits.solver_circuit import SolverCircuit


def amplified(attempt: SolverCircuit, rounds: int) -> SolverCircuit:
    """Return the circuit whose success probability is sin²((2r+1)θ), where p = sin²θ is one's own.

    Each round is -V S₀ V† S: V the attempt, S a sign on success, S₀ a sign on |0…0⟩. The state on
    success is the attempt's.

    Args:
        attempt: V; nothing is measured in it.
        rounds: r ≥ 0.

    Raises:
        ValueError: If r is negative.

    Cost: 2r + 1 attempts, and 2r reflections over at most all qubits.

    Reference: Brassard et al., quant-ph/0005055.
    """
    check("rounds", rounds, "must be 0 or more", rounds >= 0)
    circuit = attempt.circuit.copy()
    backwards = attempt.circuit.inverse()
    for _ in range(rounds):
        _sign(circuit, attempt.success.items())
        circuit.compose(backwards, inplace=True, copy=False)
        _sign(circuit, ((qubit, 0) for qubit in circuit.qubits))
        circuit.compose(attempt.circuit, inplace=True, copy=False)
        circuit.global_phase += _HALF_TURN
    return SolverCircuit(circuit, attempt.system, attempt.success, attempt.n)


def _sign(circuit: QuantumCircuit, pattern: Iterable[tuple[Qubit, int]]) -> None:
    """Append a sign where the qubits hold the values."""
    wanted = list(pattern)
    zeros = [qubit for qubit, value in wanted if value == 0]
    *controls, target = (qubit for qubit, _ in wanted)
    if zeros:
        circuit.x(zeros)
    if controls:
        circuit.h(target)
        circuit.mcx(controls, target)
        circuit.h(target)
    else:
        circuit.z(target)
    if zeros:
        circuit.x(zeros)


_HALF_TURN = 3.141592653589793  # the minus sign of a round
