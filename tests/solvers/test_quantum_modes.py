"""Three ways to an output state that must agree, and what they say when they cannot."""

import math

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qnewton.cost.queries import dalzell_2024
from qnewton.solvers.quantum import cks_degree, cks_polynomial, emulate
from qnewton.solvers.quantum.dalzell import KernelFilter, dalzell
from qnewton.solvers.quantum.promise import Promise
from tests.cases import RESOLVED, draw, geometric, same_output, with_spectrum


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(2, 300),
    kappa=st.floats(1.0, 60.0),
    indefinite=st.booleans(),
    log_epsilon=st.floats(-8.0, -1.0),
    family=st.sampled_from(["optimal", "cks"]),
    seed=st.integers(0, 2**16),
)
def test_qsvt_three_ways(n, kappa, indefinite, log_epsilon, family, seed):
    eigenvalues = geometric(n, kappa, indefinite=indefinite, seed=seed)
    matrix, rhs = with_spectrum(eigenvalues, seed), draw(n, seed=seed + 1)
    eigen, products, krylov = (
        emulate(matrix, rhs, epsilon=10**log_epsilon, mode=mode, polynomial=family)
        for mode in ("eigen", "products", "krylov")
    )
    assert eigen.degree == products.degree == krylov.degree
    assert krylov.resolved
    assert same_output(products, eigen)
    assert same_output(krylov, eigen)


@pytest.mark.slow
@pytest.mark.parametrize("n", [512, 1024])
@pytest.mark.parametrize("indefinite", [False, True])
def test_resolved_within_a_quarter_of_n(n, indefinite):
    values = np.linspace(1 / 8, 1.0, n)
    if indefinite:
        values[::3] *= -1
    # A Householder reflection turns the basis: QR at this size takes longer than the test.
    v = draw(n, seed=3)
    v /= v.norm()
    turn = torch.eye(n, dtype=torch.float64) - 2 * torch.outer(v, v)
    matrix = turn @ torch.diag(torch.from_numpy(values)) @ turn
    matrix, rhs = (matrix + matrix.mT) / 2, draw(n, seed=1)
    krylov, eigen = (emulate(matrix, rhs, epsilon=1e-4, mode=m) for m in ("krylov", "eigen"))
    assert krylov.resolved
    assert krylov.products <= n / 4 + 1
    assert same_output(krylov, eigen)


def test_an_unresolved_ripple_is_said_and_is_a_solution_within_the_promise(monkeypatch):
    monkeypatch.setattr("qnewton.solvers.quantum.output_state.MAX_PRODUCTS", 100)
    n, kappa, epsilon = 600, 8.0, 1e-2
    matrix = with_spectrum(torch.linspace(1 / kappa, 1.0, n).double(), 0)
    rhs = draw(n, seed=1)
    # A loose promise: degree 6,000, of which 100 products see nothing.
    krylov, eigen = (
        emulate(matrix, rhs, epsilon=epsilon, kappa=600.0, mode=m) for m in ("krylov", "eigen")
    )
    assert not krylov.resolved
    assert krylov.products < 600
    truth = torch.linalg.solve(matrix, rhs)
    for output in (krylov, eigen):
        assert float((output.direction - truth).norm() / truth.norm()) <= epsilon
    assert float((krylov.state - eigen.state).norm()) > RESOLVED


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(2, 40),
    kappa=st.floats(1.5, 30.0),
    indefinite=st.booleans(),
    log_epsilon=st.floats(-5.0, -1.0),
    known=st.booleans(),
    seed=st.integers(0, 2**16),
)
# The solution's line hardly bends: the quadratic model's minimiser along it is 28 % too short.
@example(n=12, kappa=1.5, indefinite=True, log_epsilon=-2.0, known=True, seed=1570)
def test_dalzell_three_ways_and_within_epsilon(n, kappa, indefinite, log_epsilon, known, seed):
    epsilon = 10**log_epsilon
    eigenvalues = geometric(n, kappa, indefinite=indefinite, seed=seed)
    matrix, rhs = with_spectrum(eigenvalues, seed), draw(n, seed=seed + 1)
    truth = torch.linalg.solve(matrix, rhs)
    norm = float(truth.norm()) if known else None
    eigen, products, krylov = (
        emulate(matrix, rhs, "dalzell", epsilon, norm=norm, mode=mode)
        for mode in ("eigen", "products", "krylov")
    )
    assert same_output(products, eigen, 1e-8)
    if krylov.resolved:
        assert same_output(krylov, eigen, 1e-8)
    overlap = abs(float(eigen.state @ truth / truth.norm()))
    assert math.sqrt(max(0.0, 1 - overlap**2)) <= epsilon + 1e-7
    torch.testing.assert_close(
        eigen.direction, truth, rtol=0, atol=(3 * epsilon * kappa + 1e-6) * float(truth.norm())
    )


