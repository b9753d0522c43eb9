import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseOperator, MatrixFreeOperator, OwnedOperator
from qnewton.treatment import damp, mass_sparsity, matching, prune
from tests.cases import symmetric


def literal_mask(matrix: torch.Tensor, d: int) -> torch.Tensor:
    """Run the paper's procedure entry by entry, in the strict order (-|A_ij|, i, j)."""
    n = matrix.shape[0]
    order = sorted((-abs(float(matrix[i, j])), i, j) for i in range(n) for j in range(i, n))
    mask = torch.zeros(n, n, dtype=torch.bool)
    held = [0] * n
    for negative, i, j in order:
        if negative < 0.0 and held[i] < d and held[j] < d:
            mask[i, j] = mask[j, i] = True
            held[i] += 1
            held[j] += i != j
    return mask


@st.composite
def symmetric_matrices(draw, values: st.SearchStrategy[float]):
    """Small matrices whose few distinct values make most comparisons ties."""
    n = draw(st.integers(1, 9))
    upper = draw(st.lists(values, min_size=n * n, max_size=n * n))
    matrix = torch.tensor(upper, dtype=draw(st.sampled_from((torch.float32, torch.float64))))
    matrix = matrix.view(n, n).triu()
    return matrix + matrix.triu(1).mT, draw(st.integers(1, n))


@settings(deadline=None, max_examples=300)
@given(symmetric_matrices(st.integers(-3, 3)))
def test_equals_the_literal_procedure_ties_included(case):
    matrix, d = case
    assert torch.equal(matching.greedy_mask(matrix, d), literal_mask(matrix, d))


