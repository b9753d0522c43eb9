"""Every operator multiplies like its own entries, and refuses what is no symmetric matrix."""

import pytest
import torch

from qnewton.curvature import systems
from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    MatrixFreeOperator,
    NegatedOperator,
    OwnedOperator,
    SparseOperator,
    as_operator,
)

MATRIX = torch.tensor([[2.0, 1.0, 0.0], [1.0, -3.0, 0.5], [0.0, 0.5, 4.0]])
OPERATORS = {
    "dense": lambda: DenseOperator(MATRIX),
    "matrix-free": lambda: MatrixFreeOperator(3, lambda v: MATRIX @ v),
    "sparse": lambda: SparseOperator(MATRIX),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_products_equal_those_of_the_entries(name: str) -> None:
    operator = OPERATORS[name]()
    vectors = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]])
    assert torch.equal(operator.dense(), MATRIX)
    assert torch.allclose(operator @ vectors, MATRIX @ vectors)
    assert torch.allclose(operator @ vectors[:, 0], MATRIX @ vectors[:, 0])
    assert operator.n == 3
    assert operator.dtype == torch.float32


@pytest.mark.parametrize("name", OPERATORS)
def test_a_vector_of_the_wrong_length_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"3 × 3 operator cannot multiply .* \(2,\)"):
        _ = OPERATORS[name]() @ torch.ones(2)


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (torch.ones(2, 3), "square"),
        (torch.ones(2, 2, dtype=torch.int64), "float32 or float64"),
        (torch.tensor([[1.0, 2.0], [3.0, 1.0]]), "not symmetric"),
        (torch.tensor([[1.0, float("nan")], [float("nan"), 1.0]]), "not finite"),
        (torch.ones(0, 0), "empty"),
    ],
)
def test_a_tensor_that_is_no_symmetric_matrix_is_refused(matrix: torch.Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        as_operator(matrix)


@pytest.mark.parametrize(("i", "j"), [(0, 1299), (700, 600), (1299, 1298), (513, 511)])
def test_asymmetry_shows_wherever_it_is(i: int, j: int) -> None:
    # Wider than two tiles, and not a multiple of one.
    matrix = torch.ones(1300, 1300)
    as_operator(matrix)
    matrix[i, j] = 1.5
    with pytest.raises(ValueError, match=r"reaches 0\.5 where max\|A\| is 1\.5"):
        as_operator(matrix)


def test_a_right_hand_side_must_fit() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\), the operator needs \[3\]"):
        LinearSystem(DenseOperator(MATRIX), torch.ones(2))


def test_a_sparse_matrix_drops_exact_zeros() -> None:
    assert SparseOperator(MATRIX).entries == 7
    with pytest.raises(ValueError, match="expected a square matrix"):
        SparseOperator(torch.ones(2, 3))


def test_entries_that_are_taken_belong_to_who_takes_them() -> None:
    matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    held = DenseOperator(matrix.clone())
    lazy = MatrixFreeOperator(2, lambda v: matrix @ v)
    low = LowRankOperator(DenseFactor(torch.ones(2, 1)), shift=1.0)
    for operator in (
        held,
        lazy,
        low,
        NegatedOperator(NegatedOperator(held)),
        SparseOperator(matrix),
    ):
        operator.take().zero_()
        assert torch.equal(operator.dense(), matrix), type(operator)
    owned = OwnedOperator(matrix)
    assert owned.take().data_ptr() == matrix.data_ptr()
    assert (owned.n, owned.dense().numel()) == (0, 0)


def test_a_hessian_whose_entries_were_taken_and_overwritten_is_the_same_hessian() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    [system] = systems([weight], lambda: (weight**4).sum(), blocks="full")
    truth = torch.diag(torch.tensor([12.0, 48.0], dtype=torch.float64))
    system.operator.take().zero_()
    assert torch.allclose(system.operator @ torch.ones(2, dtype=torch.float64), truth.sum(1))
    assert torch.allclose(system.operator.dense(), truth)
    # Who was given the entries keeps them, whoever takes them next.
    lent = DenseOperator(system.operator.dense())
    system.operator.take().zero_()
    assert torch.allclose(lent.dense(), truth)