def test_dalzell_against_matrices_written_out():
    """G, its singular vectors and K, each as the paper writes it."""
    n, epsilon = 12, 1e-2
    matrix = with_spectrum(geometric(n, 20.0, indefinite=True), 0)
    rhs = draw(n, seed=1)
    output = emulate(matrix, rhs, "dalzell", epsilon, norm=1.3 * float(rhs.norm()))
    a = matrix.numpy() / output.alpha
    b = np.append(rhs.numpy() / np.linalg.norm(rhs.numpy()), 1.0) / math.sqrt(2)
    t = 1.3 * output.alpha
    augmented = np.asarray(scipy.linalg.block_diag(a, 1 / t))
    g = augmented - np.outer(b, b @ augmented)
    _, sigma, right = np.linalg.svd(g)
    degree, delta2 = output.queries // 2, 1 / output.kappa**2

    def chebyshev(x):
        z = (1 + delta2 - 2 * x**2) / (1 - delta2)
        return np.polynomial.chebyshev.chebval(z, [0] * degree + [1])

    k = np.asarray(-1 + 2 * (chebyshev(sigma) + 1) / (chebyshev(np.zeros(1)) + 1))
    y = np.dot(right.T, k * right[:, -1])[:-1]
    np.testing.assert_allclose(output.success_probability, y @ y, rtol=1e-8)
    np.testing.assert_allclose(output.state.numpy(), y / np.linalg.norm(y), atol=1e-8)
    eta = epsilon / math.sqrt(5)
    assert degree == math.ceil(output.kappa / 2 * math.log(2 / eta))


@pytest.mark.parametrize("off", [0.5, 1.0, 2.0])
def test_success_falls_as_predicted_when_the_norm_guess_is_off(off):
    matrix = with_spectrum(geometric(40, 50.0), 0)
    rhs, epsilon = draw(40, seed=1), 1e-3
    norm = float(torch.linalg.solve(matrix, rhs).norm())
    output = emulate(matrix, rhs, "dalzell", epsilon, norm=off * norm)
    predicted = (2 * off / (1 + off**2)) ** 2
    eta = epsilon / math.sqrt(5)
    assert predicted * ((1 - eta) / (1 + eta)) ** 2 <= output.success_probability
    assert output.success_probability == pytest.approx(predicted, abs=3 * eta)
    assert predicted == pytest.approx(1.0 if off == 1.0 else 0.64)


def test_an_unknown_norm_costs_attempts():
    matrix = with_spectrum(geometric(20, 30.0), 0)
    rhs = draw(20, seed=1)
    truth = torch.linalg.solve(matrix, rhs)
    unknown = emulate(matrix, rhs, "dalzell", 1e-3)
    known = emulate(matrix, rhs, "dalzell", 1e-3, norm=float(truth.norm()))
    # A guess within a factor of two is one of about ln κ.
    assert 1 / (math.log(30.0) + 1) <= unknown.success_probability < 1.0
    assert unknown.expected_queries > known.expected_queries
    assert abs(float(unknown.state @ truth / truth.norm())) >= 1 - 1e-6


@pytest.mark.parametrize("mode", ["eigen", "products", "krylov"])
def test_only_a_reflection_that_succeeded_is_projected(mode):
    """Expected queries are 2ℓ of every attempt and 2ℓ' of those that got so far, over p."""
    matrix = with_spectrum(geometric(12, 30.0, indefinite=True, seed=3), 0)
    rhs = draw(12, seed=1)
    found = emulate(matrix, rhs, "dalzell", 1e-3, alpha=1.0, kappa=30.0, mode=mode)
    solver = dalzell(Promise(alpha=1.0, kappa=30.0, held=True), 1e-3, None, float(rhs.norm()))
    assert solver.projection is not None
    # The reflection alone, written out: its upper half is what gets to the projection.
    unit = (rhs / rhs.norm()).numpy()
    reached = []
    for t in solver.guesses:
        a = np.zeros((13, 13))
        a[:12, :12], a[12, 12] = matrix.numpy(), 1 / t
        b = np.append(unit, 1.0) / math.sqrt(2.0)
        g = (np.eye(13) - np.outer(b, b)) @ a
        squares, vectors = np.linalg.eigh(g.T @ g)
        y = vectors @ (solver.reflection.of_squares(np.maximum(squares, 0)) * vectors[-1])
        reached.append(float(y[:12] @ y[:12]))
    attempt = 2 * solver.reflection.degree + np.mean(reached) * 2 * solver.projection.degree
    assert found.expected_queries == pytest.approx(attempt / found.success_probability, rel=1e-6)
    assert found.expected_queries < found.queries / found.success_probability
    assert found.amplified_queries <= found.expected_queries