@pytest.mark.slow
@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("d", [1, 3, 20, 57])
@pytest.mark.parametrize("kind", ["uniform", "scaled rows", "rank one", "block"])
@pytest.mark.parametrize("samples", [1000, 4])
def test_small_batches_leave_the_mask_alone(monkeypatch, decimals, d, kind, samples):
    # Batches, slices and blocks of a handful of edges reach every branch that only matrices of
    # thousands of rows reach otherwise: left-out ties, several contests and, where four samples
    # misjudge the threshold, raised ones.
    monkeypatch.setattr(matching, "_SAMPLES", samples)
    for name in ("_LARGEST_BATCH", "_SMALLEST_BATCH", "_SLICE"):
        monkeypatch.setattr(matching, name, 16)
    monkeypatch.setattr(matching, "_BLOCK_ENTRIES", 100)
    n = 57
    matrix = symmetric(n, seed=d, dtype=torch.float32)
    matrix = matrix if decimals is None else matrix.round(decimals=decimals)
    scale = torch.logspace(0, 2, n)
    if kind == "scaled rows":
        matrix = matrix * scale * scale[:, None]
    elif kind == "rank one":
        matrix = torch.outer(scale, scale)
    elif kind == "block":
        matrix[: n // 2, n // 2 :] = 0.0
        matrix[n // 2 :, : n // 2] = 0.0
    assert torch.equal(matching.greedy_mask(matrix, d), literal_mask(matrix, d))


@settings(deadline=None, max_examples=100)
@given(symmetric_matrices(st.floats(-1e3, 1e3, width=32)))
def test_properties_of_the_result(case):
    matrix, d = case
    operator = prune(matrix, max_per_row=d)
    pruned = operator.dense()
    assert torch.equal(pruned, pruned.mT)
    assert int(pruned.count_nonzero(dim=1).max()) <= d
    assert torch.equal(pruned[pruned != 0], matrix[pruned != 0])
    again = prune(operator, max_per_row=d)
    assert torch.equal(again.dense(), pruned)
    assert again.treatment.dropped_norm == operator.treatment.dropped_norm
    assert torch.equal(prune(matrix, max_per_row=matrix.shape[0]).dense(), matrix)


def test_treatment_records_what_was_dropped():
    matrix = symmetric(30, seed=0, dtype=torch.float32)
    operator = prune(damp(matrix, 0.5), max_per_row=7)
    damped = matrix + 0.5 * torch.eye(30)
    pruned = operator.dense()
    record = operator.treatment
    assert (record.damping, record.max_per_row, record.mass) == (0.5, 7, None)
    assert record.kept_entries == int(pruned.count_nonzero())
    shares = pruned.abs().sum(1) / damped.abs().sum(1)
    # float32 sums of 30 entries against float64 ones.
    assert record.lowest_kept_mass == pytest.approx(float(shares.min()), rel=1e-5)
    assert record.dropped_norm == pytest.approx(float((damped - pruned).norm()), rel=1e-5)


def test_two_prunings_add_up():
    matrix = symmetric(30, seed=1, dtype=torch.float32)
    once = prune(matrix, max_per_row=20)
    twice = prune(once, max_per_row=5)
    assert twice.treatment.max_per_row == 5
    dropped = float((matrix - twice.dense()).norm())
    assert twice.treatment.dropped_norm == pytest.approx(dropped, rel=1e-5)


def test_by_mass_uses_the_largest_row_sparsity():
    matrix = symmetric(40, seed=2, dtype=torch.float32)
    by_mass = prune(matrix, mass=0.5)
    d = int(mass_sparsity(matrix, 0.5).max())
    assert by_mass.treatment.max_per_row == d
    assert by_mass.treatment.mass == 0.5
    assert torch.equal(by_mass.dense(), prune(matrix, max_per_row=d).dense())


def test_full_mass_drops_nothing():
    matrix = symmetric(12, seed=3, dtype=torch.float32)
    assert torch.equal(prune(matrix, mass=1.0).dense(), matrix)


def test_zero_matrix_stays_zero():
    operator = prune(torch.zeros(4, 4), mass=0.5)
    assert operator.treatment.kept_entries == 0
    assert operator.treatment.lowest_kept_mass == 1.0
    assert operator.treatment.dropped_norm == 0.0


def test_owned_entries_are_pruned_in_place_and_others_are_not():
    matrix = symmetric(10, seed=4, dtype=torch.float32)
    original = matrix.clone()
    kept = prune(DenseOperator(matrix), max_per_row=3)
    assert torch.equal(matrix, original)
    reused = prune(OwnedOperator(matrix), max_per_row=3)
    assert reused.dense().data_ptr() == matrix.data_ptr()
    assert torch.equal(reused.dense(), kept.dense())


def test_matrix_free_operators_are_formed():
    matrix = symmetric(8, seed=5, dtype=torch.float32)
    lazy = MatrixFreeOperator(8, lambda v: matrix @ v)
    assert torch.equal(prune(lazy, max_per_row=2).dense(), prune(matrix, max_per_row=2).dense())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one"),
        ({"max_per_row": 2, "mass": 0.5}, "exactly one"),
        ({"max_per_row": 0}, "0 is outside 1 to 3"),
        ({"max_per_row": -1}, "-1 is outside 1 to 3"),
        ({"max_per_row": 4}, "4 is outside 1 to 3"),
        ({"mass": 0.0}, r"outside \(0, 1\]"),
        ({"mass": 1.5}, r"outside \(0, 1\]"),
        ({"mass": math.nan}, r"outside \(0, 1\]"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        prune(torch.eye(3), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_entries_that_are_not_finite_are_refused(bad):
    matrix = torch.eye(3)
    matrix[1, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        prune(DenseOperator(matrix), max_per_row=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_what_pruning_kept_is_known_at_both_ends_of_the_range(dtype):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(9, 9, generator=generator, dtype=dtype)
    matrix = matrix + matrix.mT
    middle = prune(matrix, max_per_row=4).treatment
    for end in (-100, 120) if dtype == torch.float32 else (-900, 1020):
        found = prune(matrix * 2.0**end, max_per_row=4).treatment
        assert found.dropped_norm is not None
        assert found.dropped_norm * 2.0**-end == pytest.approx(middle.dropped_norm)
        assert found.lowest_kept_mass == pytest.approx(middle.lowest_kept_mass)
        by_mass = prune(matrix * 2.0**end, mass=0.5).treatment
        assert by_mass.max_per_row == prune(matrix, mass=0.5).treatment.max_per_row
