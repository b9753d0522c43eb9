"""Counts on arrays: against the scalar theorems, their order, their scale and their time."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.queries import (
    ALGORITHMS,
    PROVEN_CONSTANT,
    QUERY_SETS,
    SEEN_CONSTANT,
    attempt,
    costa_2022,
    dalzell_2024,
    dalzell_2024_norm_known,
    jennings_2023,
    searched_queries,
    sunderhauf_2025,
)
from qnewton.queries.clock import clock_qubits, clock_queries, clocks_queries
from qnewton.queries.dalzell import mean_overlap
from qnewton.queries.heights import closed_form, polynomial_height

KNOWN = [
    (algorithm, knowledge)
    for algorithm in ALGORITHMS
    for knowledge in QUERY_SETS
    if knowledge != "paper" or algorithm == "jennings"
]
counts = st.sampled_from(KNOWN)
kappas = st.floats(1.0, 1e9)
epsilons = st.floats(1e-12, 0.2)
QUICK = settings(deadline=None, max_examples=200)
SLACK = 1 + 1e-9  # a maximum that is found to rounding


@QUICK
@given(counts, kappas, epsilons, st.floats(1.0, 50.0), st.floats(0.0, 1.0))
def test_counts_never_fall_with_kappa_or_one_over_epsilon(count, kappa, epsilon, factor, share):
    gain = kappa**share
    found = attempt(
        *count,
        kappa=np.array([kappa, kappa * factor, kappa]),
        epsilon=np.array([epsilon, epsilon, epsilon / factor]),
        gain=gain,
    )
    # Jennings' own bound on the success probability falls by ε faster than its count grows.
    last = 2 if count[0] == "jennings" else 3
    for values in (found.queries, found.expected, found.state_preparations, found.instance):
        assert values is not None
        if values is found.queries and count[0] == "dalzell":
            continue  # a looser first stage may query less and fail more often
        if values is found.instance and count == ("dalzell", "rigorous"):
            continue  # another grid of guessed norms may lie nearer to the one there is
        assert np.all(values[1:last] * SLACK >= values[0])
    assert found.instance is not None
    assert np.all(found.instance <= found.expected * SLACK)
    assert np.all(found.expected * SLACK >= found.queries)


@QUICK
@given(counts, kappas, epsilons, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_larger_gain_never_costs_more(count, kappa, epsilon, one, two):
    low, high = kappa ** min(one, two), kappa ** max(one, two)
    found = attempt(*count, kappa=kappa, epsilon=epsilon, gain=np.array([low, high])).instance
    assert found is not None
    if count == ("dalzell", "rigorous"):  # its guesses are fewest near the ends, 1 and κ
        assert found[1] <= 2.1 * found[0]
    else:
        assert found[1] <= found[0] * SLACK


@QUICK
@given(st.floats(1.0, 1e6), st.floats(1e-9, 0.2))
def test_arrays_and_the_scalar_theorems_count_alike(kappa, epsilon):
    def of(algorithm, knowledge, **options):
        return attempt(algorithm, knowledge, kappa=kappa, epsilon=epsilon, **options).at()

    asked = {"kappa": kappa, "epsilon": epsilon}
    qsvt = sunderhauf_2025(**asked)
    assert of("qsvt", "warm-start").expected == pytest.approx(qsvt.expected, rel=1e-12)
    searched = searched_queries(qsvt.queries, qsvt.success_probability)
    assert searched <= of("qsvt", "rigorous").expected * SLACK <= 1.01 * searched
    assert of("dalzell", "rigorous").expected == dalzell_2024(**asked).expected
    seen = costa_2022(**asked, constant=SEEN_CONSTANT).expected
    assert of("costa", "optimistic").expected == pytest.approx(seen, rel=1e-12)
    proven = costa_2022(**asked, constant=PROVEN_CONSTANT).expected
    assert of("costa", "rigorous").expected == pytest.approx(proven, rel=1e-12)
    paper = jennings_2023(alpha=1.0, kappa=max(kappa, math.sqrt(12)), epsilon=epsilon)
    assert of("jennings", "paper").expected == paper.expected
    known = dalzell_2024_norm_known(**asked, guess_factor=1.5)
    warm = of("dalzell", "warm-start", guess_factor=1.5)
    if epsilon <= 0.1:  # a looser one runs at a higher degree, where fewer attempts fail
        # The theorem's own count is no whole number, and a whole one fails less.
        assert known.queries <= warm.queries * SLACK
        assert warm.queries <= (known.queries + 2.0) * SLACK
        assert known.success_probability <= warm.success_probability * SLACK


@settings(deadline=None, max_examples=50)
@given(st.floats(1.0, 1e3), st.floats(1e-3, 0.4))
def test_hhl_is_counted_by_its_clock(kappa, epsilon):
    clock = clock_queries(int(clock_qubits(kappa, epsilon)), epsilon)
    assert attempt("hhl", "rigorous", kappa=kappa, epsilon=epsilon).at().queries == clock


@pytest.mark.parametrize("qubits", [2, 5, 13, 20])
@pytest.mark.parametrize("epsilon", [0.5, 1e-3, 1e-12])
def test_the_table_of_evolutions_counts_every_order(qubits, epsilon):
    assert clocks_queries(np.array([qubits]), epsilon)[0] == clock_queries(qubits, epsilon)


def test_long_evolutions_follow_airys_function():
    counted = [clock_queries(qubits, 1e-6) for qubits in (27, 28)]
    np.testing.assert_allclose(clocks_queries(np.array([27, 28]), 1e-6), counted, rtol=1e-8)


@settings(deadline=None, max_examples=100)
@given(st.floats(1e-3, 3.0), st.floats(-12.0, -0.4))
def test_the_height_is_the_largest_value_on_a_fine_grid(log_kappa, log_epsilon):
    kappa = 10**log_kappa
    n = (sunderhauf_2025(kappa=kappa, epsilon=10**log_epsilon).queries + 1) / 2
    found = float(polynomial_height(kappa, n))
    if n == 1:
        assert found == kappa
        return
    grid = np.append(np.linspace(0, 1 / kappa, 3001)[1:], np.linspace(1 / kappa, 1, 3001))
    largest = np.abs(closed_form(grid, kappa, n)).max()
    # rel: the grid may miss the top by its own spacing.
    assert largest * (1 - 1e-12) <= found <= largest * (1 + 1e-5)


@QUICK
@given(st.floats(1.0, 1e6), st.floats(0.0, 1.0))
def test_the_mean_over_the_guessed_norms_is_that_of_all_of_them(kappa, share):
    gain = kappa**share
    norms = np.geomspace(1.0, kappa, math.ceil(math.log(kappa)) + 1)
    every = np.mean((2 * norms * gain / (norms**2 + gain**2)) ** 2)
    assert float(mean_overlap(kappa, gain)) == pytest.approx(every, rel=1e-7)


@pytest.mark.parametrize(("algorithm", "knowledge"), KNOWN)
def test_three_hundred_thousand_counts_take_less_than_a_second(algorithm, knowledge):
    generator = np.random.default_rng(0)
    kappa = 10 ** generator.uniform(0, 8, 300_000)
    epsilon = 10 ** generator.uniform(-12, -0.7, 300_000)
    attempt(algorithm, knowledge, kappa=kappa[:10], epsilon=1e-3)  # tables are made once
    began = time.process_time()
    found = attempt(algorithm, knowledge, kappa=kappa, epsilon=epsilon, gain=np.sqrt(kappa))
    assert time.process_time() - began < 1.0
    assert found.expected.shape == (300_000,)
    assert np.isfinite(found.expected).all()


@pytest.mark.parametrize(("algorithm", "knowledge"), KNOWN)
def test_extreme_condition_numbers_are_counted_or_infinite(algorithm, knowledge):
    kappa = np.array([1.0, 1.0 + 1e-12, 1e100, 1e200, 1.7e308])
    found = attempt(algorithm, knowledge, kappa=kappa, epsilon=1e-3, gain=1.0)
    for values in (found.queries, found.expected, found.instance, found.state_preparations):
        assert values is not None
        assert (values >= 1.0).all()
        assert np.isfinite(values[:3]).all()


def test_a_constant_may_be_an_interval():
    constants = np.array([0.5, SEEN_CONSTANT, PROVEN_CONSTANT])
    found = attempt("costa", "rigorous", kappa=100.0, epsilon=1e-3, constant=constants)
    alone = [costa_2022(kappa=100.0, epsilon=1e-3, constant=c).expected for c in constants]
    np.testing.assert_allclose(found.expected, alone, rtol=1e-12)
    assert found.theorem.endswith("c = 0.5 to 2305")
    assert found.provenance == "extrapolated"


def test_a_norm_that_is_off_is_searched_by_those_who_amplify():
    exact, off = (
        attempt("qsvt", "warm-start", kappa=1e3, epsilon=1e-3, guess_factor=factor)
        for factor in (1.0, 2.0)
    )
    unknown = attempt("qsvt", "rigorous", kappa=1e3, epsilon=1e-3)
    assert exact.expected < off.expected == unknown.expected


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"algorithm": "qft"}, "choose qsvt, dalzell, hhl, costa, jennings"),
        ({"knowledge": "hopeful"}, "choose paper, rigorous, warm-start, optimistic"),
        ({"knowledge": "paper"}, "counts 'jennings' alone, not 'dalzell'"),
        ({"kappa": np.array([2.0, 0.5])}, "kappa is 0.5; it must be finite and at least 1"),
        ({"kappa": math.inf}, "kappa is inf"),
        ({"epsilon": np.array([0.1, math.nan])}, "epsilon is nan"),
        ({"epsilon": 0.3}, "epsilon is 0.3; it must be above 0 and at most 0.25"),
        ({"guess_factor": 0.5}, "guess_factor is 0.5; it must be finite and at least 1"),
        ({"constant": 0.0}, "constant is 0.0; it must be above 0"),
    ],
)
def test_what_cannot_be_counted_is_said_in_one_line(asked, said):
    known = {"algorithm": "dalzell", "knowledge": "rigorous", "kappa": 10.0, "epsilon": 0.1}
    with pytest.raises(ValueError, match=said) as raised:
        attempt(**{**known, **asked})
    assert "\n" not in str(raised.value)
