import pytest
import torch

from qnewton.operators import (
    DenseOperator,
    LowRankOperator,
    MatrixFreeOperator,
    WeightedSumOperator,
    weighted_sum,
)
from tests.cases import low_rank, symmetric


@pytest.mark.parametrize("columns", [(), (3,)])
def test_products_and_entries_are_those_of_the_sum(columns: tuple[int, ...]) -> None:
    first, second = symmetric(6, 0), symmetric(6, 1)
    by_products = MatrixFreeOperator(6, lambda v: second @ v, torch.float64)
    terms = [(0.25, DenseOperator(first)), (-2.0, by_products)]
    operator = weighted_sum(terms)
    assert isinstance(operator, WeightedSumOperator)
    vector = torch.randn(6, *columns, dtype=torch.float64)
    expected = 0.25 * first - 2.0 * second
    torch.testing.assert_close(operator @ vector, expected @ vector)
    torch.testing.assert_close(operator.dense(), expected)
    assert torch.equal(operator.dense(), operator.dense().mT)
    assert torch.equal(terms[0][1].dense(), first)  # the terms stay as they were


def test_low_rank_terms_join_their_factors() -> None:
    terms = [(0.5, low_rank(6, 2, seed=0)), (3.0, low_rank(6, 3, seed=1))]
    operator = weighted_sum(terms)
    assert isinstance(operator, LowRankOperator)
    assert operator.rank == 5
    expected = 0.5 * terms[0][1].dense() + 3.0 * terms[1][1].dense()
    torch.testing.assert_close(operator.dense(), expected)


@pytest.mark.parametrize(
    "terms",
    [
        [(0.5, low_rank(6, 2, seed=0)), (-3.0, low_rank(6, 3, seed=1))],
        [(0.5, low_rank(6, 2, seed=0)), (3.0, low_rank(6, 3, seed=1, shift=1.0))],
        [(0.5, low_rank(6, 2, seed=0)), (3.0, DenseOperator(symmetric(6, 2)))],
    ],
    ids=["a negative weight", "a shift", "another operator"],
)
def test_other_terms_are_added_as_they_are(terms: list) -> None:
    operator = weighted_sum(terms)
    assert isinstance(operator, WeightedSumOperator)
    expected = sum(weight * term.dense() for weight, term in terms)
    torch.testing.assert_close(operator.dense(), expected)
