"""LDLᵀ and MINRES: any signature, with the signs counted and negative curvature found."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseOperator, MatrixFreeOperator
from qnewton.records import Outcome
from qnewton.solvers.classical import (
    DiagonalPreconditioner,
    LDLFactorization,
    MinimumResidual,
    NystromPreconditioner,
    SparseLUFactorization,
    conjugate_gradients,
    minimum_residual,
)
from tests.cases import draw, geometric, with_spectrum

SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**16)


@settings(deadline=None, max_examples=40)
@given(n=SIZES, seed=SEEDS)
def test_inertia_counts_the_signs_of_the_eigenvalues(n, seed):
    values = geometric(n, 1e3, indefinite=True, seed=seed)
    factors = LDLFactorization(DenseOperator(with_spectrum(values, seed)))
    inertia = factors.inertia()
    assert (inertia.positive, inertia.negative, inertia.zero) == (
        int((values > 0).sum()),
        int((values < 0).sum()),
        0,
    )


def test_inertia_of_two_by_two_blocks():
    # A zero diagonal forces LAPACK to pair every row.
    matrix = torch.zeros(6, 6, dtype=torch.float64)
    for first in (0, 2, 4):
        matrix[first, first + 1] = matrix[first + 1, first] = 1.0
    inertia = LDLFactorization(DenseOperator(matrix)).inertia()
    assert (inertia.positive, inertia.negative, inertia.zero) == (3, 3, 0)


def test_a_singular_matrix_is_reported_and_has_no_inertia():
    factors = LDLFactorization(DenseOperator(torch.zeros(3, 3)))
    assert factors.outcome is Outcome.SINGULAR
    assert factors.solve(torch.ones(3)).outcome is Outcome.SINGULAR
    with pytest.raises(ValueError, match="singular has no LDLᵀ inertia"):
        factors.inertia()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_minres_takes_one_product_a_distinct_eigenvalue_in_spite_of_rounding(dtype):
    # With a three-term recurrence alone it takes 222 in float32 and 125 in float64.
    outer = torch.logspace(-2, 0, 30, dtype=torch.float64)
    values = torch.cat([outer, -outer, torch.full((240,), 0.1, dtype=torch.float64)])
    matrix = with_spectrum(values, seed=0).to(dtype)
    rhs = draw(300, dtype=dtype)
    solution = minimum_residual(DenseOperator(matrix), rhs, tolerance=1e-5)
    assert solution.solved
    assert solution.stats.products <= 61 + 3


@settings(deadline=None, max_examples=40)
@given(n=SIZES, kappa=st.floats(1.0, 300.0), seed=SEEDS)
def test_minres_solves_indefinite_systems_within_its_bound(n, kappa, seed):
    matrix = with_spectrum(geometric(n, kappa, indefinite=True, seed=seed), seed)
    solution = minimum_residual(DenseOperator(matrix), draw(n, seed=seed + 1), tolerance=1e-6)
    assert solution.solved
    assert solution.stats.residual is not None
    assert solution.stats.residual <= 1e-6
    # Twice [(κ-1)/(κ+1)]^⌊k/2⌋ ≤ ε; half of ε is aimed at.
    rate = math.log((kappa + 1) / (kappa - 1)) if kappa > 1.0001 else math.inf
    assert solution.stats.products <= 2 * math.log(2 / 5e-7) / rate + 3


def test_minres_residuals_never_grow_and_are_the_true_ones():
    matrix = with_spectrum(geometric(30, 50.0, indefinite=True), 3)
    rhs = draw(30, seed=4)
    process, before = MinimumResidual(DenseOperator(matrix), rhs), math.inf
    while not process.finished and process.residual > 1e-8:
        process.advance()
        assert process.residual <= before
        before = process.residual
        true = float((rhs - matrix @ process.x).norm())
        assert true == pytest.approx(process.residual, rel=1e-6, abs=1e-10)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 30), seed=SEEDS)
def test_negative_curvature_is_met_as_soon_as_a_residual_has_it(n, seed):
    matrix = with_spectrum(geometric(n, 20.0, indefinite=True, seed=seed), seed)
    rhs = draw(n, seed=seed + 1)
    process = MinimumResidual(DenseOperator(matrix), rhs)
    while not process.finished and process.residual > 1e-6:
        residual = rhs - matrix @ process.x
        unit = residual / residual.norm()
        curvature = float(unit @ matrix @ unit)
        seen = process.negative
        process.advance()
        if seen is None and process.negative is not None:
            assert process.negative.curvature == pytest.approx(curvature, abs=1e-6)
            assert float(unit @ process.negative.direction) == pytest.approx(1.0, abs=1e-6)
            assert float(rhs @ process.negative.direction) > 0
        elif process.negative is None:
            assert curvature > -1e-9


def test_sparse_factors_of_a_chain_stay_sparse():
    n = 200
    matrix = 2.1 * torch.eye(n, dtype=torch.float64)
    matrix -= torch.diag(torch.ones(n - 1), 1) + torch.diag(torch.ones(n - 1), -1)
    factors = SparseLUFactorization(DenseOperator(matrix))
    assert factors.solve(torch.ones(n, dtype=torch.float64)).solved
    assert factors.fill <= 5 * n
    singular = SparseLUFactorization(DenseOperator(torch.zeros(2, 2)))
    with pytest.raises(ValueError, match="singular has no factors"):
        _ = singular.fill


def test_minres_counts_its_products_and_stops_at_its_budget():
    matrix, calls = with_spectrum(geometric(40, 1e4), 0), []

    def multiply(v):
        calls.append(v)
        return matrix @ v

    operator = MatrixFreeOperator(40, multiply, dtype=torch.float64)
    solution = minimum_residual(operator, draw(40, seed=1), max_products=5)
    assert solution.describe() == "not converged in 5 products"
    assert solution.stats.products == 5
    assert len(calls) == 7  # two more check the residual, before and after trying to refine


def test_minres_reports_what_it_cannot_solve():
    singular = DenseOperator(torch.diag(torch.tensor([1.0, 0.0])))
    assert minimum_residual(singular, torch.ones(2)).outcome is Outcome.RESIDUAL
    broken = MatrixFreeOperator(2, lambda v: v * torch.nan)
    assert minimum_residual(broken, torch.ones(2)).outcome is Outcome.NOT_FINITE


def test_a_start_near_the_solution_saves_products():
    matrix = with_spectrum(geometric(60, 1e3), 0)
    rhs = draw(60, seed=1)
    exact = torch.linalg.solve(matrix, rhs)
    operator = DenseOperator(matrix)
    cold = conjugate_gradients(operator, rhs)
    warm = conjugate_gradients(operator, rhs, start=exact * (1 + 1e-4))
    assert warm.solved
    assert warm.stats.products < cold.stats.products
    assert conjugate_gradients(operator, rhs, start=exact).stats.products == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_nystrom_removes_the_leading_eigenvalues(dtype):
    leading = torch.logspace(4, 2, 10, dtype=torch.float64)
    values = torch.cat([leading, torch.linspace(0.0, 0.5, 90, dtype=torch.float64)])
    operator = DenseOperator(with_spectrum(values + 1.0, 0, dtype))
    rhs = draw(100, seed=1, dtype=dtype)
    inverse = NystromPreconditioner(operator, shift=1.0, rank=20)
    plain = conjugate_gradients(operator, rhs)
    helped = conjugate_gradients(operator, rhs, preconditioner=inverse)
    assert plain.solved
    assert helped.solved
    assert helped.stats.products <= plain.stats.products / 3
    # What is left of κ is at most about (λ_{k+1} + λ)/λ = 1.5, up to the sketch's error.
    dense = torch.stack([inverse(column) for column in torch.eye(100, dtype=dtype)], dim=1)
    left = torch.linalg.eigvals(dense.double() @ operator.dense().double()).real
    assert float(left.max() / left.min()) < 3.0


@settings(deadline=None, max_examples=20)
@given(n=st.integers(2, 30), seed=SEEDS)
def test_preconditioned_gradients_reach_the_same_solution(n, seed):
    matrix = with_spectrum(geometric(n, 100.0), seed)
    rhs, operator = draw(n, seed=seed + 1), DenseOperator(matrix)
    exact = torch.linalg.solve(matrix, rhs)
    for inverse in (
        DiagonalPreconditioner(operator),
        NystromPreconditioner(operator, shift=0.005, rank=min(5, n)),
    ):
        solution = conjugate_gradients(operator, rhs, 1e-10, preconditioner=inverse)
        assert solution.solved
        assert solution.direction is not None
        assert torch.allclose(solution.direction, exact, rtol=1e-6, atol=1e-7)


def test_preconditioners_refuse_what_they_cannot_help():
    indefinite = DenseOperator(torch.diag(torch.tensor([1.0, -1.0, 2.0])))
    with pytest.raises(ValueError, match="smallest diagonal entry is -1"):
        DiagonalPreconditioner(indefinite)
    with pytest.raises(ValueError, match="not positive semidefinite"):
        NystromPreconditioner(indefinite, shift=0.5, rank=3)
    with pytest.raises(ValueError, match=r"rank is 4; it must lie between 1 and N = 3"):
        NystromPreconditioner(indefinite, shift=0.5, rank=4)
    with pytest.raises(ValueError, match=r"shift is 0\.0"):
        NystromPreconditioner(indefinite, shift=0.0, rank=1)
