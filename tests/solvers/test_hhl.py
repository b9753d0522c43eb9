"""HHL, emulated: three ways to its output, the mean over its clock, and its circuit."""

import math
import time

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import jv

from qnewton.queries.clock import jacobi_anger_terms
from qnewton.solvers.quantum import Clock, SystemRefused, emulate
from qnewton.solvers.quantum.clock_means import WINDOWS, mean_rotation
from tests.cases import draw, geometric, same_output, with_spectrum


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(2, 12),
    indefinite=st.booleans(),
    qubits=st.integers(2, 6),
    window=st.sampled_from(["uniform", "sine"]),
    seed=st.integers(0, 2**16),
)
def test_hhl_three_ways(n, indefinite, qubits, window, seed):
    eigenvalues = geometric(n, 6.0, indefinite=indefinite, seed=seed)
    matrix, rhs = with_spectrum(eigenvalues, seed), draw(n, seed=seed + 1)
    clock = Clock(qubits=qubits, window=window)
    eigen, products, krylov = (
        emulate(matrix, rhs, "hhl", 0.1, clock=clock, mode=mode)
        for mode in ("eigen", "products", "krylov")
    )
    assert same_output(products, eigen)
    assert krylov.resolved
    assert same_output(krylov, eigen)


def mean_by_transform(positions, size, reach, amplitudes):
    """Return Σ_k f_k w_k with every term: M log M operations per position."""
    k = np.fft.fftfreq(size, d=1.0 / size)
    f = np.clip(np.divide(reach, k, out=np.zeros(size), where=k != 0), -1.0, 1.0)
    # The phase's whole turns are taken off where they are exact.
    turns = np.remainder(np.outer(positions, np.arange(size)), size) / size
    clock = np.fft.fft(amplitudes * np.exp(2j * np.pi * turns), axis=1) / math.sqrt(size)
    return np.abs(clock) ** 2 @ f


