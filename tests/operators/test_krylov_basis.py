"""What is cleared of a basis is orthogonal to all of it, as long as there is room."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators.krylov_basis import KrylovBasis


def orthonormal(n, k, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(n, k, generator=generator, dtype=torch.float64))[0].mT


def basis_of(rows, dtype=torch.float64, most=None):
    basis = KrylovBasis(rows[0], dtype, len(rows) if most is None else most)
    for row in rows[1:]:
        basis.append(3.0 * row, 1 / 3)
    return basis


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(deadline=None, max_examples=25)
@given(k=st.integers(1, 80), left=st.floats(1e-6, 1e3), seed=st.integers(0, 2**16))
def test_what_is_left_is_orthogonal_to_the_basis_and_keeps_its_own_part(dtype, k, left, seed):
    rows = orthonormal(100, k + 1, seed)
    basis, beyond = basis_of(rows[:-1], dtype), rows[-1]
    vector = left * beyond + rows[:-1].sum(0)
    norm = basis.clear(vector)
    # Two passes leave what rounding of the vector as it was, of norm √k, has twice removed.
    rounding = 10 * torch.finfo(dtype).eps
    assert norm == pytest.approx(float(vector.norm()))
    assert float((rows[:-1] @ vector).abs().max()) <= rounding * (norm + rounding * k)
    assert norm == pytest.approx(left, rel=rounding * k, abs=rounding * k)


def test_a_basis_that_is_full_keeps_the_first_vectors_and_clears_of_those():
    rows = torch.eye(4, dtype=torch.float64)
    basis = basis_of(rows, most=2)
    vector = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    assert basis.clear(vector) == 5.0
    assert vector.tolist() == [0.0, 0.0, 3.0, 4.0]
    assert torch.equal(basis[-1], rows[1])


def test_combinations_are_of_the_first_vectors():
    rows = orthonormal(50, 40, seed=1)
    weights = torch.linspace(-1.0, 1.0, 35, dtype=torch.float64)
    torch.testing.assert_close(basis_of(rows).combination(weights), rows[:35].mT @ weights)
