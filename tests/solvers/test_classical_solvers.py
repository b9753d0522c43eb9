"""Conjugate gradients and iterative refinement: what the table of solvers does not show."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseOperator, MatrixFreeOperator, dense
from qnewton.records import Outcome
from qnewton.solvers import factorize, solve
from qnewton.solvers.classical import (
    conjugate_gradients,
    judge,
    refinement,
    relative_residual,
    residual_vector,
)
from tests.cases import draw, geometric, with_spectrum


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 40), kappa=st.floats(1.0, 1e3), seed=st.integers(0, 2**16))
def test_cg_meets_its_tolerance_within_the_textbook_bound(n, kappa, seed):
    matrix = with_spectrum(geometric(n, kappa), seed)
    solution = conjugate_gradients(DenseOperator(matrix), draw(n, seed=seed), tolerance=1e-6)
    assert solution.solved
    assert solution.stats.residual is not None
    assert solution.stats.residual <= 1e-6
    # cg aims at half the tolerance; +1 because products are whole.
    bound = 0.5 * math.sqrt(kappa) * math.log(2 * math.sqrt(kappa) / 5e-7) + 1
    assert solution.stats.products <= bound


def test_cg_is_exact_after_as_many_products_as_distinct_eigenvalues():
    matrix = with_spectrum([1.0, 1.0, 1.0, 2.0, 2.0, 5.0, 5.0, 5.0], 0)
    solution = conjugate_gradients(DenseOperator(matrix), draw(8, seed=0), tolerance=1e-10)
    assert solution.stats.products == 3


def test_cg_counts_exactly_the_products_it_makes():
    matrix = with_spectrum(geometric(20, 50.0), 0)
    calls = 0

    def multiply(v):
        nonlocal calls
        calls += 1
        return matrix @ v

    operator = MatrixFreeOperator(20, multiply, dtype=torch.float64)
    solution = conjugate_gradients(operator, draw(20, seed=1))
    # One more product checks the residual.
    assert calls == solution.stats.products + 1


def test_cg_stops_at_its_budget_and_keeps_the_last_iterate():
    matrix = with_spectrum(geometric(50, 1e4), 0)
    solution = conjugate_gradients(DenseOperator(matrix), draw(50, seed=1), max_products=7)
    assert solution.describe() == "not converged in 7 products"
    assert solution.stats.products == 7
    assert solution.direction is not None
    assert solution.stats.residual == pytest.approx(
        relative_residual(matrix, solution.direction, draw(50, seed=1))
    )


def test_cg_finds_one_hidden_negative_eigenvalue():
    matrix = with_spectrum([*([1.0] * 30), 2.0, -1e-3], 0)
    solution = conjugate_gradients(DenseOperator(matrix), draw(32, seed=0))
    assert solution.outcome is Outcome.NOT_DEFINITE
    assert solution.direction is None


def test_cg_never_asks_for_the_entries():
    class Jealous(MatrixFreeOperator):
        def dense(self):
            raise AssertionError("cg must not form the matrix")

    operator = Jealous(4, lambda v: 3 * v)
    assert solve((operator, torch.ones(4)), "cg").solved


def test_cg_reports_products_that_are_not_finite():
    operator = MatrixFreeOperator(3, lambda v: v / 0.0)
    solution = conjugate_gradients(operator, torch.ones(3))
    assert (solution.outcome, solution.direction) == (Outcome.NOT_FINITE, None)


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1.0, 1e30])
@pytest.mark.parametrize("solver", ["lu_inverse", "lu", "cholesky", "cg", "qsvt"])
def test_the_scale_of_the_gradient_does_not_matter_in_float32(solver, scale):
    # Squares of 1e-30 vanish in float32, squares of 1e30 overflow.
    matrix = with_spectrum(geometric(12, 10.0), 0, torch.float32)
    rhs = draw(12, seed=1, dtype=torch.float32) * scale
    solution = solve((matrix, rhs), solver)
    assert solution.solved
    assert solution.direction is not None
    truth = torch.linalg.solve(matrix.double(), rhs.double())
    assert (solution.direction.double() - truth).norm() <= 1e-4 * truth.norm()


@pytest.mark.parametrize("kind", ["cholesky", "lu", "lu_inverse"])
def test_refinement_in_float32_reaches_what_the_dtype_can_hold(kind):
    # At κ = 1e5 a plain float32 solve loses 3 of 7 digits; refined, x is right to about 1e-6.
    matrix = with_spectrum(geometric(60, 1e5), 0, torch.float32)
    rhs = draw(60, seed=1, dtype=torch.float32)
    truth = torch.linalg.solve(matrix.double(), rhs.double())
    solution = factorize(matrix, kind).solve(rhs)
    assert solution.direction is not None
    assert 1 <= solution.stats.refinements <= refinement.MAX_REFINEMENTS
    assert (solution.direction.double() - truth).norm() <= 1e-4 * truth.norm()


def test_no_refinement_is_spent_on_a_good_solution():
    matrix = with_spectrum(geometric(60, 10.0), 0)
    assert factorize(matrix).solve(draw(60, seed=1)).stats.refinements == 0


def test_the_residual_is_accumulated_in_float64_whatever_the_block(monkeypatch):
    matrix = with_spectrum(geometric(30, 10.0), 0, torch.float32)
    x, rhs = draw(30, seed=1, dtype=torch.float32), draw(30, seed=2, dtype=torch.float32)
    exact = rhs.double() - matrix.double() @ x.double()
    monkeypatch.setattr(
        dense, "_PANEL_ENTRIES", {"cpu": 100, "cuda": 100}
    )  # ten blocks of three rows
    torch.testing.assert_close(residual_vector(matrix, x, rhs), exact, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(
        residual_vector(DenseOperator(matrix), x, rhs), exact, rtol=1e-13, atol=1e-14
    )


@pytest.mark.parametrize(
    ("residual", "tolerance", "dtype", "outcome", "text"),
    [
        (1e-6, 1e-6, torch.float64, Outcome.SOLVED, "solved"),
        (2e-8, 1e-9, torch.float64, Outcome.RESIDUAL, "residual 2e-08 above 1e-08"),
        (1e-3, 1e-6, torch.float32, Outcome.RESIDUAL, "residual 1e-03 above 3e-04"),
        (1e-3, 1e-2, torch.float32, Outcome.SOLVED, "solved"),
        (math.nan, 1e-2, torch.float32, Outcome.RESIDUAL, "residual nan above 1e-02"),
    ],
)
def test_the_rule_for_solved(residual, tolerance, dtype, outcome, text):
    found, detail = judge(residual, tolerance, dtype)
    assert (found, found.describe(detail)) == (outcome, text)


def test_cg_does_not_find_outliers_again():
    """Ten outliers above ones: eleven products, which rounding in float32 had made 21."""
    eigenvalues = torch.ones(300, dtype=torch.float64)
    eigenvalues[:10] = torch.logspace(1, 4, 10, dtype=torch.float64)
    matrix, rhs = with_spectrum(eigenvalues, 0).float(), draw(300, dtype=torch.float32)
    solution = conjugate_gradients(DenseOperator(matrix), rhs, tolerance=1e-4)
    assert solution.solved
    assert solution.direction is not None
    assert solution.stats.products <= 15
    bare = matrix @ solution.direction - rhs
    assert float(bare.norm() / rhs.norm()) <= 2e-4
