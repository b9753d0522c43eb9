import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.treatment import entries, mass_sparsity


def literal_sparsity(row: list[int], percent: int) -> int:
    """Count in exact integers: 100·(sum of the largest s) ≥ p·(sum of all)."""
    sizes = sorted((abs(x) for x in row), reverse=True)
    held, count = 0, 0
    while 100 * held < percent * sum(sizes):
        held += sizes[count]
        count += 1
    return count


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 8).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(-9, 9), min_size=n, max_size=n), min_size=n, max_size=n
        )
    ),
    st.integers(1, 100),
)
def test_counts_like_exact_arithmetic_on_boundaries_too(rows, percent):
    matrix = torch.tensor(rows, dtype=torch.float32)
    found = mass_sparsity(matrix, percent / 100)
    assert found.tolist() == [literal_sparsity(row, percent) for row in rows]
    assert found.dtype == torch.int64


def test_blocks_of_rows_do_not_matter(monkeypatch):
    matrix = torch.randn(23, 23, generator=torch.Generator().manual_seed(0))
    whole = mass_sparsity(matrix, 0.75)
    monkeypatch.setattr(entries, "_BLOCK_ENTRIES", 50)
    assert torch.equal(mass_sparsity(matrix, 0.75), whole)


def test_input_is_left_alone():
    matrix = torch.tensor([[3.0, -1.0], [-1.0, 2.0]])
    mass_sparsity(matrix, 0.5)
    assert torch.equal(matrix, torch.tensor([[3.0, -1.0], [-1.0, 2.0]]))


def test_full_mass_counts_entries_too_small_to_add_up():
    assert mass_sparsity(torch.tensor([[1.0, 1e-30], [1e-30, 0.0]]), 1.0).tolist() == [2, 1]


@pytest.mark.parametrize("mass", [0.0, -0.5, 1.01, float("nan")])
def test_shares_outside_the_unit_interval_are_refused(mass):
    with pytest.raises(ValueError, match=r"outside \(0, 1\]"):
        mass_sparsity(torch.eye(2), mass)
