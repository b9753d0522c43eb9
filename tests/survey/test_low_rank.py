"""What is read off the k × k matrix is what the entries say."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseFactor, DenseOperator, LowRankOperator
from qnewton.survey import survey, survey_low_rank
from tests.cases import low_rank


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(2, 30),
    k=st.integers(1, 40),
    shift=st.floats(0.01, 10.0),
    seed=st.integers(0, 1000),
)
def test_facts_are_those_of_the_entries(n, k, shift, seed):
    operator = low_rank(n, k, shift, seed)
    mine: Any = survey_low_rank(operator).spectrum
    theirs: Any = survey(
        DenseOperator(operator.dense()), condition="exact", bounds=("determinant", "trace")
    ).spectrum
    # The smallest eigenvalue of the entries carries an absolute rounding of N ulp of the largest.
    assert mine.condition.value == pytest.approx(theirs.condition.value, rel=1e-8)
    for name in ("norm", "frobenius", "max_abs"):
        assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=1e-9)
    for name in ("determinant", "trace"):
        assert mine.bound(name).log_value == pytest.approx(
            theirs.bound(name).log_value, rel=1e-6, abs=1e-6
        )
        assert mine.bound(name).log_value >= math.log(mine.condition.value) - 1e-6
    assert mine.row_sparsity >= theirs.row_sparsity
    assert mine.definiteness == theirs.definiteness == "positive"


def test_rows_without_any_sample_are_not_counted():
    factor = torch.ones(5, 2).double()
    factor[3:] = 0
    assert survey_low_rank(LowRankOperator(DenseFactor(factor), 1.0)).spectrum.row_sparsity == 3


def test_without_damping_nothing_is_certain():
    with pytest.raises(ValueError, match="damping is 0"):
        survey_low_rank(LowRankOperator(DenseFactor(torch.ones(3, 1))))


def test_a_number_that_is_not_finite_is_said():
    with pytest.raises(FloatingPointError, match="not finite"):
        survey_low_rank(LowRankOperator(DenseFactor(torch.tensor([[1.0], [float("nan")]])), 1.0))
