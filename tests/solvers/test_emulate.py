"""The emulated quantum solver against an independent evaluation of its own polynomial."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseOperator, MatrixFreeOperator
from qnewton.queries.polynomials import closed_form
from qnewton.records import Outcome
from qnewton.solvers import solve
from qnewton.solvers.quantum import Clock, SystemRefused, emulate, inverse_polynomial
from qnewton.solvers.quantum import promise as promises
from tests.cases import draw, geometric, with_spectrum


def by_eigendecomposition(matrix, rhs, solution):
    """Return (direction, ‖y‖²) of the closed form, never touching coefficients or recurrences."""
    values, vectors = np.linalg.eigh(matrix.double().numpy())
    n = (solution.degree + 1) // 2
    scaled = values / solution.alpha
    factors = closed_form(scaled, solution.kappa, n) if n > 1 else solution.kappa * scaled
    unit = rhs.double().numpy() / np.linalg.norm(rhs.double().numpy())
    image = vectors @ (factors * (vectors.T @ unit))
    sup_norm = inverse_polynomial(solution.kappa, solution.epsilon).sup_norm
    probability = float(np.linalg.norm(image / sup_norm) ** 2)
    return image * float(rhs.double().norm()) / solution.alpha, probability


@pytest.mark.slow
@settings(deadline=None, max_examples=120)
@given(
    n=st.integers(2, 60),
    kappa=st.floats(1.0, 200.0),
    indefinite=st.booleans(),
    log_epsilon=st.floats(-8.0, -0.5),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 2**16),
)
def test_products_equal_the_eigendecomposition_and_solve_the_system(
    n, kappa, indefinite, log_epsilon, scale, seed
):
    eigenvalues = scale * geometric(n, kappa, indefinite=indefinite, seed=seed)
    matrix, rhs = with_spectrum(eigenvalues, seed), draw(n, seed=seed + 1)
    solution = emulate(matrix, rhs, epsilon=10**log_epsilon)

    direction, probability = by_eigendecomposition(matrix, rhs, solution)
    assert np.linalg.norm(solution.direction.numpy() - direction) <= 1e-8 * np.linalg.norm(
        direction
    )
    assert solution.success_probability == pytest.approx(probability, rel=1e-8)
    other = emulate(matrix, rhs, epsilon=10**log_epsilon, mode="eigen")
    assert other.degree == solution.degree == solution.products
    assert other.products == 0
    torch.testing.assert_close(other.state, solution.state, rtol=0, atol=1e-8)

    truth = torch.linalg.solve(matrix, rhs)
    error = float((solution.direction - truth).norm() / truth.norm())
    assert solution.promise_held is True
    assert solution.error_bound is not None
    assert error <= solution.error_bound + 1e-11 <= solution.epsilon + 2e-11
    assert (
        float((matrix @ solution.direction - rhs).norm() / rhs.norm()) <= solution.epsilon + 1e-11
    )


@pytest.mark.slow
@pytest.mark.parametrize("indefinite", [False, True])
def test_a_large_degree(indefinite):
    matrix = with_spectrum(geometric(40, 3e3, indefinite=indefinite), 1)
    rhs = draw(40, seed=2)
    solution = emulate(matrix, rhs, epsilon=1e-6)
    assert solution.degree > 60_000
    direction, probability = by_eigendecomposition(matrix, rhs, solution)
    assert np.linalg.norm(solution.direction.numpy() - direction) <= 1e-8 * np.linalg.norm(
        direction
    )
    assert solution.success_probability == pytest.approx(probability, rel=1e-8)


def test_counts_and_scales_fit_together():
    matrix, rhs = with_spectrum(geometric(10, 20.0), 0), draw(10, seed=1)
    solution = emulate(matrix, rhs, epsilon=1e-3)
    assert solution.queries == solution.degree
    assert solution.expected_queries == solution.queries / solution.success_probability
    assert solution.queries < solution.amplified_queries < solution.expected_queries
    assert float(solution.state.norm()) == pytest.approx(1.0, abs=1e-14)
    assert float(solution.state @ solution.direction / solution.direction.norm()) == pytest.approx(
        1
    )
    assert solution.alpha == pytest.approx(1.0, abs=1e-12)
    assert solution.kappa == pytest.approx(20.0, rel=1e-10)
    sup_norm = inverse_polynomial(solution.kappa, 1e-3).sup_norm
    rebuilt = solution.state * math.sqrt(solution.success_probability) * sup_norm
    torch.testing.assert_close(rebuilt * float(rhs.norm()) / solution.alpha, solution.direction)
    stats = solution.stats()
    for name in ("queries", "expected_queries", "degree", "alpha", "kappa", "promise_held"):
        assert getattr(stats, name) == getattr(solution, name)


def test_a_larger_alpha_costs_degree_and_probability_but_keeps_the_direction():
    matrix, rhs = with_spectrum(geometric(10, 20.0), 0), draw(10, seed=1)
    tight, loose = emulate(matrix, rhs), emulate(matrix, rhs, alpha=4.0)
    assert loose.kappa == pytest.approx(4 * tight.kappa)
    assert loose.degree > 4 * tight.degree * 0.99
    assert loose.success_probability < tight.success_probability
    torch.testing.assert_close(loose.direction, tight.direction, rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(3, 20), shortfall=st.floats(2.0, 10.0), seed=st.integers(0, 2**16))
def test_a_broken_promise_is_reported_and_shows(n, shortfall, seed):
    kappa = 50.0
    matrix = with_spectrum(geometric(n, kappa, indefinite=True, seed=seed), seed)
    rhs = draw(n, seed=seed + 1)
    epsilon = 1e-4
    solution = emulate(matrix, rhs, epsilon=epsilon, kappa=kappa / shortfall)
    assert solution.promise_held is False
    assert solution.error_bound is None
    truth = torch.linalg.solve(matrix, rhs)
    # The component on σ_min, where P is off by a fixed share, may be a small part of x.
    values, vectors = torch.linalg.eigh(matrix)
    smallest = vectors[:, values.abs().argmin()]
    missed = (smallest @ (solution.direction - truth)).abs() / (smallest @ truth).abs()
    assert float(missed) > epsilon
    output, _ = by_eigendecomposition(matrix, rhs, solution)
    np.testing.assert_allclose(solution.direction.numpy(), output, atol=1e-9, rtol=1e-8)


def test_a_certified_promise_spares_the_eigenvalues(monkeypatch):
    matrix, rhs = with_spectrum(geometric(10, 20.0), 0), draw(10, seed=1)
    measured = emulate(matrix, rhs)
    monkeypatch.setattr(torch.linalg, "eigvalsh", None)
    given_both = emulate(matrix, rhs, alpha=measured.alpha, kappa=measured.kappa)
    assert given_both.promise_held is True
    torch.testing.assert_close(given_both.direction, measured.direction)


@settings(deadline=None, max_examples=40)
@given(
    indefinite=st.booleans(),
    alpha=st.floats(1.01, 3.0),
    kappa=st.floats(2.0, 100.0),
    seed=st.integers(0, 2**16),
)
def test_the_certificate_and_the_eigenvalues_agree(indefinite, alpha, kappa, seed):
    eigenvalues = geometric(8, 20.0, indefinite=indefinite, seed=seed)
    matrix, rhs = with_spectrum(eigenvalues, seed), draw(8, seed=seed)
    solutions = [
        emulate(matrix, rhs, epsilon=0.1, alpha=alpha, kappa=kappa, mode=mode)
        for mode in ("products", "eigen")
    ]
    assert {s.promise_held for s in solutions} == {kappa >= 20.0 * alpha}


def test_a_broken_promise_through_solve():
    matrix, rhs = with_spectrum(geometric(10, 50.0), 0), draw(10, seed=1)
    solution = solve((matrix, rhs), "qsvt", kappa=5.0)
    assert solution.describe().startswith("promise broken, residual")
    assert solution.outcome is Outcome.PROMISE_BROKEN
    assert solution.stats.quantum is not None
    assert solution.stats.quantum.promise_held is False


def test_the_solver_is_held_to_its_own_epsilon():
    matrix, rhs = with_spectrum(geometric(10, 50.0), 0), draw(10, seed=1)
    rough, fine = (solve((matrix, rhs), "qsvt", epsilon=e) for e in (0.1, 1e-10))
    assert rough.solved
    assert fine.solved
    assert rough.stats.residual is not None
    assert fine.stats.residual is not None
    assert 1e-6 < rough.stats.residual <= 0.1
    assert fine.stats.residual <= 1e-10


def test_float32_runs_in_float64_inside():
    matrix = with_spectrum(geometric(30, 500.0), 0, torch.float32)
    rhs = draw(30, seed=1, dtype=torch.float32)
    single, double = emulate(matrix, rhs), emulate(matrix.double(), rhs.double())
    assert single.direction.dtype == torch.float32
    assert single.state.dtype == torch.float64
    assert single.degree == double.degree
    torch.testing.assert_close(single.state, double.state, rtol=0, atol=1e-12)


def test_no_classical_solve_hides_behind_the_quantum_name(monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("a classical solve was called")

    for name in ("solve", "solve_ex", "inv", "inv_ex", "lu_factor_ex", "cholesky_ex", "lstsq"):
        monkeypatch.setattr(torch.linalg, name, forbidden)
    matrix, rhs = with_spectrum(geometric(10, 20.0), 0), draw(10, seed=1)
    coarse, fine = emulate(matrix, rhs, epsilon=0.3), emulate(matrix, rhs, epsilon=1e-8)
    # The coarse direction has the polynomial's own error: it is no exact solution renamed.
    assert float((coarse.direction - fine.direction).norm() / fine.direction.norm()) > 1e-5


class TestAboveTheExactLimit:
    """Matrices too large for their eigenvalues, played by small ones under a lowered limit."""

    @pytest.fixture(autouse=True)
    def _lower_the_limit(self, monkeypatch):
        monkeypatch.setattr(promises, "EXACT_LIMIT", 8)

    def test_alpha_and_kappa_are_estimated_and_the_promise_stays_unknown(self):
        matrix = with_spectrum(geometric(80, 40.0, indefinite=True), 0)
        rhs = draw(80, seed=1)
        solution = emulate(matrix, rhs, epsilon=1e-6)
        assert solution.promise_held is None
        assert solution.error_bound is not None
        assert 1.0 <= solution.alpha <= 1.0101
        assert 40.0 <= solution.kappa <= 42.0
        truth = torch.linalg.solve(matrix, rhs)
        assert float((solution.direction - truth).norm() / truth.norm()) <= 1e-6

    @pytest.mark.parametrize("alpha", [0.9, 0.99, 1e-5])
    def test_an_alpha_below_the_norm_is_caught_by_the_growth(self, alpha):
        matrix = with_spectrum(geometric(30, 40.0), 0)
        with pytest.raises(SystemRefused, match=f"alpha={alpha:g} is below ‖A‖₂ ≥ 1"):
            emulate(matrix, draw(30, seed=1), alpha=alpha, kappa=60.0)

    def test_a_float64_matrix_free_operator_is_never_formed(self):
        matrix = with_spectrum(geometric(30, 40.0), 0)

        class Jealous(MatrixFreeOperator):
            def dense(self):
                raise AssertionError("the entries were asked for")

        operator = Jealous(30, lambda v: matrix @ v, dtype=torch.float64)
        rhs = draw(30, seed=1)
        lazy = emulate(operator, rhs, alpha=1.01, kappa=41.0)
        torch.testing.assert_close(
            lazy.direction, emulate(matrix, rhs, alpha=1.01, kappa=41.0).direction
        )

    def test_products_that_are_not_finite(self):
        operator = MatrixFreeOperator(30, lambda v: v / 0.0, dtype=torch.float64)
        for alpha, kappa in ((None, None), (1.0, 2.0)):
            with pytest.raises(SystemRefused, match=r"product .*is not finite"):
                emulate(operator, torch.ones(30), alpha=alpha, kappa=kappa)

    def test_a_zero_matrix(self):
        with pytest.raises(SystemRefused, match="the matrix is zero"):
            emulate(torch.zeros(30, 30), torch.ones(30))


def test_an_alpha_below_the_norm_is_refused_at_once():
    matrix = with_spectrum([3.0, -2.0, 1.0], 0)
    with pytest.raises(SystemRefused, match=r"alpha=2.9 is below ‖A‖₂ = 3"):
        emulate(matrix, draw(3, seed=1), alpha=2.9)
    refused = solve((matrix, draw(3, seed=1)), "qsvt", alpha=2.9)
    assert refused.outcome is Outcome.ALPHA_TOO_SMALL
    assert refused.describe() == "alpha below the norm"


def test_a_degree_beyond_the_limit_is_an_outcome():
    matrix, rhs = torch.diag(torch.tensor([1.0, 1e-9]).double()), draw(2, seed=0)
    with pytest.raises(SystemRefused, match="above the limit of 1,000,000; add damping"):
        emulate(matrix, rhs)
    refused = solve((matrix, rhs), "qsvt")
    assert refused.outcome is Outcome.DEGREE_TOO_HIGH
    assert refused.describe().startswith("degree 3.")


EYE = torch.eye(2, dtype=torch.float64)
ONES = torch.ones(2, dtype=torch.float64)
NAN = torch.tensor([[1.0, torch.nan], [torch.nan, 1.0]])


@pytest.mark.parametrize(
    ("matrix", "rhs", "arguments", "message"),
    [
        (torch.tensor([[1.0, 2.0], [0.0, 1.0]]), ONES, {}, "not symmetric"),
        (DenseOperator(torch.tensor([[1.0, 2.0], [0.0, 1.0]])), ONES, {}, "not symmetric"),
        (torch.ones(2, 2), ONES, {}, "singular to working precision"),
        (torch.zeros(2, 2), ONES, {}, "the matrix is zero"),
        (torch.ones(2, 3), ONES, {}, "square"),
        (torch.zeros(0, 0), torch.zeros(0), {}, "zero|empty"),
        (NAN, ONES, {}, "matrix has entries that are not finite"),
        (DenseOperator(NAN), ONES, {}, "matrix has entries that are not finite"),
        (EYE, torch.ones(3), {}, r"right-hand side has shape \(3,\)"),
        (EYE, torch.ones(2, 1), {}, "right-hand side has shape"),
        (EYE, torch.ones(2, dtype=torch.int64), {}, "dtype torch.int64"),
        (EYE, torch.zeros(2), {}, "right-hand side is zero"),
        (EYE, ONES * torch.nan, {}, "right-hand side has entries that are not finite"),
        (EYE, ONES, {"epsilon": 0.0}, "epsilon is 0.0"),
        (EYE, ONES, {"epsilon": 1.5}, "epsilon is 1.5"),
        (EYE, ONES, {"kappa": 0.5}, "kappa is 0.5"),
        (EYE, ONES, {"alpha": -1.0}, "alpha is -1.0"),
        (EYE, ONES, {"alpha": math.nan}, "alpha is nan"),
        (EYE, ONES, {"algorithm": "vqls"}, "'vqls' is not known; known: qsvt, dalzell, hhl"),
        (EYE, ONES, {"mode": "dense"}, "'dense' is not known; known: auto, products"),
        (EYE, ONES, {"polynomial": "taylor"}, "'taylor' is not known; known: optimal, cks"),
        (EYE, ONES, {"algorithm": "dalzell", "norm": -1.0}, "norm is -1.0"),
        (EYE, ONES, {"algorithm": "hhl", "clock": Clock(qubits=0)}, "0 qubits"),
        (EYE, ONES, {"algorithm": "hhl", "clock": Clock(time=4.0)}, "evolution time is 4"),
        (EYE, ONES, {"algorithm": "hhl", "clock": Clock(rotation=-1.0)}, "rotation constant is -1"),
        (EYE, ONES, {"algorithm": "hhl", "epsilon": 1e-9}, "clock of 32 qubits"),
    ],
)
def test_one_clear_line_each(matrix, rhs, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        emulate(matrix, rhs, **arguments)
    assert "\n" not in str(caught.value)


def test_a_singular_matrix_runs_when_kappa_is_given():
    matrix = torch.ones(2, 2, dtype=torch.float64)
    solution = emulate(matrix, ONES, kappa=2.0)
    assert solution.promise_held is False
    # b lies in the range, so the output is the pseudo-inverse's.
    torch.testing.assert_close(solution.direction, ONES / 2, rtol=1e-5, atol=0)
