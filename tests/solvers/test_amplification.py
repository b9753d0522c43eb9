"""Amplitude amplification of a known success probability, against brute force."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnewton.solvers.quantum import amplified_queries


def brute_force(probability: float) -> float:
    angle = math.asin(math.sqrt(probability))
    most = math.ceil(4 / angle)
    return min((2 * r + 1) / math.sin((2 * r + 1) * angle) ** 2 for r in range(most))


@given(st.floats(1e-5, 1.0))
def test_no_number_of_rounds_does_better(probability):
    assert amplified_queries(1, probability) == pytest.approx(brute_force(probability), rel=1e-12)


@given(st.floats(1e-12, 1.0))
def test_amplifying_never_costs_more_than_repeating(probability):
    assert 1.0 <= amplified_queries(1, probability) <= 1 / probability * (1 + 1e-12)


def test_small_probabilities_cost_the_square_root():
    # min over u of u/sin²(uθ) is 1.3801/θ.
    assert amplified_queries(1000, 1e-8) == pytest.approx(1.3801e7, rel=1e-4)


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.1, math.nan])
def test_probabilities_outside_the_unit_interval(probability):
    with pytest.raises(ValueError, match="success probability"):
        amplified_queries(10, probability)
