"""What is priced and what is emulated count alike."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.queries import dalzell_2024, sunderhauf_2025
from qnewton.queries.clock import clock_qubits, clock_queries
from qnewton.solvers.quantum import emulate
from tests.cases import draw, geometric, with_spectrum

systems = {"kappa": st.floats(1.0, 60.0), "epsilon": st.floats(1e-4, 0.2)}


def emulated(algorithm, kappa, epsilon, **options):
    matrix = with_spectrum(geometric(3, 1.0 + (kappa - 1.0) / 2.0, seed=0), 0)
    return emulate(matrix, draw(3, seed=1), algorithm, epsilon, 1.001, kappa, **options)


@settings(deadline=None, max_examples=40)
@given(**systems)
def test_qsvt_is_run_with_the_degree_and_the_height_that_are_priced(kappa, epsilon):
    found = emulated("qsvt", kappa, epsilon)
    gain = math.sqrt(found.success_probability)
    priced = sunderhauf_2025(kappa=kappa, epsilon=epsilon)
    assert found.queries == priced.queries
    assert gain <= 1.0
    # A right-hand side gains 1 at least, up to the polynomial's error.
    assert gain >= math.sqrt(priced.success_probability) * (1.0 - 1.1 * epsilon) / 1.01


@settings(deadline=None, max_examples=20)
@given(**systems)
def test_dalzell_is_run_with_the_degrees_that_are_priced(kappa, epsilon):
    found = emulated("dalzell", kappa, epsilon)
    worst = dalzell_2024(kappa=max(kappa, 1.0 + 1e-6), epsilon=epsilon)
    assert found.expected_queries <= 1.1 * worst.expected


@settings(deadline=None, max_examples=20)
@given(**systems)
def test_hhl_is_run_with_the_clock_that_is_priced(kappa, epsilon):
    found = emulated("hhl", kappa, epsilon)
    assert found.queries == clock_queries(int(clock_qubits(kappa, epsilon)), epsilon)


@pytest.mark.parametrize("kappa", [1.0, 1.05, 2.0])
def test_a_condition_number_near_one_counts_alike(kappa):
    assert emulated("qsvt", kappa, 0.1).queries == sunderhauf_2025(kappa=kappa, epsilon=0.1).queries
