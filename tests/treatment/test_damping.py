import math

import pytest
import torch

from qnewton.operators import DenseOperator, MatrixFreeOperator, OwnedOperator
from qnewton.treatment import DampedOperator, damp, prune

MATRIX = torch.tensor([[2.0, 1.0], [1.0, -4.0]])


def lazy(matrix: torch.Tensor) -> MatrixFreeOperator:
    return MatrixFreeOperator(matrix.shape[0], lambda v: matrix @ v, matrix.dtype)


def test_absolute_damping_adds_to_the_diagonal_of_a_copy():
    damped = damp(MATRIX, 0.5)
    assert torch.equal(damped.dense(), torch.tensor([[2.5, 1.0], [1.0, -3.5]]))
    assert torch.equal(MATRIX, torch.tensor([[2.0, 1.0], [1.0, -4.0]]))
    assert (damped.treatment.damping, damped.treatment.relative_damping) == (0.5, None)


def test_relative_damping_scales_by_the_largest_entry():
    damped = damp(MATRIX, 0.25, relative=True)
    assert torch.equal(damped.dense(), torch.tensor([[3.0, 1.0], [1.0, -3.0]]))
    assert (damped.treatment.damping, damped.treatment.relative_damping) == (1.0, 0.25)


def test_owned_entries_are_taken_over_and_nobody_else_s_change():
    matrix = MATRIX.clone()
    owned = OwnedOperator(matrix)
    damped = damp(owned, 1.0)
    assert damped.dense().data_ptr() == matrix.data_ptr()
    assert torch.equal(matrix, torch.tensor([[3.0, 1.0], [1.0, -3.0]]))
    with pytest.raises(ValueError, match="0 × 0 operator cannot multiply"):
        _ = owned @ torch.ones(2)
    held = DenseOperator(MATRIX.clone())
    damp(held, 1.0)
    assert torch.equal(held.dense(), MATRIX)


def test_matrix_free_damping_stays_lazy_and_means_the_same_matrix():
    damped = damp(lazy(MATRIX), 0.5)
    assert isinstance(damped, DampedOperator)
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.equal(damped @ vectors, damped.dense() @ vectors)
    assert torch.equal(damped @ vectors[0], damped.dense() @ vectors[0])
    assert torch.equal(damped.dense(), damp(MATRIX, 0.5).dense())
    assert (damped.shape, damped.dtype, damped.device.type) == ((2, 2), torch.float32, "cpu")
    assert damped.treatment.damping == 0.5


def test_relative_damping_forms_a_matrix_free_operator():
    damped = damp(lazy(MATRIX), 0.25, relative=True)
    assert torch.equal(damped.dense(), damp(MATRIX, 0.25, relative=True).dense())


@pytest.mark.parametrize("make", [DenseOperator, lazy])
def test_dampings_add_up(make):
    twice = damp(damp(make(MATRIX), 0.5), 1.0)
    assert torch.equal(twice.dense(), MATRIX + 1.5 * torch.eye(2))
    assert twice.treatment.damping == 1.5


def test_no_damping_is_the_same_matrix():
    assert torch.equal(damp(MATRIX, 0.0).dense(), MATRIX)


@pytest.mark.parametrize("strength", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("make", [DenseOperator, lazy])
def test_negative_and_non_finite_strengths_are_refused(strength, make):
    with pytest.raises(ValueError, match="at least 0") as caught:
        damp(make(MATRIX), strength)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [DenseOperator, lazy])
def test_a_shift_the_dtype_cannot_hold_is_refused(make):
    with pytest.raises(ValueError, match=r"range of torch\.float32"):
        damp(make(MATRIX), 1e39)


def test_relative_damping_of_a_broken_matrix_is_refused():
    broken = DenseOperator(torch.full((2, 2), math.nan))
    with pytest.raises(ValueError, match="not finite"):
        damp(broken, 1.0, relative=True)


def test_damping_after_pruning_is_refused():
    with pytest.raises(ValueError, match="damp before pruning"):
        damp(prune(MATRIX, max_per_row=1), 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_relative_damping_at_both_ends_of_the_range(dtype):
    matrix = torch.tensor([[2.0, -4.0], [-4.0, 1.0]], dtype=dtype)
    for end in (-120, 120) if dtype == torch.float32 else (-1000, 1000):
        damped = damp(matrix * 2.0**end, 0.5, relative=True)
        assert damped.treatment.damping == 2.0 * 2.0**end
        assert torch.equal(damped.dense() * 2.0**-end, damp(matrix, 2.0).dense())
