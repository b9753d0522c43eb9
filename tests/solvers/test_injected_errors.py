"""Errors of a circuit, injected: each is as large as it is said to be, and all stay within ε."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.error_budget import case, injected, outcomes, rows
from qnewton.operators import DenseOperator, MatrixFreeOperator
from qnewton.queries import CircuitErrors
from qnewton.solvers.quantum import ALGORITHMS, Readout, emulate
from qnewton.solvers.quantum.algorithm import Posed
from qnewton.solvers.quantum.erring import ErringEmulation
from tests.cases import draw, geometric, with_spectrum

SYSTEM = with_spectrum(geometric(20, 10.0, indefinite=True), 0), draw(20, seed=1)


def encoded(operator, errors, alpha=3.0):
    erring = ErringEmulation(errors=errors, mode="eigen", epsilon=1e-3)
    posed = Posed(
        solver=SimpleNamespace(alpha=alpha),  # type: ignore[arg-type]
        operator=operator,
        rhs=draw(operator.n, seed=1),
        exponent=0,
    )
    return erring._encoded(posed, torch.Generator().manual_seed(errors.seed))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.floats(1e-9, 0.1), st.integers(0, 99))
def test_entries_are_off_by_the_norm_that_is_said_along_every_vector(n, size, seed):
    matrix, errors = with_spectrum(geometric(n, 5.0), 0), CircuitErrors(entries=size, seed=seed)
    dense = encoded(DenseOperator(matrix), errors).dense() - matrix
    np.testing.assert_allclose(dense, dense.mT, atol=1e-15)
    norms = torch.linalg.svdvals(dense)
    np.testing.assert_allclose(norms, 3.0 * size, rtol=1e-6, atol=1e-14)
    by_products = MatrixFreeOperator(n, lambda v: matrix @ v, torch.float64)
    np.testing.assert_allclose(encoded(by_products, errors).dense() - matrix, dense, atol=1e-13)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_errors_change_nothing(algorithm):
    exact, none = (emulate(*SYSTEM, algorithm, 1e-2, errors=e) for e in (None, CircuitErrors()))
    np.testing.assert_allclose(none.state, exact.state, atol=1e-9)
    assert none.success_probability == pytest.approx(exact.success_probability, rel=1e-9)
    assert (none.queries, none.expected_queries) == (
        exact.queries,
        pytest.approx(exact.expected_queries, rel=1e-9),
    )
    assert (exact.execution, none.execution) == ("emulator", "emulator with errors")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rotations_move_the_output_by_all_queries_together(algorithm):
    exact = emulate(*SYSTEM, algorithm, 1e-2)
    length = math.sqrt(exact.success_probability)
    size = 1e-3 * length / exact.queries
    moved = emulate(*SYSTEM, algorithm, 1e-2, errors=CircuitErrors(rotations=size))
    distance = float((moved.state - exact.state).norm())
    assert 0.5e-3 < distance <= 1e-3 / (1 - 0.5e-3)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_right_hand_side_that_is_off_is_amplified_by_kappa_at_most(algorithm):
    exact = emulate(*SYSTEM, algorithm, 1e-3)
    off = emulate(*SYSTEM, algorithm, 1e-3, errors=CircuitErrors(rhs=1e-4))
    assert 1e-6 < float((off.state - exact.state).norm()) < 10.0 * 1e-4 * 1.1


def test_the_same_seed_draws_the_same_errors_and_another_does_not():
    one, same, other = (
        emulate(*SYSTEM, epsilon=1e-3, errors=CircuitErrors(rhs=1e-3, seed=seed)).state
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_shots_read_the_state_that_the_errors_left():
    errors = CircuitErrors(entries=1e-3, rhs=1e-3)
    readout = Readout(shots=10**8)
    found = emulate(*SYSTEM, epsilon=1e-3, errors=errors, readout=readout)
    assert found.measurement is not None
    assert float((found.measurement.vector - found.state).norm()) < 1e-2


@pytest.mark.parametrize("n", [1, 16, 48])
@pytest.mark.parametrize("seed", range(3))
def test_a_state_keeps_to_epsilon_with_everything_that_its_budget_allows(n, seed):
    for algorithm in ALGORITHMS:
        found = injected(case(n, seed), algorithm, seed)
        assert max(found.alone, found.drawn, found.harmful) <= 1.0
        assert found.alone <= 0.5 * 1.01


def test_the_table_says_what_was_missed():
    found = list(outcomes((16,), lambda _: None))
    table = rows(found)
    assert len(table) == 3 * len(ALGORITHMS) + 1
    assert {row.verdict for row in table} == {"met"}
    assert "missed" in {row.verdict for row in rows([replace(found[0], drawn=1.5), *found[1:]])}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"entries": -1.0}, "the error of entries is -1.0"),
        ({"rhs": 1.0}, r"the error of rhs is 1.0; it must lie in \[0, 1\)"),
        ({"rotations": math.nan}, "the error of rotations is nan"),
    ],
)
def test_errors_out_of_range_are_refused_in_one_line(asked, said):
    with pytest.raises(ValueError, match=said):
        CircuitErrors(**asked)
