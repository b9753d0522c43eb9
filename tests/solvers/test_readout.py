"""What is read of a state: its distribution, its error against the shots, and the signs."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qnewton.operators import DenseOperator
from qnewton.solvers.quantum import Readout, emulate, measure, scaled_along
from qnewton.solvers.quantum.readout import Method
from tests.cases import draw, geometric, with_spectrum


def unit(n, seed):
    vector = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return vector / vector.norm()


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 200), tolerance=st.floats(0.02, 0.3), seed=st.integers(0, 2**16))
def test_shots_from_a_tolerance_keep_it(n, tolerance, seed):
    state = unit(n, seed)
    for method in ("amplitude", "hadamard"):
        read = measure(state, Readout(method=method, tolerance=tolerance, seed=seed))
        assert float(read.vector.norm()) == pytest.approx(1.0, abs=1e-12)
        # The tolerance is a typical error; twice it is far in the tail for these N.
        assert float((read.vector - state).norm()) <= 2.0 * tolerance


def test_the_error_falls_with_the_square_root_of_the_shots():
    state = unit(400, 0)
    errors = [
        np.mean(
            [
                float((measure(state, Readout(shots=shots, seed=s)).vector - state).norm())
                for s in range(20)
            ]
        )
        for shots in (40_000, 640_000)
    ]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.15)


def test_magnitudes_are_multinomial():
    """Chi-squared of pooled counts, and the spread of one count, over many read-outs."""
    state = unit(6, 1)
    # Enough that no component's sign is left undecided, which would read it as 0.
    shots, repeats = 20_000, 400
    magnitudes = np.stack(
        [measure(state, Readout(shots=shots, seed=s)).vector.numpy() for s in range(repeats)]
    )
    counts = magnitudes**2 * (shots // 2)
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    chances = state.numpy() ** 2
    pooled = counts.sum(axis=0)
    assert stats.chisquare(pooled, chances * pooled.sum()).pvalue > 1e-4
    spread = counts[:, 0].var() / (shots // 2 * chances[0] * (1 - chances[0]))
    # A variance ratio over 400 draws has a deviation of √(2/400) = 0.07.
    assert 0.7 < spread < 1.3


@pytest.mark.parametrize(("method", "overlap"), [("hadamard", 1), ("swap", 2)])
def test_tests_a_component_are_binomial(method: Method, overlap):
    state = torch.tensor([0.6, -0.8], dtype=torch.float64)
    each = 500
    zeros = []
    for seed in range(300):
        read = measure(state, Readout(method=method, shots=2 * each, seed=seed)).vector.numpy()
        ratio = (read[1] / read[0]) ** overlap
        zeros.append(ratio)
    expected = (state[1] / state[0]).item() ** overlap
    # Both components carry binomial noise of about 1/√each.
    noise = 5 * abs(expected) * math.sqrt(1 / each) * 3
    assert np.median(zeros) == pytest.approx(expected, abs=noise)
    assert np.std(zeros) > 0


def test_a_swap_test_flips_signs_and_the_others_do_not():
    """The paper's read-out sees |⟨a|b⟩|² alone: half of a step's entries come out reversed."""
    matrix = with_spectrum(geometric(30, 4.0), 0)
    rhs = draw(30, seed=1)
    shots = 30 * 10**7
    exact = emulate(matrix, rhs).direction
    expected: tuple[tuple[Method, bool], ...]
    expected = (("swap", True), ("hadamard", False), ("amplitude", False))
    for method, flips in expected:
        output = emulate(matrix, rhs, readout=Readout(method=method, shots=shots))
        assert output.measurement is not None
        assert output.measurement.signs_known is not flips
        large = exact.abs() > 0.02 * exact.abs().max()
        # What the read-out says up to one sign for all of the vector.
        agrees = (output.measurement.vector.sign() == exact.sign())[large]
        share = max(float(agrees.double().mean()), 1 - float(agrees.double().mean()))
        assert (share < 0.9) is flips
        magnitude = exact.abs() / exact.norm()
        torch.testing.assert_close(output.measurement.vector.abs(), magnitude, rtol=0, atol=2.5e-2)
        cosine = float(output.direction @ exact / output.direction.norm() / exact.norm())
        assert (cosine < 0.9) is flips


@settings(deadline=None, max_examples=50)
@given(n=st.integers(1, 20), indefinite=st.booleans(), seed=st.integers(0, 2**16))
def test_length_and_sign_of_a_step(n, indefinite, seed):
    matrix = with_spectrum(geometric(n, 5.0, indefinite=indefinite), seed)
    operator, rhs, v = DenseOperator(matrix), draw(n, seed=seed + 1), draw(n, seed=seed + 2)
    definite = bool((torch.linalg.eigvalsh(matrix) > 0).all())
    kappa = 5.0 if definite else None
    step = scaled_along(operator, v, rhs, kappa)
    residual = float((matrix @ step - rhs).norm())
    curvature = float(v @ matrix @ v)
    minimiser = v * (float(v @ rhs) / curvature)
    missed = float((matrix @ minimiser - rhs).norm())
    # The model's minimiser where A is definite, or where it leaves no more than a step of 0 does,
    # and no more than twice the least residual.
    image = matrix @ v
    least = float((rhs - image * (image @ rhs) / (image @ image)).norm())
    by_model = curvature > 0 and (definite or missed <= min(float(rhs.norm()), 2 * least))

    def value(x):
        return float(x @ matrix @ x / 2 - rhs @ x if by_model else (matrix @ x - rhs).norm())

    for factor in (0.9, 1.1, -1.0, 0.0):
        assert value(step) <= value(factor * step) + 1e-12
    assert definite or residual <= float(rhs.norm()) * (1 + 1e-9)
    assert definite or residual <= 2 * least + 1e-9 * float(rhs.norm())
    torch.testing.assert_close(scaled_along(operator, -2 * v, rhs, kappa), step)


@pytest.mark.parametrize("bend", [1e-300, 1e-12, 1e-3, 0.0, -1e-12])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_step_does_not_explode_as_the_curvature_along_it_vanishes(bend, scale):
    """vᵀAv → 0 for an indefinite A: s₁ grows without limit, and a step must not."""
    matrix = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    v = torch.tensor([1.0, 1.0 - bend], dtype=torch.float64)
    rhs = torch.tensor([1.0, 0.5], dtype=torch.float64) * scale
    step = scaled_along(DenseOperator(matrix), v, rhs)
    assert torch.isfinite(step).all()
    residual = float(((matrix @ step - rhs) / scale).norm())
    assert residual <= float((rhs / scale).norm()) * (1 + 1e-9)
    # Where the signs are not known, a bound on κ is a bound on the step.
    for kappa in (1.0, 1e2, 1e6):
        step = scaled_along(DenseOperator(matrix), v, rhs, kappa)
        limit = 1 + (kappa + 1) / (2 * math.sqrt(kappa))
        image = float((matrix @ step / scale).norm())
        assert image <= (1 + limit) * float((rhs / scale).norm()) * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(n=st.integers(2, 20), log_kappa=st.floats(0.0, 8.0), seed=st.integers(0, 2**16))
def test_the_minimiser_is_never_refused_where_a_is_definite(n, log_kappa, seed):
    kappa = 10**log_kappa
    values = geometric(n, kappa)
    v, rhs = draw(n, seed=seed), draw(n, seed=seed + 1)
    if seed % 2:
        # Kantorovich's own worst case: the ends of the spectrum, weighed so that they balance.
        v = torch.zeros(n, dtype=torch.float64)
        v[0], v[-1] = 1.0, values[0] / values[-1]
        v = v / v.norm()
        rhs = v.clone()
    step = scaled_along(DenseOperator(torch.diag(values)), v, rhs, kappa)
    minimiser = v * (float(v @ rhs) / float(v @ (values * v)))
    torch.testing.assert_close(step, minimiser, rtol=1e-9, atol=0)


@pytest.mark.parametrize("algorithm", ["qsvt", "dalzell"])
def test_a_read_out_direction_of_an_indefinite_system_has_a_bounded_step(algorithm):
    """Directions read with few shots are far off, and some of them hardly bend at all."""
    values = torch.tensor([1.0, -1.0, 0.9, -0.9, 0.5, -0.5], dtype=torch.float64)
    for seed in range(40):
        matrix, rhs = with_spectrum(values, seed), draw(6, seed=seed)
        read = Readout(shots=30, seed=seed)
        direction = emulate(matrix, rhs, algorithm, 0.1, readout=read).direction
        assert float((matrix @ direction - rhs).norm()) <= float(rhs.norm()) * (1 + 1e-9)


def test_an_exact_direction_is_scaled_to_the_solution():
    matrix = with_spectrum(geometric(10, 9.0, indefinite=True), 0)
    rhs = draw(10, seed=1)
    truth = torch.linalg.solve(matrix, rhs)
    torch.testing.assert_close(scaled_along(DenseOperator(matrix), -truth / 7, rhs), truth)


def test_the_same_seed_reads_the_same():
    state, other = unit(50, 0), Readout(shots=1000, seed=4)
    assert torch.equal(measure(state, other).vector, measure(state, other).vector)
    different = measure(state, Readout(shots=1000, seed=5)).vector
    assert not torch.equal(measure(state, other).vector, different)


def test_a_billion_shots_at_the_papers_size_cost_no_billion_draws():
    state = unit(12_544, 0)
    start = time.perf_counter()
    read = measure(state, Readout(shots=10**9))
    assert time.perf_counter() - start < 5.0
    assert float((read.vector - state).norm()) < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "guess", "shots": 10}, "'guess' is not known; known: amplitude, swap"),
        ({}, "either shots or a tolerance"),
        ({"shots": 10, "tolerance": 0.1}, "either shots or a tolerance"),
        ({"shots": 1}, "shots is 1"),
        ({"tolerance": 1.5}, "tolerance is 1.5"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
    ],
)
def test_bad_requests(arguments, message):
    with pytest.raises(ValueError, match=message):
        Readout(**arguments)


def test_too_few_shots_for_a_test_a_component():
    with pytest.raises(ValueError, match=r"10 shots cannot test 50 components"):
        measure(unit(50, 0), Readout(method="hadamard", shots=10))
