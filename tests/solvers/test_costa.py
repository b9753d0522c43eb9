"""Costa's adiabatic walk: against its unitaries written out, its promise, and its constants."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.queries.costa import walk_plan
from qnewton.solvers.quantum import SystemRefused, Walk, emulate
from qnewton.solvers.quantum.costa import costa
from qnewton.solvers.quantum.promise import Promise
from tests.cases import draw, geometric, same_output, with_spectrum

HADAMARD = np.array([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2)
Z, X = np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [1.0, 0.0]])


def on(*factors):
    """Return the Kronecker product of operators, the last acting fastest."""
    product = np.eye(1)
    for factor in factors:
        product = np.kron(product, factor)
    return product


def unitaries(matrix, unit, f, definite):
    """Return the walk at f on a_h ⊗ a₂ ⊗ a₃ ⊗ flag ⊗ (a₁ ⊗) system, from whole matrices."""
    n = len(unit)
    values, vectors = np.linalg.eigh(matrix)
    other = vectors @ np.diag(np.sqrt(1 - np.minimum(values**2, 1.0))) @ vectors.T
    dilation = np.block([[matrix, other], [other, -matrix]])  # flag ⊗ system
    if definite:
        first, second, beta = np.eye(2 * n), dilation, unit
    else:
        # flag ⊗ a₁ ⊗ system: the dilation acts around a₁.
        blocks = dilation.reshape(2, n, 2, n)
        second = np.einsum("pjqk,ab->pajqbk", blocks, X).reshape(4 * n, 4 * n)
        first = on(np.eye(2), Z, np.eye(n))
        beta = np.kron(np.ones(2) / math.sqrt(2), unit)
    size = len(beta)
    turn = np.array([[1 - f, f], [f, -(1 - f)]]) / math.hypot(1 - f, f)
    select = np.kron(np.diag([1.0, 0.0]), first) + np.kron(np.diag([0.0, 1.0]), second)
    v = np.kron(HADAMARD, np.eye(2 * size)) @ select @ np.kron(turn, np.eye(2 * size))
    # a₂ ⊗ flag ⊗ rest → a₂ ⊗ a₃ ⊗ flag ⊗ rest
    v = np.einsum("iajb,xy->ixajyb", v.reshape(2, 2 * size, 2, 2 * size), np.eye(2))
    v = v.reshape(8 * size, 8 * size)
    reflection = np.eye(size) - 2 * np.outer(beta, beta)
    chosen = np.kron(np.diag([1.0, 0.0]), np.eye(size)) + np.kron(np.diag([0.0, 1.0]), reflection)
    q = np.kron(HADAMARD, np.eye(size)) @ chosen @ np.kron(HADAMARD, np.eye(size))  # a₃ ⊗ rest
    q = np.einsum("xaqb,ij,fg->ixfajqgb", q.reshape(2, size, 2, size), np.eye(2), np.eye(2))
    q = q.reshape(8 * size, 8 * size)
    raising, lowering = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])
    encoded = np.kron(raising, v @ q) + np.kron(lowering, q @ v.T)
    zero = np.zeros((8, 8))
    zero[0, 0] = 1.0
    return on(np.eye(2), 2 * zero - np.eye(8), np.eye(size)) @ encoded, v, q


@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("n", [2, 5, 8])
def test_the_walk_is_that_of_its_unitaries(n, definite):
    eigenvalues = geometric(n, 8.0, indefinite=not definite, seed=3)
    matrix, rhs = with_spectrum(eigenvalues, 0).numpy(), draw(n, seed=1).numpy()
    unit = rhs / np.linalg.norm(rhs)
    solver = costa(Promise(alpha=1.0, kappa=8.0, held=True, definite=definite), 0.1, Walk())
    size = n if definite else 2 * n
    state = np.zeros(16 * size)
    state[:size] = unit if definite else np.kron([1.0, -1.0], unit) / math.sqrt(2)
    for f in solver.walk.schedule(8.0, solver.steps):
        walk, v, q = unitaries(matrix, unit, f, definite)
        for unitary in (walk, v, q):
            np.testing.assert_allclose(unitary @ unitary.T, np.eye(len(unitary)), atol=1e-12)
        state = walk @ state
    values, vectors = np.linalg.eigh(matrix)
    found = solver.walked(values, vectors.T @ unit) @ vectors.T
    sign = -1.0 if solver.steps % 4 else 1.0
    np.testing.assert_allclose(found.ravel(), sign * state[:size], atol=1e-12)
    # H at f = 1 from its encoding without the turn, and the filter by its eigenvalues.
    part, beta = (matrix, unit) if definite else (np.kron(X, matrix), np.kron([1, 1], unit))
    projected = np.eye(size) - np.outer(beta, beta) / (beta @ beta)
    gaps, states = np.linalg.eigh(part @ projected @ part)
    top = np.arccosh(math.exp(-solver.log_filter))
    inside = math.cosh(top / solver.filtering) * np.sqrt(1 - np.clip(gaps, 0.0, 1.0))
    angle = np.arccos(np.clip(inside, -1.0, 1.0))
    window = np.where(
        inside > 1,
        np.cosh(solver.filtering * np.arccosh(np.maximum(inside, 1.0))),
        np.cos(solver.filtering * angle),
    )
    filtered = states @ (math.exp(solver.log_filter) * window * (states.T @ (sign * state[:size])))
    output = filtered if definite else (filtered[:n] + filtered[n:]) / math.sqrt(2)
    y, chances = solver.coefficients(values, vectors.T @ unit)
    np.testing.assert_allclose(vectors @ y, output, atol=1e-9)
    assert chances.success == pytest.approx(output @ output, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 12),
    log_kappa=st.floats(0.0, 1.7),
    sign=st.sampled_from(["positive", "negative", "indefinite"]),
    log_epsilon=st.floats(-6.0, -0.7),
    seed=st.integers(0, 2**16),
)
def test_the_output_is_the_solution_within_epsilon(n, log_kappa, sign, log_epsilon, seed):
    eigenvalues = geometric(n, 10**log_kappa, indefinite=sign == "indefinite", seed=seed)
    eigenvalues = -eigenvalues if sign == "negative" else eigenvalues
    matrix, rhs = with_spectrum(eigenvalues, seed), draw(n, seed=seed + 1)
    found = emulate(matrix, rhs, "costa", 10**log_epsilon, kappa=10**log_kappa * 1.001)
    truth = torch.linalg.solve(matrix, rhs)
    assert float((found.state - truth / truth.norm()).norm()) <= 10**log_epsilon
    assert found.algorithm == "costa"
    assert found.state_preparations == 2 * found.queries
    assert found.queries <= found.expected_queries <= found.queries / found.success_probability
    assert float((found.direction - truth).norm()) <= 60 * 10**log_epsilon * float(truth.norm())


@pytest.mark.parametrize("indefinite", [True, False])
def test_a_krylov_space_gives_what_all_eigenvalues_give(indefinite):
    eigenvalues = geometric(60, 12.0, indefinite=indefinite, seed=2)
    matrix, rhs = with_spectrum(eigenvalues, 0), draw(60, seed=1)
    eigen, krylov = (emulate(matrix, rhs, "costa", 1e-3, mode=m) for m in ("eigen", "krylov"))
    assert krylov.resolved
    assert same_output(krylov, eigen)


@pytest.mark.parametrize(("definite", "constant"), [(True, 0.4), (False, 2.6)])
def test_the_walks_constant_is_about_the_one_that_was_seen(definite, constant):
    """The error that the walk leaves, times T/κ: near 1.84, far below the proven 2305."""
    seen = []
    for seed in range(6):
        values = geometric(16, 40.0, indefinite=not definite, seed=seed).numpy()
        b = draw(16, seed=seed).numpy()
        b = b / np.linalg.norm(b)
        solver = costa(Promise(alpha=1.0, kappa=40.0, held=True, definite=definite), 0.1, Walk())
        exact = b / values / np.linalg.norm(b / values)
        exact = exact if definite else np.stack([exact, exact]) / math.sqrt(2)
        error = np.linalg.norm(solver.walked(values, b) - exact)
        seen.append(error * solver.steps / 40.0)
    assert 0.05 < np.median(seen) < constant


def test_steps_and_filter_are_those_that_are_priced():
    for kappa, epsilon in ((1.0, 0.3), (30.0, 1e-2), (1000.0, 1e-6)):
        solver = costa(Promise(alpha=2.0, kappa=kappa, held=None), epsilon, Walk())
        plan = walk_plan(kappa, epsilon, 1.84, power=2)
        assert 0 <= solver.steps - float(plan.steps) <= 2
        assert 0 <= solver.filtering - float(plan.filtering) <= 2


def test_a_smaller_constant_fails_more_often_and_still_filters():
    matrix, rhs = with_spectrum(geometric(20, 30.0, indefinite=True), 0), draw(20, seed=1)
    quick, slow = (emulate(matrix, rhs, "costa", 1e-3, walk=Walk(constant=c)) for c in (0.3, 10.0))
    assert quick.success_probability < slow.success_probability
    assert quick.queries < slow.queries
    assert slow.success_probability > 0.9


def test_four_thousand_unknowns_and_thousands_of_steps_take_seconds():
    values = np.geomspace(1.0, 1e-2, 4096)
    b = np.ones(4096) / 64.0
    solver = costa(Promise(alpha=1.0, kappa=100.0, held=True, definite=True), 1e-3, Walk())
    began = time.process_time()
    y, _ = solver.coefficients(values, b)
    assert time.process_time() - began < 1.0
    exact = b / values / np.linalg.norm(b / values)
    assert np.linalg.norm(y / np.linalg.norm(y) - exact) < 1e-3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"mode": "products"}, r"take mode='eigen' or 'krylov'"),
        ({"walk": Walk(constant=1e9)}, "above the limit of 3,000,000"),
    ],
)
def test_what_is_not_walked_is_said(asked, said):
    matrix, rhs = with_spectrum([1.0, 0.1], 0), draw(2, seed=1)
    with pytest.raises(ValueError, match=said) as raised:
        emulate(matrix, rhs, "costa", 1e-3, **asked)
    assert isinstance(raised.value, SystemRefused) == ("walk" in asked)


@pytest.mark.parametrize("asked", [{"constant": 0.0}, {"power": 2.0}, {"power": 1.0}])
def test_a_walk_out_of_range_is_refused(asked):
    with pytest.raises(ValueError, match="must"):
        Walk(**asked)
