"""The condition number after diagonal scaling, of dense and of sparse matrices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseOperator, SparseOperator
from qnewton.survey import diagonally_scaled, preconditioned_condition
from tests.cases import definite


def _matrix(n: int, seed: int, contrast: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    scale = contrast ** torch.rand(n, generator=generator, dtype=torch.float64)
    matrix = definite(n, seed, torch.float64)
    return (matrix * scale * scale[:, None] + (matrix * scale[:, None] * scale)) / 2


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 30), st.integers(0, 10**6), st.sampled_from([1.0, 1e3, 1e60, 1e-60]))
def test_it_is_that_of_all_eigenvalues_in_any_range(n: int, seed: int, contrast: float) -> None:
    matrix = _matrix(n, seed, contrast)
    root = matrix.diagonal().sqrt()
    values = torch.linalg.eigvalsh(matrix / root / root[:, None])
    expected = float(values[-1] / values[0])
    for operator in (DenseOperator(matrix), SparseOperator(matrix)):
        found = preconditioned_condition(operator, "exact")
        assert found is not None
        # The scaled entries are rounded once more than those of the oracle.
        assert found.value == pytest.approx(expected, rel=1e-12 * expected)
        scaled = diagonally_scaled(operator)
        assert scaled is not None
        assert torch.equal(scaled.dense(), scaled.dense().mT)
        assert torch.allclose(scaled.diagonal(), torch.ones(n, dtype=torch.float64), rtol=1e-14)


def test_a_matrix_of_one_scale_keeps_its_condition_number() -> None:
    matrix = definite(20, 3, torch.float64)
    matrix.fill_diagonal_(float(matrix.diagonal().max()))
    found = preconditioned_condition(matrix, "exact")
    values = torch.linalg.eigvalsh(matrix)
    assert found is not None
    assert found.value == pytest.approx(float(values[-1] / values[0]), rel=1e-10)


@pytest.mark.parametrize("entry", [0.0, -1.0])
def test_a_diagonal_that_is_not_positive_has_none(entry: float) -> None:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[2, 2] = entry
    matrix[0, 1] = matrix[1, 0] = 0.5
    for operator in (DenseOperator(matrix), SparseOperator(matrix)):
        assert preconditioned_condition(operator) is None
