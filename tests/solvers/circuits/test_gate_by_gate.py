"""A solver carried out by its circuit answers as the emulator does, and reads as it does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit

from qnewton.operators import DenseOperator
from qnewton.solvers import solve
from qnewton.solvers.quantum import Clock, Emulator, Readout, SystemRefused
from qnewton.solvers.quantum.circuits import GateByGate, SolverCircuit, distribution
from tests.cases import draw, geometric, with_spectrum

BOTH = (None, GateByGate())


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(2, 16),
    kappa=st.floats(1.0, 8.0),
    indefinite=st.booleans(),
    log_epsilon=st.floats(-8.0, -1.0),
    algorithm=st.sampled_from(["qsvt", "hhl"]),
    seed=st.integers(0, 2**16),
)
def test_every_figure_is_the_emulator_s(n, kappa, indefinite, log_epsilon, algorithm, seed):
    eigenvalues = geometric(n, kappa, indefinite=indefinite, seed=seed)
    matrix, rhs = with_spectrum(eigenvalues, seed), draw(n, seed=seed + 1)
    asked = {"epsilon": 10**log_epsilon, "clock": Clock(qubits=5)}
    emulated, executed = (
        Emulator(matrix, algorithm, execution=execution, **asked).solve(rhs) for execution in BOTH
    )
    assert (emulated.execution, executed.execution) == ("emulator", "circuit")
    assert (executed.mode, executed.products) == ("circuit", 0)
    assert float((emulated.state - executed.state).norm()) <= 1e-8
    scale = float(emulated.direction.norm())
    assert float((emulated.direction - executed.direction).norm()) <= 1e-8 * scale
    assert executed.success_probability == pytest.approx(emulated.success_probability, abs=1e-8)
    assert executed.expected_queries == pytest.approx(emulated.expected_queries, rel=1e-6)
    assert executed.queries == emulated.queries


@pytest.mark.parametrize("norm", [None, 1.3])
def test_dalzell_s_chances_are_those_over_all_guesses_and_stages(norm):
    matrix, rhs = with_spectrum([1.0, -0.4], 0), draw(2, seed=1)
    emulated, executed = (
        Emulator(matrix, "dalzell", 0.05, execution=execution).solve(rhs, norm=norm)
        for execution in BOTH
    )
    assert float((emulated.state - executed.state).norm()) <= 1e-8
    assert executed.success_probability == pytest.approx(emulated.success_probability, abs=1e-8)
    assert executed.expected_queries == pytest.approx(emulated.expected_queries, rel=1e-8)


@pytest.mark.parametrize("method", ["amplitude", "hadamard", "swap"])
@pytest.mark.parametrize("n", [2, 3])
def test_the_read_out_circuits_have_the_distributions_that_the_emulator_draws_from(method, n):
    matrix, rhs = with_spectrum([1.0, -0.6, 0.4][:n], 0), draw(n, seed=1)

    def read(execution, seed):
        emulator = Emulator(matrix, epsilon=1e-6, execution=execution)
        found = emulator.solve(rhs, Readout(method=method, shots=10**6, seed=seed)).measurement
        assert found is not None
        return found.vector

    # The same generator draws the same counts from equal distributions, but for a rounding that
    # happens to lie on a limit.
    executed = read(GateByGate(), 3)
    torch.testing.assert_close(executed, read(None, 3), rtol=0, atol=1e-5)
    assert torch.equal(executed, read(GateByGate(), 3))
    assert not torch.equal(executed, read(GateByGate(), 4))


def test_qubits_that_are_neither_kept_nor_judged_are_summed_over():
    circuit = QuantumCircuit(3)
    circuit.ry(2 * np.arccos(np.sqrt(0.25)), 0)  # 1 with probability 3/4
    circuit.h(1)
    circuit.cx(0, 2)
    q = circuit.qubits
    attempt = SolverCircuit(circuit, [q[0]], {q[2]: 1}, 2)
    np.testing.assert_allclose(distribution(attempt, [q[0]]), [0.0, 0.75], atol=1e-12)
    np.testing.assert_allclose(
        distribution(attempt, [q[1], q[0]]), [0, 0, 0.375, 0.375], atol=1e-12
    )


def test_what_is_too_large_is_refused_before_anything_is_built(monkeypatch):
    large = DenseOperator(torch.eye(257, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"257 unknowns; circuits encode at most 256"):
        Emulator(large, execution=GateByGate())
    monkeypatch.setattr("qnewton.solvers.quantum.circuits.gate_by_gate.attempts", None)
    matrix, rhs = with_spectrum([1.0, 1e-4], 0), draw(2, seed=1)
    with pytest.raises(
        SystemRefused, match=r"calls of the block-encoding, above a circuit's limit"
    ):
        Emulator(matrix, epsilon=1e-6, execution=GateByGate()).solve(rhs)
    refused = solve((matrix, rhs), "qsvt", epsilon=1e-6, execution=GateByGate())
    assert refused.describe().startswith("degree")
