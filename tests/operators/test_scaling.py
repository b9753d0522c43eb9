"""Powers of two: exact, and norms that neither over- nor underflow."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    LowRankOperator,
    MatrixFreeOperator,
    RangedOperator,
)
from qnewton.operators.scaling import (
    excess,
    inner,
    into_range,
    largest,
    norm_ratio,
    safe_norm,
    scaled,
)

DTYPES = (torch.float32, torch.float64)
ENDS = {torch.float32: 125, torch.float64: 1020}


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(-1e300, 1e300, allow_subnormal=True), min_size=1, max_size=5),
    exponent=st.integers(-2100, 2100),
)
def test_a_power_of_two_is_the_one_that_math_ldexp_applies(values, exponent):
    found = scaled(torch.tensor(values, dtype=torch.float64), exponent)
    for value, got in zip(values, found.tolist(), strict=True):
        try:
            expected = math.ldexp(value, exponent)
        except OverflowError:
            expected = math.copysign(math.inf, value)
        # Where digits are lost at all, they may be rounded twice on the way.
        assert got == pytest.approx(expected, rel=1e-15, abs=1e-323)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_near_one_is_left_alone_and_the_rest_comes_to_the_window_s_end(dtype):
    vector = torch.tensor([1.0, -3.0, 0.0], dtype=dtype)
    assert into_range(vector)[0] is vector
    for end in (ENDS[dtype], -ENDS[dtype]):
        near, exponent = into_range(scaled(vector, end))
        assert exponent != 0
        assert excess(largest(near), dtype) == 0
        assert torch.equal(scaled(near, exponent - end), vector)
    for nothing in (0.0, math.inf, math.nan):
        assert into_range(torch.full((2,), nothing, dtype=dtype))[1] == 0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("share", [-1.0, -0.6, 0.0, 0.6, 1.0])
def test_the_norm_of_a_vector_whose_squares_leave_the_range(dtype, share):
    unit = round(share * ENDS[dtype])
    vector = scaled(torch.tensor([3.0, -4.0], dtype=dtype), unit - 3)
    assert safe_norm(vector) == math.ldexp(5.0, unit - 3)
    assert norm_ratio(vector, 2 * vector) == 0.5


def test_norms_of_nothing_and_of_a_vector_of_both_ends():
    tiny, huge = (torch.tensor([size], dtype=torch.float64) for size in (1e-200, 1e200))
    assert safe_norm(torch.cat([tiny, huge])) == pytest.approx(1e200)
    assert norm_ratio(torch.zeros(2), torch.zeros(2)) == 0.0
    assert norm_ratio(tiny, torch.zeros(2)) == math.inf
    assert norm_ratio(tiny, huge) == 0.0
    assert math.isnan(safe_norm(torch.tensor([math.nan])))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("share", [-1.0, -0.8, -0.3, 0.3, 0.8, 0.97])
def test_products_at_the_ends_of_the_range_have_the_digits_of_those_in_the_middle(dtype, share):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(6, 6, generator=generator, dtype=torch.float64).to(dtype)
    matrix = matrix + matrix.mT
    vectors = torch.randn(6, 3, generator=generator, dtype=torch.float64).to(dtype)
    exponent = round(share * ENDS[dtype]) - 2
    far = scaled(matrix, exponent)
    calls = []

    def multiply(v):
        calls.append(1)
        return far @ v

    ranged = RangedOperator(MatrixFreeOperator(6, multiply, dtype=dtype))
    found = torch.stack([ranged @ v for v in vectors.unbind(1)], 1)
    torch.testing.assert_close(scaled(found, ranged.exponent - exponent), matrix @ vectors)
    assert len(calls) <= 3 + 2 * ranged.probes
    assert ranged.probes <= 1
    assert torch.equal(ranged.dense(), scaled(far, -ranged.exponent))


def test_an_operator_in_the_middle_of_the_range_spends_no_product_more():
    calls = []

    def multiply(v):
        calls.append(1)
        return 2.0 * v

    ranged = RangedOperator(MatrixFreeOperator(3, multiply))
    for _ in range(4):
        assert torch.equal(ranged @ torch.ones(3), torch.full((3,), 2.0))
    assert (len(calls), ranged.exponent, ranged.probes) == (4, 0, 0)


def test_products_with_nothing_and_with_what_is_not_finite_decide_nothing():
    ranged = RangedOperator(DenseOperator(1e300 * torch.eye(2, dtype=torch.float64)))
    assert torch.equal(ranged @ torch.zeros(2).double(), torch.zeros(2).double())
    assert ranged.exponent == 0
    assert float((ranged @ torch.ones(2).double())[0]) > 0
    assert ranged.exponent > 800
    broken = RangedOperator(DenseOperator(torch.full((2, 2), math.nan)))
    assert torch.isnan(broken @ torch.ones(2)).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_low_rank_matrix_whose_squares_leave_the_range(dtype):
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(5, 2, generator=generator, dtype=torch.float64).to(dtype)
    plain = LowRankOperator(DenseFactor(factor), 0.25)
    assert plain.in_range() == (plain, 0)
    for half in (
        ENDS[dtype] // 2 - 6,
        -ENDS[dtype] // 2 + 6,
        90 if dtype == torch.float32 else 600,
    ):
        far = LowRankOperator(DenseFactor(scaled(factor, half)), 0.0)
        near, exponent = far.in_range()
        assert exponent % 2 == 0
        expected = plain.factor.gram()
        torch.testing.assert_close(
            scaled(near.factor.gram(), exponent - 2 * half), expected, rtol=1e-5, atol=1e-6
        )
        v = torch.ones(5, dtype=dtype)
        torch.testing.assert_close(
            scaled(near @ v, exponent - 2 * half), factor @ (factor.mT @ v), rtol=1e-4, atol=1e-5
        )


@given(n=st.integers(1, 200_000), exponent=st.sampled_from([-25, -10, 0, 10, 25]))
@settings(max_examples=25, deadline=None)
def test_long_vectors_in_float32_are_multiplied_without_loss(n: int, exponent: int) -> None:
    torch.manual_seed(n)
    left, right = torch.randn(n) * 10.0**exponent, torch.randn(n) * 10.0**exponent
    exact = float(left.double() @ right.double())
    size = float(left.double().norm() * right.double().norm())
    assert abs(inner(left, right) - exact) <= 1e-8 * size
