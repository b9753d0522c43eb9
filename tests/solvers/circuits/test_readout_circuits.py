"""Amplification, SWAP tests and interference: what their circuits' amplitudes must be."""

import math

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

from qnewton.solvers.quantum import Clock, emulate
from qnewton.solvers.quantum.circuits import amplified, interfered, solver_circuit, swap_test
from tests.cases import draw, geometric, with_spectrum


def attempt(n=4, algorithm="qsvt", **options):
    matrix = with_spectrum(geometric(n, 3.0, indefinite=True, seed=2), 2)
    return solver_circuit(matrix, draw(n, seed=3), algorithm, **options)


def chances(readout):
    """Return the probability of success with the test at 0 and at 1, by component."""
    amplitudes = Statevector(readout.attempt.circuit).data
    both = [readout.attempt.on_success(amplitudes, {readout.test: t}) for t in (0, 1)]
    return [np.abs(found[: readout.attempt.n]) ** 2 for found in both]


ATTEMPTS = {
    "qsvt": {"epsilon": 0.1},
    "dalzell": {"epsilon": 0.3, "norm": 1.0},
    "hhl": {"clock": Clock(qubits=3)},
}


@pytest.mark.parametrize("rounds", [0, 1, 2])
@pytest.mark.parametrize("algorithm", sorted(ATTEMPTS))
def test_amplification(algorithm, rounds):
    single = attempt(algorithm=algorithm, **ATTEMPTS[algorithm])
    found = amplified(single, rounds)
    angle = math.asin(min(1.0, np.linalg.norm(single.image)))
    sine = math.sin((2 * rounds + 1) * angle)
    expected = single.image / np.linalg.norm(single.image) * sine
    np.testing.assert_allclose(found.image, expected, atol=1e-10)
    assert found.queries == (2 * rounds + 1) * single.queries
    assert found.state_preparations == (2 * rounds + 1) * single.state_preparations


def test_negative_rounds_are_refused():
    with pytest.raises(ValueError, match="rounds is -1"):
        amplified(attempt(epsilon=0.1), -1)


@pytest.mark.parametrize("component", [0, 2])
def test_the_swap_test(component):
    single = attempt(3, epsilon=0.1)
    unit = np.eye(3)[component]
    readout = swap_test(single, unit)
    amplitudes = Statevector(readout.attempt.circuit)
    places = {qubit: i for i, qubit in enumerate(readout.attempt.circuit.qubits)}
    kept = [places[q] for q in (*single.success, readout.test)]
    outcomes = amplitudes.probabilities(kept)
    wanted = sum(value << i for i, value in enumerate(single.success.values()))
    zero, one = outcomes[wanted], outcomes[wanted | 1 << len(single.success)]
    state = single.image / np.linalg.norm(single.image)
    assert zero / (zero + one) == pytest.approx((1.0 + state[component] ** 2) / 2.0, abs=1e-10)


@pytest.mark.parametrize("algorithm", sorted(ATTEMPTS))
def test_interference_tells_every_sign(algorithm):
    single = attempt(4, algorithm, **ATTEMPTS[algorithm])
    known = np.abs(single.image) / np.linalg.norm(single.image)
    zero, one = chances(interfered(single, known))
    np.testing.assert_allclose(zero, ((known + single.image) / 2.0) ** 2, atol=1e-10)
    np.testing.assert_allclose(one, ((known - single.image) / 2.0) ** 2, atol=1e-10)


def test_the_hadamard_test_of_one_component():
    single = attempt(4, epsilon=0.1)
    chance = float(single.image @ single.image)
    for component, value in enumerate(single.image):
        zero, one = (
            float(found.sum()) for found in chances(interfered(single, np.eye(4)[component]))
        )
        told = (1.0 + chance + 2.0 * value) / (2.0 + 2.0 * chance)
        assert zero / (zero + one) == pytest.approx(told, abs=1e-10)


def test_dalzell_without_a_norm_projects_what_it_reflects():
    matrix = with_spectrum(geometric(4, 3.0, indefinite=True, seed=2), 2)
    rhs = draw(4, seed=3)
    found = emulate(matrix, rhs, "dalzell", 0.1)
    single = solver_circuit(matrix, rhs, "dalzell", 0.1)
    assert single.queries == found.queries
    assert single.state_preparations == found.state_preparations
    state = single.image / np.linalg.norm(single.image)
    assert np.linalg.norm(state - found.state.numpy()) <= 1e-2
