"""Amplitude amplification of a known success probability, against brute force."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnewton.queries import amplified_queries, searched_queries
from qnewton.queries.amplification import amplified_times, searched_times


def brute_force(probability: float) -> float:
    angle = math.asin(math.sqrt(probability))
    most = math.ceil(4 / angle)
    # Past π/2 the angle is made smaller first, so that the rounds succeed for certain.
    turned = [min((2 * r + 1) * angle, math.pi / 2) for r in range(most)]
    return min((2 * r + 1) / math.sin(turned[r]) ** 2 for r in range(most))


@given(st.floats(1e-5, 1.0))
def test_no_number_of_rounds_does_better(probability):
    assert amplified_queries(1, probability) == pytest.approx(brute_force(probability), rel=1e-12)


@given(st.floats(1e-12, 1.0))
def test_amplifying_never_costs_more_than_repeating(probability):
    assert 1.0 <= amplified_queries(1, probability) <= 1 / probability * (1 + 1e-12)


@given(st.floats(1e-9, 1.0), st.floats(0.0, 1.0))
def test_a_likelier_success_never_costs_more(probability, share):
    for times in (amplified_times, searched_times):
        less = float(times(probability * max(share, 1e-3)))
        assert less >= float(times(probability)) * (1 - 1e-12)


@given(st.floats(1e-16, 1.0))
def test_the_table_of_searches_is_above_the_search_by_one_percent_at_most(probability):
    exact = searched_queries(1, probability)
    assert exact * (1 - 1e-9) <= float(searched_times(probability)) <= 1.01 * exact


def test_small_probabilities_cost_the_square_root():
    # min over u of u/sin²(uθ) is 1.3801/θ.
    assert amplified_queries(1000, 1e-8) == pytest.approx(1.3801e7, rel=1e-4)


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.1, math.nan])
def test_probabilities_outside_the_unit_interval(probability):
    with pytest.raises(ValueError, match="success probability"):
        amplified_queries(10, probability)
    with pytest.raises(ValueError, match="must lie in"):
        searched_queries(10, probability)


def search(probability: float, drawn: random.Random) -> int:
    angle, bound, queries = math.asin(math.sqrt(probability)), 1.0, 0
    while True:
        rounds = drawn.randrange(math.ceil(bound))
        queries += 2 * rounds + 1
        if drawn.random() < math.sin((2 * rounds + 1) * angle) ** 2:
            return queries
        bound *= 6 / 5


@pytest.mark.parametrize("probability", [0.9, 0.5, 0.1, 1e-3])
def test_searching_costs_what_drawing_the_rounds_comes_to(probability):
    drawn = random.Random(0)
    found = [search(probability, drawn) for _ in range(4000)]
    error = statistics.stdev(found) / len(found) ** 0.5
    assert abs(statistics.mean(found) - searched_queries(1, probability)) < 4 * error


@given(st.floats(1e-16, 1.0))
def test_an_unknown_probability_costs_a_small_factor(probability):
    known, unknown = (f(1, probability) for f in (amplified_queries, searched_queries))
    assert known * (1 - 1e-12) <= unknown <= 3 * known
