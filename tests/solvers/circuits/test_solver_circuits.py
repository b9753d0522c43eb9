"""Circuits against the emulator: the same state, the same chance of success, the same calls."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import transpile
from qiskit.quantum_info import Statevector

from qnewton.records import Outcome
from qnewton.solvers.quantum import Clock, SystemRefused, emulate
from qnewton.solvers.quantum.circuits import ENCODERS, SolverCircuit, solver_circuit
from tests.cases import draw, geometric, with_spectrum


def system(n, kappa, indefinite, seed):
    matrix = with_spectrum(geometric(n, kappa, indefinite=indefinite, seed=seed), seed)
    return matrix, draw(n, seed=seed + 1)


def assert_same(circuit, found):
    """Assert that state and chance of a circuit equal those of an emulation."""
    image = circuit.image
    chance = float(image @ image)
    assert chance == pytest.approx(found.success_probability, abs=1e-8)
    state = image / math.sqrt(chance)
    assert np.linalg.norm(state - found.state.numpy()) <= 1e-8


def alpha_of(encoding, matrix):
    return ENCODERS[encoding]().alpha(matrix.numpy())


sizes = {"n": st.integers(2, 16), "kappa": st.floats(1.0, 8.0), "indefinite": st.booleans()}
drawn = {**sizes, "seed": st.integers(0, 2**16)}


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(**drawn, log_epsilon=st.floats(-6.0, -0.5))
def test_qsvt_by_the_dense_encoding(n, kappa, indefinite, seed, log_epsilon):
    matrix, rhs = system(n, kappa, indefinite, seed)
    circuit = solver_circuit(matrix, rhs, epsilon=10**log_epsilon)
    found = emulate(matrix, rhs, epsilon=10**log_epsilon)
    assert_same(circuit, found)
    assert circuit.queries == found.queries
    assert circuit.state_preparations == found.state_preparations == 1


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(2, 5),
    kappa=st.floats(1.0, 5.0),
    indefinite=st.booleans(),
    seed=st.integers(0, 2**16),
    encoding=st.sampled_from(["sparse", "low_rank"]),
)
def test_qsvt_by_other_encodings(n, kappa, indefinite, seed, encoding):
    matrix, rhs = system(n, kappa, indefinite, seed)
    if encoding == "sparse":
        matrix = torch.triu(torch.tril(matrix, 1), -1) + 2.0 * torch.eye(n)
    circuit = solver_circuit(matrix, rhs, epsilon=0.1, encoding=encoding)
    found = emulate(matrix, rhs, epsilon=0.1, alpha=alpha_of(encoding, matrix))
    assert_same(circuit, found)
    assert circuit.queries == found.queries


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(**drawn, epsilon=st.floats(0.01, 0.5), off=st.floats(0.3, 3.0))
def test_dalzell_with_a_guessed_norm(n, kappa, indefinite, seed, epsilon, off):
    matrix, rhs = system(n, kappa, indefinite, seed)
    norm = off * float(torch.linalg.solve(matrix, rhs).norm())
    circuit = solver_circuit(matrix, rhs, "dalzell", epsilon, norm=norm)
    found = emulate(matrix, rhs, "dalzell", epsilon, norm=norm)
    assert_same(circuit, found)
    assert circuit.queries == found.queries
    assert circuit.state_preparations == found.state_preparations


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(**drawn, qubits=st.integers(2, 6), window=st.sampled_from(["uniform", "sine"]))
def test_hhl_is_its_closed_form(n, kappa, indefinite, seed, qubits, window):
    matrix, rhs = system(n, kappa, indefinite, seed)
    clock = Clock(qubits=qubits, window=window)
    circuit = solver_circuit(matrix, rhs, "hhl", 0.1, clock=clock)
    found = emulate(matrix, rhs, "hhl", 0.1, clock=clock, mode="eigen")
    image = torch.from_numpy(circuit.image)
    assert float(image @ image) == pytest.approx(found.success_probability, rel=1e-10)
    torch.testing.assert_close(image / image.norm(), found.state, rtol=0, atol=1e-10)
    assert circuit.state_preparations == 1


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(
    n=st.integers(2, 6),
    kappa=st.floats(1.0, 8.0),
    indefinite=st.booleans(),
    seed=st.integers(0, 2**16),
    qubits=st.integers(2, 4),
    log_epsilon=st.floats(-8.0, -1.0),
)
def test_hhl_by_calls_of_its_block_encoding(n, kappa, indefinite, seed, qubits, log_epsilon):
    matrix, rhs = system(n, kappa, indefinite, seed)
    epsilon, clock = 10**log_epsilon, Clock(qubits=qubits)
    exact = solver_circuit(matrix, rhs, "hhl", epsilon, clock=clock)
    called = solver_circuit(matrix, rhs, "hhl", epsilon, clock=clock, encoding="dense")
    found = emulate(matrix, rhs, "hhl", epsilon, clock=clock, mode="eigen")
    assert called.queries == found.queries
    assert np.linalg.norm(called.image - exact.image) <= 3.0 * epsilon


def test_a_large_transformation():
    matrix, rhs = system(64, 60.0, True, seed=3)
    circuit = solver_circuit(matrix, rhs, epsilon=1e-3)
    assert len(circuit.system) == 6
    assert circuit.queries >= 500
    assert_same(circuit, emulate(matrix, rhs, epsilon=1e-3))


@pytest.mark.slow
@pytest.mark.parametrize("encoding", sorted(ENCODERS))
@pytest.mark.parametrize("n", [2, 4])
def test_in_gates_of_one_and_two_qubits(n, encoding):
    matrix, rhs = system(n, 1.5, True, seed=5)
    built = solver_circuit(matrix, rhs, epsilon=0.3, encoding=encoding)
    gates = transpile(built.circuit, basis_gates=["cx", "rz", "sx", "x"], optimization_level=1)
    amplitudes = built.on_success(Statevector(gates).data)[:n]
    found = emulate(matrix, rhs, epsilon=0.3, alpha=alpha_of(encoding, matrix))
    overlap = abs(amplitudes @ found.state.numpy())
    assert overlap == pytest.approx(math.sqrt(found.success_probability), abs=1e-8)
    assert np.linalg.norm(amplitudes) ** 2 == pytest.approx(found.success_probability, abs=1e-8)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"n": 300}, "300 unknowns; circuits encode at most 256"),
        ({"encoding": "banded"}, "'banded' is not known; known: dense, sparse, low_rank"),
        ({"encoding": "sparse", "algorithm": "hhl"}, "its own inverse, and 'sparse' is not"),
        ({"n": 200, "encoding": "sparse"}, "takes 17 qubits, above the limit of 11"),
        ({"n": 200, "encoding": "low_rank"}, "takes 18 qubits, above the limit of 11"),
    ],
)
def test_what_cannot_be_encoded_is_said_in_one_line(request_, said):
    options = {"n": 4} | request_
    matrix, rhs = system(options.pop("n"), 2.0, False, seed=0)
    with pytest.raises(ValueError, match=said) as refused:
        solver_circuit(matrix, rhs, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("algorithm", "options", "outcome"),
    [
        ("qsvt", {"epsilon": 1e-6, "kappa": 1e4}, Outcome.DEGREE_TOO_HIGH),
        ("dalzell", {"epsilon": 1e-6, "kappa": 1e4}, Outcome.DEGREE_TOO_HIGH),
        ("hhl", {"epsilon": 1e-5}, Outcome.CLOCK_TOO_LARGE),
        ("hhl", {"clock": Clock(qubits=12), "encoding": "dense"}, Outcome.DEGREE_TOO_HIGH),
    ],
)
def test_an_attempt_that_is_too_long_is_refused(algorithm, options, outcome):
    matrix, rhs = system(4, 2.0, False, seed=0)
    with pytest.raises(SystemRefused, match="limit") as refused:
        solver_circuit(matrix, rhs, algorithm, **options)
    assert refused.value.outcome is outcome


def test_a_circuit_without_a_solution_s_qubits_is_no_surprise():
    """One unknown takes a qubit, too: its second basis state stays empty."""
    built = solver_circuit(torch.tensor([[-2.0]]), torch.tensor([3.0]))
    assert isinstance(built, SolverCircuit)
    assert built.image == pytest.approx([-1.0])
