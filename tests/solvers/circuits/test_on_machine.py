"""A state that is read on a machine: until it has succeeded often enough, with the noise it has."""

import numpy as np
import pytest
import torch
from qiskit.primitives import StatevectorSampler

from qnewton import QNewton, Quantum
from qnewton.records import Outcome
from qnewton.solvers import solve
from qnewton.solvers.quantum import Emulator, Readout, SystemRefused, emulate
from qnewton.solvers.quantum.circuits import GateByGate, OnMachine, solver_circuit
from qnewton.solvers.quantum.circuits.on_machine import MachineShots
from tests.cases import draw, with_spectrum


def system(n=2):
    return with_spectrum([1.0, -0.6, 0.8, 0.7, 0.9, 0.5, 0.65, 0.75, 0.85][:n], 0), draw(n, seed=1)


@pytest.mark.parametrize("method", ["amplitude", "hadamard", "swap"])
def test_a_sampler_without_noise_reads_what_the_circuit_leaves(method):
    matrix, rhs = system()
    execution = OnMachine(StatevectorSampler(seed=1))
    readout = Readout(method=method, shots=40_000, seed=2)
    found = Emulator(matrix, epsilon=0.3, execution=execution).solve(rhs, readout)
    exact = Emulator(matrix, epsilon=0.3, execution=GateByGate()).solve(rhs)
    assert found.execution == "StatevectorSampler"
    assert torch.equal(found.state, exact.state)
    assert found.success_probability == exact.success_probability
    assert found.measurement is not None
    state = exact.state.abs() if method == "swap" else exact.state
    # 20,000 shots per component or stage: an error of about 1/√20,000 of either.
    assert float((found.measurement.vector - state).norm()) < 0.05


def test_as_many_successes_are_counted_as_there_are_shots():
    matrix, rhs = system()
    attempt = solver_circuit(matrix, rhs, epsilon=0.3)
    shots = MachineShots(StatevectorSampler(seed=1), np.random.default_rng(0), 100_000)
    counts = shots.counts(attempt, attempt.system, 5_000)
    assert counts.sum() == 5_000
    chances = attempt.image**2 / (attempt.image @ attempt.image)
    # Five standard deviations of a share of 5,000.
    np.testing.assert_allclose(counts / 5_000, chances, atol=5 * 0.5 / np.sqrt(5_000))


def test_a_machine_that_rarely_succeeds_is_given_up():
    matrix, rhs = system()
    asked = {"epsilon": 0.3, "execution": OnMachine(StatevectorSampler(seed=1), max_attempts=100)}
    with pytest.raises(SystemRefused, match=r"100 attempts succeeded \d+ times, and 500 shots"):
        Emulator(matrix, **asked).solve(rhs, Readout(shots=1_000))
    refused = solve((matrix, rhs), "qsvt", readout=Readout(shots=1_000), **asked)
    assert refused.outcome is Outcome.NO_SUCCESS


def test_what_a_machine_cannot_run_is_refused_before_anything_is_built(monkeypatch):
    monkeypatch.setattr("qnewton.solvers.quantum.circuits.gate_by_gate.attempts", None)
    execution = OnMachine(StatevectorSampler())
    with pytest.raises(ValueError, match="9 unknowns; StatevectorSampler runs at most 8"):
        Emulator(system(9)[0], execution=execution)
    matrix, rhs = system()
    with pytest.raises(
        ValueError, match="StatevectorSampler gives shots and no state; give a read-out"
    ):
        Emulator(matrix, execution=execution).solve(rhs)
    with pytest.raises(SystemRefused, match=r"calls .* runs at most 32; add damping, or raise eps"):
        Emulator(matrix, epsilon=1e-12, execution=execution).solve(rhs, Readout(shots=100))
    with pytest.raises(ValueError, match="gives shots and no state"):
        QNewton(
            torch.nn.Linear(2, 1),
            damping=1.0,
            policy="quantum-only",
            quantum=Quantum("attosecond", execute="fake_sherbrooke"),
        )
    with pytest.raises(ValueError, match="backend 'fake_nothing' is not known"):
        OnMachine("fake_nothing").check(2)


@pytest.mark.slow
def test_noise_is_in_what_is_read_and_the_same_in_every_run():
    matrix, rhs = system(3)
    readout = Readout(shots=8_000, seed=3)
    emulator = Emulator(matrix, epsilon=0.3, execution=OnMachine("fake_manila"))
    noisy, again = (emulator.solve(rhs, readout) for _ in range(2))
    shots = emulate(matrix, rhs, epsilon=0.3, readout=readout)
    assert noisy.measurement is not None
    assert again.measurement is not None
    assert shots.measurement is not None
    assert torch.equal(noisy.measurement.vector, again.measurement.vector)
    vectors = (noisy.measurement.vector, shots.measurement.vector)
    errors = [float((vector - shots.state).norm()) for vector in vectors]
    assert errors[0] > 5 * errors[1]
    assert torch.allclose(noisy.state, shots.state, atol=1e-8)