@pytest.mark.parametrize("kappa", [1.5, 3.0, 10.0, 300.0])
@pytest.mark.parametrize("epsilon", [0.1, 1e-6, 1e-12])
def test_expected_queries_with_an_unknown_norm_stay_below_the_proven_bound(kappa, epsilon):
    """They were up to 2.8 times Eq. 118 at κ = 300, where failed attempts were projected, too."""
    spectra = [
        torch.logspace(0, -math.log10(kappa), 12, dtype=torch.float64),
        torch.tensor([1.0] * 11 + [1 / kappa], dtype=torch.float64),
        torch.linspace(1 / kappa, 1, 12, dtype=torch.float64) * torch.tensor([1, -1] * 6),
    ]
    bound = dalzell_2024(kappa=kappa, epsilon=epsilon).expected
    for values in spectra:
        for rhs in (torch.ones(12), torch.eye(12)[0], torch.eye(12)[-1]):
            found = emulate(
                torch.diag(values), rhs.double(), "dalzell", epsilon, 1.0, kappa, mode="eigen"
            )
            assert found.expected_queries <= bound


@pytest.mark.parametrize(("kappa", "epsilon"), [(1.0, 0.1), (3.0, 0.3), (50.0, 1e-3), (1e3, 1e-2)])
def test_cks_error_and_sup_norm_on_a_fine_grid(kappa, epsilon):
    polynomial = cks_polynomial(kappa, epsilon)
    assert polynomial.degree == cks_degree(kappa, epsilon)
    b = math.ceil(kappa**2 * math.log(kappa / epsilon))
    x = np.linspace(1 / kappa, 1.0, 2001)
    errors = np.abs(polynomial.evaluate(x) - 1 / x)
    assert errors.max() <= polynomial.error_bound * (1 + 1e-9)
    assert polynomial.error_bound <= 2 * epsilon
    near = np.linspace(0, 4 / math.sqrt(b), 4001)
    found = np.abs(polynomial.evaluate(near[near <= 1])).max()
    assert found <= polynomial.sup_norm * (1 + 1e-9)
    assert found == pytest.approx(polynomial.sup_norm, rel=1e-5)
    if b > 100:
        assert polynomial.sup_norm == pytest.approx(0.638 * math.sqrt(b), rel=2e-3)


@pytest.mark.slow
def test_cks_stays_stable_near_the_largest_degree():
    polynomial = cks_polynomial(1.6e4, 1e-6)
    assert 900_000 < polynomial.degree <= 1_000_000
    b = math.ceil(1.6e4**2 * math.log(1.6e4 / 1e-6))
    x = np.array([1e-6, 1e-5, 1 / 1.6e4, 1e-3, 0.3, 0.999, 1.0])
    with np.errstate(divide="ignore"):
        uncut = -np.expm1(b * np.log1p(-(x**2))) / x
    np.testing.assert_allclose(polynomial.evaluate(x), uncut, rtol=0, atol=1e-6)


def test_the_kernel_filter_holds_at_a_million_queries():
    kernel = KernelFilter(kappa=7e4, degree=500_000)
    x = np.append(0.0, np.geomspace(1 / kernel.kappa, 1.0, 40))
    with mpmath.workdps(60):
        delta2 = 1 / mpmath.mpf(kernel.kappa) ** 2

        def grown(square):
            z = (1 + delta2 - 2 * square) / (1 - delta2)
            angle = mpmath.acosh(z) if z > 1 else mpmath.acos(max(z, mpmath.mpf(-1)))
            return (mpmath.cosh if z > 1 else mpmath.cos)(kernel.degree * angle) + 1

        exact = [-1 + 2 * grown(mpmath.mpf(float(v)) ** 2) / grown(mpmath.mpf(0)) for v in x]
    # The cosine of 500,000 times an angle that is known to 16 digits, over T(z₀) = 8e5.
    np.testing.assert_allclose(kernel.of_squares(x**2), [float(v) for v in exact], atol=1e-14)


def test_the_kernel_filter_s_recurrence_follows_its_closed_form():
    kernel = KernelFilter(kappa=3e3, degree=20_000)
    squares = torch.cat([torch.zeros(1), torch.logspace(-6.9, 0.0, 15)]).double()
    found = kernel.apply(lambda v: squares * v, torch.ones(16, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), kernel.of_squares(squares.numpy()), atol=1e-10)
