"""Fits with bounds: SciPy's own cases, and that no point ever leaves the box."""

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qnewton.fitting import Status, least_squares
from qnewton.fitting.bounds import bounds_of, start_within

INF = np.inf


def rosenbrock(x: Tensor) -> Tensor:
    return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def by_numpy(x: np.ndarray) -> np.ndarray:
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


# Those of SciPy's test suite for bounded problems, and corners.
CASES = [
    ([-2.0, 1.0], ([-INF, -1.5], INF)),
    ([2.0, 1.0], ([-INF, -1.5], INF)),
    ([-2.0, 1.0], ([-INF, 0.5], [INF, 2.0])),
    ([2.0, 2.0], ([1.5, -INF], INF)),
    ([-2.0, 2.0], ([-INF, 1.5], INF)),
    ([-2.0, 0.5], (-INF, [INF, 0.9])),
    ([0.0, 2.0], ([-INF, 1.5], [1.0, INF])),
    ([0.3, 10.0], ([-50.0, 0.0], [0.5, 100.0])),
    ([-0.6, 0.0], ([-2.0, -1.0], [-0.5, 3.0])),
]


@pytest.mark.parametrize(("start", "bounds"), CASES)
def test_minima_are_scipys(start: list[float], bounds: tuple) -> None:
    fit = least_squares(rosenbrock, start, bounds=bounds)
    peer = scipy.optimize.least_squares(
        by_numpy, start, bounds=bounds, xtol=1e-15, ftol=1e-15, gtol=1e-14
    )
    assert fit.success
    np.testing.assert_allclose(fit.x.numpy(), peer.x, rtol=1e-6, atol=1e-7)
    assert fit.cost == pytest.approx(peer.cost, rel=1e-7, abs=1e-12)
    assert fit.active_mask.tolist() == peer.active_mask.tolist()
    assert fit.active_mask.dtype == torch.int64
    assert fit.optimality < 1e-6
    lower, upper = (np.broadcast_to(each, 2) for each in bounds)
    assert bool(((fit.x.numpy() >= lower) & (fit.x.numpy() <= upper)).all())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 100_000), st.sampled_from([torch.float32, torch.float64]))
def test_a_linear_problem_in_a_box_is_solved_and_never_left(seed: int, dtype: torch.dtype) -> None:
    generator = np.random.default_rng(seed)
    matrix = torch.from_numpy(generator.normal(size=(8, 4))).to(dtype)
    y = torch.from_numpy(generator.normal(size=8)).to(dtype)
    centre = generator.normal(size=4)
    width = generator.uniform(0.05, 2.0, size=4)
    lower, upper = centre - width, centre + width
    outside = []

    def watched(x: Tensor) -> Tensor:
        at = x.detach() if x.dim() == 1 else x.detach()[:, 0]
        outside.append(bool(((at.double() < lower_t) | (at.double() > upper_t)).any()))
        return matrix @ x - y

    lower_t, upper_t = torch.from_numpy(lower), torch.from_numpy(upper)
    start = torch.from_numpy(centre).to(dtype)
    fit = least_squares(watched, start, bounds=(lower, upper))
    assert not any(outside)
    assert fit.success
    exact = scipy.optimize.lsq_linear(
        matrix.double().numpy(), y.double().numpy(), (lower, upper), tol=1e-14
    )
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    assert fit.cost <= exact.cost * (1 + tolerance) + tolerance


def test_a_start_on_a_bound_moves_inside() -> None:
    fit = least_squares(rosenbrock, [0.5, 1.0], bounds=([-1, -1], [0.5, 2]))
    assert fit.x.tolist() == pytest.approx([0.5, 0.25], rel=1e-6)


def test_bounds_that_do_not_bind_change_nothing() -> None:
    free = least_squares(rosenbrock, [-1.2, 1.0])
    boxed = least_squares(rosenbrock, [-1.2, 1.0], bounds=(-1e3, 1e3))
    torch.testing.assert_close(boxed.x, free.x, rtol=1e-8, atol=1e-8)
    assert boxed.active_mask.tolist() == [0, 0]


def test_scipys_bounds_and_tensors_are_taken() -> None:
    pairs = [
        scipy.optimize.Bounds([-2, -2], [0.5, 2]),  # type: ignore[arg-type]
        (torch.tensor([-2.0, -2.0]), torch.tensor([0.5, 2.0])),
        [-2, np.array([0.5, 2.0])],
    ]
    for bounds in pairs:
        fit = least_squares(rosenbrock, [0.0, 0.0], bounds=bounds)
        assert fit.active_mask.tolist() == [1, 0]


def test_float32_bounds_are_rounded_inward() -> None:
    like = torch.zeros(1)
    found = bounds_of((0.1, 0.7), like)
    assert found.lower[0] >= 0.1
    assert found.upper[0] <= 0.7
    for x in (found.lower, found.upper):
        moved = start_within(found, x.copy())
        assert found.lower[0] < moved[0] < found.upper[0]
        assert moved[0] == float(np.float32(moved[0]))


def test_a_multiplier_holds_a_parameter_at_its_bound() -> None:
    t = torch.linspace(0, 1, 20, dtype=torch.float64)
    fit = least_squares(lambda x: x[0] + x[1] * t - (1 + 3 * t), [0.5, 0.5], bounds=(0, [INF, 2]))
    assert fit.active_mask.tolist() == [0, 1]
    assert float(fit.grad[1]) < -1e-2
    assert abs(float(fit.grad[0])) < 1e-8


def test_robust_losses_take_bounds() -> None:
    t = torch.linspace(0, 1, 20, dtype=torch.float64)
    y = 1 + 3 * t
    y[3] += 50
    fit = least_squares(lambda x: x[0] + x[1] * t - y, [1.5, 1.0], bounds=(0, 2.5), loss="cauchy")
    plain = least_squares(lambda x: x[0] + x[1] * t - y, [1.5, 1.0], bounds=(0, 2.5))
    assert fit.active_mask.tolist() == [0, 1]
    assert abs(float(fit.x[0]) - 1.25) < 0.05
    assert float(plain.x[0]) == pytest.approx(2.5, rel=1e-6)


def test_evaluations_end_a_fit_with_bounds() -> None:
    fit = least_squares(rosenbrock, [-1.2, 1.0], bounds=(-2, 2), max_nfev=2)
    assert fit.status is Status.EVALUATIONS
