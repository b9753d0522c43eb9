"""Solvers that need a structure: a low-rank factor, zeros, damping on record; and warm starts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import splu

from qnewton.operators import DenseFactor, DenseOperator, LowRankOperator, SparseOperator
from qnewton.records import Outcome, Treatment
from qnewton.solvers import factorize, solve
from qnewton.solvers.classical import structured
from tests.cases import draw, geometric, low_rank, with_spectrum

QUICK = settings(deadline=None, max_examples=30)


@QUICK
@given(st.integers(1, 40), st.integers(1, 60), st.floats(1e-3, 1e3), st.integers(0, 9))
def test_woodbury_gives_the_direction_of_cholesky_whatever_the_shape(n, k, shift, seed):
    operator = low_rank(n, k, shift, seed)
    rhs = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found, expected = solve((operator, rhs), "woodbury"), solve((operator.dense(), rhs), "cholesky")
    assert found.solved
    # κ is at most about 1e5 here: eleven digits of sixteen are left.
    torch.testing.assert_close(found.direction, expected.direction, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("shift", [1.0, 1e-2, 1e-4, 1e-6])
def test_woodbury_does_not_cancel_for_a_gradient_in_the_span_of_its_factor(shift):
    # The general form leaves 8e-2 in float32 at 1e-6.
    operator = low_rank(2048, 64, shift, dtype=torch.float32)
    rhs = -(operator.factor @ torch.ones(64)) / 8
    solution = solve((operator, rhs), "woodbury")
    assert solution.solved
    assert solution.stats.residual is not None
    assert solution.stats.residual < 1e-5


def test_woodbury_factors_once_and_solves_many():
    operator = low_rank(50, 8, 0.5)
    factors = factorize(operator, "woodbury")
    for seed in range(3):
        rhs = torch.randn(50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        residual = factors.solve(rhs).stats.residual
        assert residual is not None
        assert residual < 1e-12


@pytest.mark.parametrize(
    ("operator", "outcome"),
    [
        (DenseOperator(torch.eye(2)), Outcome.NO_FACTOR),
        (LowRankOperator(DenseFactor(torch.ones(2, 1))), Outcome.NO_DAMPING),
        (LowRankOperator(DenseFactor(torch.full((2, 1), torch.nan)), 1.0), Outcome.NOT_FINITE),
    ],
)
def test_woodbury_says_what_it_lacks(operator, outcome):
    solution = solve((operator, torch.ones(2)), "woodbury")
    assert (solution.direction, solution.outcome) == (None, outcome)


@pytest.mark.parametrize("solver", ["sparse_cg", "sparse_lu"])
def test_sparse_solvers_read_a_sparse_operator_as_it_is(solver, monkeypatch):
    matrix = torch.diag(torch.linspace(1, 3, 30, dtype=torch.float64))
    matrix[0, 5] = matrix[5, 0] = 0.25
    operator, rhs = SparseOperator(matrix), torch.ones(30, dtype=torch.float64)
    expected = solve((matrix, rhs), "lu").direction
    monkeypatch.setattr(SparseOperator, "dense", lambda self: pytest.fail("entries were formed"))
    found = solve((operator, rhs), solver)
    assert found.solved
    torch.testing.assert_close(found.direction, expected, rtol=1e-5, atol=1e-6)


def test_sparse_lu_does_not_order_an_arrow_by_minimum_degree(monkeypatch):
    n = 900
    matrix = torch.eye(n, dtype=torch.float64)
    matrix[0, :] = matrix[:, 0] = 1e-2
    matrix[0, 0] = 2.0
    asked = []
    monkeypatch.setattr(
        structured, "splu", lambda a, permc_spec: asked.append(permc_spec) or splu(a)
    )
    for kept in (matrix, torch.eye(n, dtype=torch.float64)):
        operator, rhs = SparseOperator(kept), torch.ones(n, dtype=torch.float64)
        assert solve((operator, rhs), "sparse_lu").solved
    # Only the first has a column of more than 10√N entries.
    assert asked == ["COLAMD", "MMD_AT_PLUS_A"]


def test_sparse_solvers_refuse_entries_that_are_not_finite():
    operator = SparseOperator(torch.tensor([[torch.nan, 0.0], [0.0, 1.0]]))
    for solver in ("sparse_lu", "sparse_cg"):
        assert solve((operator, torch.ones(2)), solver).outcome is Outcome.NOT_FINITE


@pytest.mark.parametrize("solver", ["cg", "sparse_cg", "pcg_diagonal", "minres"])
def test_a_krylov_solver_started_at_the_solution_spends_one_product(solver):
    matrix = with_spectrum(geometric(40, 100.0), 1)
    rhs = draw(40, seed=2)
    cold = solve((matrix, rhs), solver)
    warm = solve((matrix, rhs), solver, start=cold.direction)
    assert warm.solved
    assert warm.stats.products == 1 < cold.stats.products


def test_a_start_that_does_not_fit_is_a_value_error():
    with pytest.raises(ValueError, match=r"start has shape \(3,\)"):
        solve((torch.eye(2), torch.ones(2)), "cg", start=torch.ones(3))


@pytest.mark.parametrize("solver", ["cg", "minres"])
def test_the_condition_number_seen_is_a_close_lower_bound(solver):
    matrix = with_spectrum(geometric(60, 50.0), 1)
    seen = solve((matrix, draw(60, seed=2)), solver, tolerance=1e-10).stats.condition
    assert seen is not None
    assert seen.value is not None
    assert 45.0 < seen.value <= 50.0 * (1 + 1e-9)


def test_minres_sees_the_condition_number_and_the_sign_of_an_indefinite_matrix():
    matrix = with_spectrum(geometric(60, 20.0, indefinite=True), 1)
    stats = solve((matrix, draw(60, seed=2)), "minres", tolerance=1e-10).stats
    assert stats.condition is not None
    assert stats.condition.value == pytest.approx(20.0, rel=0.1)
    assert stats.definiteness == "indefinite"


@pytest.mark.parametrize(
    ("solver", "sign", "found"),
    [
        ("cholesky", 1, "positive"),
        ("cholesky", -1, "indefinite"),
        ("ldl", 1, "positive"),
        ("ldl", -1, "indefinite"),
        ("cg", -1, "indefinite"),
        ("lu", 1, None),
    ],
)
def test_what_a_solve_proves_of_definiteness(solver, sign, found):
    stats = solve((sign * torch.eye(3), torch.ones(3)), solver).stats
    assert stats.definiteness == found


def test_nystrom_needs_damping_on_record_and_saves_products():
    values = torch.cat([torch.linspace(10, 1000, 40), torch.zeros(160)]).double() + 0.1
    matrix = with_spectrum(values, 3)
    rhs = draw(200, seed=4)
    refused = solve((matrix, rhs), "pcg_nystrom")
    assert refused.outcome is Outcome.NO_PRECONDITIONER
    assert refused.describe().startswith("no preconditioner: shift is 0")
    damped = DenseOperator(matrix, Treatment(damping=0.1))
    plain, sketched = solve((damped, rhs), "cg"), solve((damped, rhs), "pcg_nystrom")
    assert sketched.solved
    # What the sketch leaves is a matrix near the identity.
    assert sketched.stats.products < plain.stats.products / 4