@settings(deadline=None, max_examples=100)
@given(
    qubits=st.integers(1, 12),
    window=st.sampled_from(sorted(WINDOWS)),
    reach=st.floats(0.0, 1.5),
    phases=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=4),
    on_the_grid=st.booleans(),
)
@example(qubits=1, window="sine", reach=0.1, phases=[0.0], on_the_grid=True)
@example(qubits=10, window="sine", reach=0.3, phases=[0.5, -0.5], on_the_grid=True)
def test_the_clock_s_mean_is_the_sum_of_all_its_terms(qubits, window, reach, phases, on_the_grid):
    size = 2**qubits
    positions = np.array(phases) * size
    if on_the_grid:  # at clock values and half way between them every quotient is 0/0
        positions = np.rint(2.0 * positions) / 2.0
    reach = float(size) ** reach / 4.0
    found = mean_rotation(positions, size, reach, WINDOWS[window])
    every = mean_by_transform(positions, size, reach, WINDOWS[window].amplitudes(size))
    np.testing.assert_allclose(found, every, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", sorted(WINDOWS))
def test_the_clock_s_mean_over_a_million_values(window):
    size, reach = 2**20, 2**20 / 44.0
    positions = np.array([0.45, -0.031, 0.02272727]) * size
    found = mean_rotation(positions, size, reach, WINDOWS[window])
    every = mean_by_transform(positions, size, reach, WINDOWS[window].amplitudes(size))
    np.testing.assert_allclose(found, every, rtol=0, atol=1e-12)


@pytest.mark.parametrize("qubits", [None, 8, 16, 30])
@pytest.mark.parametrize("window", sorted(WINDOWS))
def test_hhl_on_four_unknowns_takes_no_time_whatever_its_clock(qubits, window):
    matrix, rhs = with_spectrum([1.0, 0.7, 0.3, 0.1], 0), draw(4, seed=1)
    clock = Clock(qubits=qubits, window=window)
    began = time.process_time()
    found = emulate(matrix, rhs, "hhl", 1e-5, clock=clock)
    assert time.process_time() - began < 0.2
    assert found.mode == "eigen"
    assert found.resolved
    error = (found.direction - torch.linalg.solve(matrix, rhs)).norm() / found.direction.norm()
    assert float(error) < (1e-4 if qubits != 8 else 0.2)


def test_what_a_clock_of_thirty_qubits_outputs_is_the_solution():
    matrix, rhs = with_spectrum([1.0, -0.7, 0.3, 0.1], 0), draw(4, seed=1)
    found = emulate(matrix, rhs, "hhl", 1e-6, clock=Clock(qubits=30))
    truth = torch.linalg.solve(matrix, rhs)
    assert float((found.direction - truth).norm() / truth.norm()) < 1e-7


def test_more_evolutions_than_can_be_computed_are_refused_at_once():
    matrix, rhs = with_spectrum([1.0, 0.1], 0), draw(2, seed=1)
    with pytest.raises(SystemRefused, match=r"25 qubits .* at most 2\*\*24 .* mode='eigen'"):
        emulate(matrix, rhs, "hhl", 1e-6, mode="products")


@settings(deadline=None, max_examples=50)
@given(length=st.floats(1e-3, 3e3), log_epsilon=st.floats(-17.0, 1.0))
@example(length=3e3, log_epsilon=1.0)
def test_the_terms_of_an_evolution_are_counted_from_all_orders(length, log_epsilon):
    tails = 2.0 * np.cumsum(np.abs(jv(np.arange(math.ceil(length) + 700, 0, -1), length)))
    least = len(tails) - int(np.searchsorted(tails, 10**log_epsilon, side="right"))
    assert jacobi_anger_terms(length, 10**log_epsilon) == max(1, least)


def test_hhl_against_the_circuit_s_state_vector():
    """Clock ⊗ system ⊗ ancilla, gate by gate, in the order of the paper."""
    n, qubits = 4, 4
    matrix = with_spectrum([0.9, 0.5, -0.4, 0.3], 0)
    rhs = draw(n, seed=1)
    time, rotation, size = 2.5, 0.15, 2**qubits
    clock = Clock(qubits=qubits, time=time, rotation=rotation)
    output = emulate(matrix, rhs, "hhl", 0.1, clock=clock)
    b = rhs.numpy() / np.linalg.norm(rhs.numpy())
    evolution = scipy.linalg.expm(1j * time * matrix.numpy())
    powers = np.stack([np.linalg.matrix_power(evolution, tau) for tau in range(size)])
    state = np.stack([power @ b for power in powers]) / math.sqrt(size)
    fourier = np.exp(2j * np.pi * np.outer(range(size), range(size)) / size) / math.sqrt(size)
    state = fourier.conj().T @ state
    signed = np.array([k if k < size / 2 else k - size for k in range(size)])
    f = np.array(
        [np.clip(rotation * size * time / (2 * np.pi * k), -1, 1) if k else 0 for k in signed]
    )
    state = fourier @ (f[:, None] * state)
    state = np.stack([power.conj().T @ s for power, s in zip(powers, state, strict=True)])
    y = state.sum(axis=0) / math.sqrt(size)
    assert np.abs(y.imag).max() < 1e-14
    np.testing.assert_allclose(output.success_probability, np.linalg.norm(y) ** 2, rtol=1e-12)
    np.testing.assert_allclose(output.state.numpy(), y.real / np.linalg.norm(y), atol=1e-12)


def test_hhl_approaches_the_solution_with_its_clock():
    matrix = with_spectrum(geometric(10, 5.0, indefinite=True), 0)
    rhs = draw(10, seed=1)
    truth = torch.linalg.solve(matrix, rhs)
    errors, queries = [], []
    for qubits in (6, 9, 12):
        output = emulate(matrix, rhs, "hhl", 0.1, clock=Clock(qubits=qubits), mode="eigen")
        errors.append(float((output.direction - truth).norm() / truth.norm()))
        queries.append(output.queries)
    # An error of order 1/M times where the eigenphases happen to lie between clock values.
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] > 8 * errors[2]
    assert queries[2] > 6 * queries[1] > 36 * queries[0]
