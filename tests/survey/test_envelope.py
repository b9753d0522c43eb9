"""The envelope bounds what a factorisation of a sparse matrix fills and costs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import SparseOperator
from qnewton.solvers import factorize
from qnewton.survey import envelope


def banded(n: int, width: int) -> torch.Tensor:
    distance = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    return torch.where(distance <= width, 1.0, 0.0) + 2.0 * width * torch.eye(n)


@pytest.mark.parametrize(("n", "width"), [(1, 0), (40, 0), (40, 1), (40, 3)])
def test_a_shuffled_band_has_the_envelope_of_the_band(n: int, width: int) -> None:
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    shuffled = banded(n, width)[order][:, order]
    assert envelope(SparseOperator(shuffled)) <= n * (width + 1) ** 2 * 1.5
    assert envelope(SparseOperator(shuffled)) >= n


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 40), st.integers(0, 3), st.integers(0, 10**6))
def test_it_lies_between_n_and_a_dense_factorisation(n: int, kept: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.eye(n)
    for _ in range(kept):
        columns = torch.randint(n, (n,), generator=generator)
        matrix[torch.arange(n), columns] = matrix[columns, torch.arange(n)] = 1.0
    found = envelope(SparseOperator(matrix))
    assert n <= found <= n * (n + 1) * (2 * n + 1) / 6


def test_minimum_degree_fills_no_more_than_the_envelope_allows() -> None:
    operator = SparseOperator(banded(300, 4))
    factors = factorize(operator, "sparse_lu")
    # L and U together hold some twice the rows of the envelope, at most √(N·Σ r²) entries each;
    # minimum degree is another order, which fills a little more here.
    assert factors.fill <= 1.25 * 2 * (300 * envelope(operator)) ** 0.5  # pyright: ignore[reportAttributeAccessIssue]
