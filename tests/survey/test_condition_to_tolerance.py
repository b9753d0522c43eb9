"""Asked for κ without a budget, ``condition_number`` meets its tolerance."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LowRankOperator,
    MatrixFreeOperator,
    NegatedOperator,
    SparseOperator,
)
from qnewton.survey import condition_number, survey


def reflected(values, seed=0, dtype=torch.float64):
    """Return a dense matrix of these eigenvalues: two Householder reflections, O(N²)."""
    matrix = torch.diag(torch.as_tensor(values, dtype=torch.float64))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(2):
        v = torch.randn(len(values), generator=generator, dtype=torch.float64)
        v /= v.norm()
        matrix -= 2 * torch.outer(v, v @ matrix)
        matrix -= 2 * torch.outer(matrix @ v, v)
    return ((matrix + matrix.mT) / 2).to(dtype)


def graded(n, kappa, indefinite=False):
    values = np.geomspace(1.0 / kappa, 1.0, n)
    values[1::3] *= -1.0 if indefinite else 1.0
    return values


@pytest.mark.parametrize("kappa", [1.5, 2.0, 30.0, 1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("n", [600, 513])
def test_an_ordinary_dense_matrix_has_a_value(n, kappa):
    found = condition_number(reflected(graded(n, kappa)))
    # Rounding the entries moves the smallest eigenvalue by an ulp of the norm.
    assert found.value == pytest.approx(kappa, rel=0.01 + 3e-15 * kappa)
    assert found.value is not None
    assert (found.low or 0.0) <= found.value <= (found.high or 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("kappa", [2.0, 1e2, 1e5, 1e12])
def test_a_large_dense_matrix_has_a_value(kappa):
    found = condition_number(reflected(graded(2_000, kappa)))
    assert found.value == pytest.approx(kappa, rel=0.01 + 3e-15 * kappa)


@pytest.mark.parametrize("kappa", [2.0, 1e2, 1e5, 1e10])
def test_an_indefinite_matrix_has_a_value(kappa):
    found = condition_number(reflected(graded(300, kappa, indefinite=True)))
    assert found.value == pytest.approx(kappa, rel=0.01)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 90),
    decades=st.floats(0.0, 11.0),
    kind=st.sampled_from(["drawn", "repeated", "two", "diagonal", "lonely"]),
    signs=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_it_agrees_with_numpy(seed, n, decades, kind, signs, dtype):
    rng = np.random.default_rng(seed)
    sizes = 10.0 ** (-decades * rng.random(n))
    if kind == "repeated":
        sizes = rng.choice(sizes[:3], n)
    elif kind == "two":
        sizes = np.where(np.arange(n) < 1, 1.0, 10.0**-decades)
    elif kind == "lonely":
        sizes = np.where(np.arange(n) < 1, 10.0**-decades, 1.0 + rng.random(n))
    values = sizes * (rng.choice([-1.0, 1.0], n) if signs else 1.0)
    matrix = (
        torch.diag(torch.as_tensor(values)).to(dtype)
        if kind == "diagonal"
        else reflected(values, seed, dtype)
    )
    true = float(np.linalg.cond(matrix.double().numpy(), 2))
    found = condition_number(matrix, seed=seed)
    if found.value is None:
        # Of float32 entries some are singular to the rounding of float64.
        assert true > 1e11
        assert found.low is not None
        assert found.low <= true * 1.01
    else:
        assert found.value == pytest.approx(true, rel=0.01 + 1e-14 * true)


@pytest.mark.parametrize("tolerance", [0.3, 0.01, 1e-6])
def test_the_tolerance_asked_for_is_the_one_met(tolerance):
    matrix = reflected(graded(300, 50.0))
    found = condition_number(matrix, tolerance=tolerance)
    assert found.value == pytest.approx(50.0, rel=tolerance)


def test_float32_entries_beyond_the_rounding_of_float32_products():
    """The κ of the entries as they are, which products in float32 cannot show."""
    matrix = torch.diag(torch.logspace(0, -11, 40, dtype=torch.float64)).float()
    matrix[0, 1] = matrix[1, 0] = 0.1
    true = float(np.linalg.cond(matrix.double().numpy(), 2))
    found = condition_number(matrix)
    assert found.method == "exact"
    assert found.value == pytest.approx(true, rel=0.01)
    free = MatrixFreeOperator(40, lambda v: matrix @ v)
    blind = condition_number(free)
    assert blind.value is None
    assert blind.low is not None
    assert 1e5 < blind.low <= true
    assert "Lanczos" in (blind.low_certificate or "")


@pytest.mark.parametrize("n", [1, 5, 300])
def test_held_entries_behind_another_operator_are_seen(n):
    values = graded(n, 1e8) if n > 1 else np.array([2.0])
    matrix = reflected(values) if n > 1 else torch.full((1, 1), 2.0, dtype=torch.float64)
    true = 1e8 if n > 1 else 1.0
    dense = DenseOperator(matrix)
    for operator in (dense, NegatedOperator(dense), SparseOperator(matrix)):
        assert condition_number(operator).value == pytest.approx(true, rel=0.01)


def test_operators_known_by_products_reach_it_too():
    values = torch.as_tensor(graded(300, 1e6))
    free = MatrixFreeOperator(300, values.__mul__, dtype=torch.float64)
    assert condition_number(free).value == pytest.approx(1e6, rel=0.01)
    same = MatrixFreeOperator(5_000, lambda v: 2.0 * v, dtype=torch.float64)
    found = condition_number(same)
    assert (found.value, found.products) == (1.0, 1)
    factor = DenseFactor(torch.linspace(1, 2, 200, dtype=torch.float64)[:, None])
    low_rank = LowRankOperator(factor, 0.5)
    expected = (float((factor.dense() ** 2).sum()) + 0.5) / 0.5
    assert condition_number(low_rank).value == pytest.approx(expected, rel=0.01)


def test_a_singular_matrix_says_so():
    matrix = reflected(np.concatenate([[0.0], np.linspace(1.0, 2.0, 99)]))
    found = condition_number(matrix)
    assert found.value is None
    assert found.low is not None
    assert found.low > 1e12
    [note] = survey(matrix).notes
    assert "zero to rounding" in note


def test_no_more_is_spent_than_twice_all_eigenvalues():
    calls = []

    class Counted(DenseOperator):
        def __matmul__(self, vector):
            calls.append(1)
            return super().__matmul__(vector)

    easy = condition_number(Counted(reflected(graded(600, 2.0))))
    assert easy.method == "lanczos"
    assert len(calls) == easy.products <= 150
    calls.clear()
    hard = condition_number(Counted(reflected(graded(600, 1e9))))
    assert hard.method == "exact"
    assert len(calls) == hard.products <= math.ceil(0.379 * 600)
