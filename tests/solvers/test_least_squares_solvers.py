"""Solvers that work on a factor: how many digits they keep where its square keeps none."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import lsmr as scipy_lsmr

from qnewton.operators import DenseFactor, DenseOperator, LinearSystem, LowRankOperator
from qnewton.records import Outcome
from qnewton.solvers import factorize, solve
from tests.cases import draw, least_squares, low_rank, squares
from tests.oracles import damped_fit

QUICK = settings(deadline=None, max_examples=30)
SHAPES = ((30, 10), (10, 10), (10, 24))


def error(solution, exact):
    assert solution.direction is not None
    return float((solution.direction.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize(("rows", "n"), SHAPES)
def test_seven_digits_and_more_where_cholesky_keeps_none(rows, n):
    # κ(J) = 1e8: κ of JᵀJ + λI is 1e17 to 1e18 (λ below the last singular value), or 1e14 (above).
    for shift, by_target, by_gradient, by_cholesky in (
        (1e-18, 1e-8, 1e-5, 1e-3),
        (1e-14, 1e-8, 1e-6, 1e-5),
    ):
        jacobian, target = least_squares(rows, n, kappa=1e8)
        system = squares(jacobian, target, shift)
        exact = damped_fit(jacobian, target, shift)
        known, unknown = (solve(s, "augmented_qr") for s in (system, replace(system, target=None)))
        assert known.solved
        assert unknown.solved
        assert error(known, exact) < by_target
        assert error(unknown, exact) < by_gradient
        squared = solve(system, "cholesky")
        assert squared.direction is None or error(squared, exact) > by_cholesky


@pytest.mark.parametrize(("rows", "n"), SHAPES)
def test_lsmr_keeps_the_digits_that_minres_loses(rows, n):
    jacobian, target = least_squares(rows, n, kappa=1e5)
    system, exact = squares(jacobian, target, 1e-10), damped_fit(jacobian, target, 1e-10)
    by_lsmr, by_minres = (solve(system, name, 1e-14) for name in ("lsmr", "minres"))
    assert error(by_lsmr, exact) < 1e-9
    assert error(by_minres, exact) > 2.0 * error(by_lsmr, exact)
    # Its condition number is a lower bound that is not far off: κ is 1e10.
    seen = by_lsmr.stats.condition
    assert seen is not None
    assert seen.value is not None
    assert 1e9 < seen.value < 1.1e10


def test_lsmr_takes_the_iterations_of_scipy():
    jacobian, target = least_squares(200, 60, kappa=30.0)
    solution = solve(squares(jacobian, target, 1e-4), "lsmr", 1e-10)
    stop = {"atol": 1e-12, "btol": 0.0, "conlim": 0.0, "maxiter": 500}
    found = scipy_lsmr(jacobian.numpy(), target.numpy(), damp=1e-2, **stop)
    torch.testing.assert_close(solution.direction, torch.from_numpy(found[0]), rtol=1e-5, atol=1e-7)
    assert abs(solution.stats.products - found[2]) <= 20


@QUICK
@given(
    st.integers(1, 30),
    st.integers(1, 40),
    st.floats(1e-3, 1e3),
    st.integers(0, 9),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_the_direction_is_that_of_cholesky_where_that_is_right(n, k, shift, seed, dtype):
    operator = low_rank(n, k, shift, seed)
    target = draw(k, seed=seed)
    exact = solve((operator.dense(), operator.factor @ target), "cholesky").direction
    held = LowRankOperator(DenseFactor(operator.factor.dense().to(dtype)), shift)
    system = LinearSystem(held, (operator.factor @ target).to(dtype), target=target.to(dtype))
    assert exact is not None
    rough = 1e-2 if dtype is torch.float32 else 1e-7
    for solver, given_target in (("augmented_qr", True), ("augmented_qr", False), ("lsmr", True)):
        solution = solve(system if given_target else replace(system, target=None), solver)
        assert solution.solved
        if solver == "augmented_qr":
            assert solution.direction is not None
            torch.testing.assert_close(
                solution.direction.double(), exact, rtol=rough, atol=rough / 30
            )


def test_a_right_hand_side_outside_the_range_of_its_factor_is_divided_by_the_damping():
    operator, rhs = low_rank(20, 4, 0.5), draw(20, seed=5)
    found, expected = (solve((operator, rhs), name) for name in ("augmented_qr", "cholesky"))
    torch.testing.assert_close(found.direction, expected.direction, rtol=1e-10, atol=1e-12)


def test_a_factorisation_solves_with_many_right_hand_sides_and_shows_the_condition_number():
    operator = low_rank(6, 30, 0.5)
    factors = factorize(operator, "augmented_qr")
    for seed in range(3):
        solution = factors.solve(draw(6, seed=seed))
        assert solution.stats.residual is not None
        assert solution.stats.residual < 1e-13
    values = torch.linalg.eigvalsh(operator.dense())
    exact = float(values[-1] / values[0])
    for kind in ("augmented_qr", "cholesky", "woodbury"):
        shown = factorize(operator, kind).condition
        assert shown is not None
        assert shown.low is not None
        assert 1.0 <= shown.low <= exact * (1 + 1e-12)


def test_a_target_of_another_system_does_not_pass_for_a_solution():
    jacobian, target = least_squares(30, 10, kappa=10.0)
    system = replace(squares(jacobian, target, 1e-2), rhs=draw(10))
    assert solve(system, "lsmr").outcome is Outcome.RESIDUAL
    mended = solve(system, "augmented_qr")
    torch.testing.assert_close(mended.direction, solve(system, "cholesky").direction)


def test_another_right_hand_side_has_no_known_target():
    system = squares(*least_squares(30, 10, kappa=10.0), 1e-2)
    other = system.with_rhs(draw(10, seed=7))
    assert other.target is None
    assert solve(other, "lsmr").outcome is Outcome.NO_TARGET
    found, expected = (solve(other, solver).direction for solver in ("augmented_qr", "cholesky"))
    torch.testing.assert_close(found, expected)


def test_a_target_that_does_not_fit_the_factor_is_refused():
    operator = low_rank(4, 3, 1.0)
    with pytest.raises(ValueError, match=r"the target has shape \(4,\), the factor's columns need"):
        LinearSystem(operator, torch.ones(4, dtype=torch.float64), target=torch.ones(4))
    # Entries alone have no columns that it could fit.
    dense = LinearSystem(operator, draw(4), target=draw(3)).with_operator(
        DenseOperator(operator.dense())
    )
    assert solve(dense, "lsmr").outcome is Outcome.NO_FACTOR


@pytest.mark.parametrize("rows", [12, 3])
def test_a_rank_lost_without_damping_is_singular_and_with_it_is_not(rows):
    jacobian = torch.ones(rows, 5, dtype=torch.float64)
    target = draw(rows)
    undamped = solve(squares(jacobian, target, 0.0), "augmented_qr")
    assert not undamped.solved
    damped = solve(squares(jacobian, target, 1e-6), "augmented_qr")
    assert damped.solved
    # The residual is large beside the solution: eps·κ² = 1e-8 times that.
    assert error(damped, damped_fit(jacobian, target, 1e-6)) < 1e-7


def test_lsmr_ends_where_its_products_do():
    jacobian, target = least_squares(40, 30, kappa=1e4)
    cut = solve(squares(jacobian, target, 1e-9), "lsmr", max_products=5)
    assert (cut.outcome, cut.detail) == (Outcome.NOT_CONVERGED, "in 5 products")
    assert cut.direction is not None
    zero = solve(squares(jacobian, 0 * target, 1e-9), "lsmr")
    assert zero.solved
    assert zero.direction is not None
    assert not zero.direction.any()


@pytest.mark.parametrize("up", [-600, -300, 300, 600])
@pytest.mark.parametrize("rows", [12, 3])
def test_a_target_gives_the_same_digits_at_both_ends_of_the_range(rows, up):
    jacobian, target = least_squares(rows, 5, kappa=100.0)
    middle = solve(squares(jacobian, target, 0.25), "augmented_qr")
    far = squares(jacobian * 2.0 ** (up // 2), target, 0.25 * 2.0**up)
    found = solve(far, "augmented_qr")
    assert found.direction is not None
    assert middle.direction is not None
    assert torch.equal(found.direction * 2.0 ** (up // 2), middle.direction)
