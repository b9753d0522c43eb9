"""Amplitude amplification: an attempt, made to succeed more often by repeating it backwards."""

import math

from qnewton.records.messages import check
from qnewton.solvers.quantum.circuits.signs import append_sign
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
        append_sign(circuit, attempt.success)
        circuit.compose(backwards, inplace=True, copy=False)
        append_sign(circuit, dict.fromkeys(circuit.qubits, 0))
        circuit.compose(attempt.circuit, inplace=True, copy=False)
        circuit.global_phase += math.pi  # the minus sign of a round
    return SolverCircuit(circuit, attempt.system, attempt.success, attempt.n)
