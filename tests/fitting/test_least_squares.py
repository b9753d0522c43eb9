"""Least squares beside SciPy's, and where it ends."""

import math
from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import qnewton
from qnewton.fitting import JacobianKind, Progress, Status, least_squares

T = torch.linspace(0, 5, 40, dtype=torch.float64)
TRUE = torch.tensor([2.0, 0.7, 0.3], dtype=torch.float64)
NOISE = 0.05 * torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def decay(x: Tensor) -> Tensor:
    return x[0] * torch.exp(-x[1] * T.to(x)) + x[2]


def residuals(x: Tensor) -> Tensor:
    y = decay(TRUE) + NOISE
    return decay(x) - y.to(x)


def by_numpy(x: np.ndarray) -> np.ndarray:
    return residuals(torch.from_numpy(x)).numpy()


def rosenbrock(x: Tensor) -> list[Tensor]:
    return [10 * (x[1] - x[0] ** 2), 1 - x[0]]


@pytest.mark.parametrize("method", [None, "lm", "trf", "dogbox"])
def test_fields_agree_with_scipy(method: str | None) -> None:
    fit = least_squares(residuals, [1.0, 1.0, 0.0], method=method)
    peer = scipy.optimize.least_squares(by_numpy, [1, 1, 0], xtol=1e-15, ftol=1e-15, gtol=1e-13)
    np.testing.assert_allclose(fit.x.numpy(), peer.x, rtol=1e-6)
    np.testing.assert_allclose(fit.fun.numpy(), peer.fun, atol=1e-7)
    np.testing.assert_allclose(fit.jac.numpy(), peer.jac, atol=1e-6)
    assert fit.cost == pytest.approx(peer.cost, rel=1e-12)
    assert fit.success
    assert fit.message == fit.status.message
    assert fit.optimality < 1e-7
    torch.testing.assert_close(fit.grad, fit.jac.T @ fit.fun, atol=1e-12, rtol=0)
    assert fit.active_mask.tolist() == [0, 0, 0]
    assert fit.nfev >= fit.njev == fit.iterations + 1
    inverse = np.linalg.inv(peer.jac.T @ peer.jac)
    assert fit.covariance is not None
    assert fit.standard_errors is not None
    expected = inverse * 2 * peer.cost / (40 - 3)
    np.testing.assert_allclose(fit.covariance.numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(fit.standard_errors.numpy() ** 2, np.diag(expected), rtol=1e-5)


def test_the_result_is_frozen_and_prints_what_was_found() -> None:
    fit = least_squares(rosenbrock, [-1.2, 1.0], bounds=(-2, [0.5, 2]))
    with pytest.raises(FrozenInstanceError):
        fit.cost = 0.0  # type: ignore[misc]
    text = str(fit)
    assert fit.message in text
    assert "cost 0.125" in text
    assert "x[0] = 0.5, at its upper bound" in text
    assert str(fit.nfev) in text
    noisy = least_squares(residuals, TRUE)
    assert noisy.standard_errors is not None
    assert f"± {float(noisy.standard_errors[0]):.2g}" in str(noisy)


def test_the_package_has_it_and_loads_it_late() -> None:
    assert qnewton.least_squares is least_squares
    assert qnewton.fitting.least_squares is least_squares


@pytest.mark.parametrize("start", [[1.0, 1.0, 0.0], np.array([1, 1, 0]), torch.tensor([1, 1, 0])])
def test_starts_that_are_no_floating_tensor_become_float64(start: object) -> None:
    fit = least_squares(residuals, start)  # type: ignore[arg-type]
    assert {fit.x.dtype, fit.fun.dtype, fit.jac.dtype, fit.grad.dtype} == {torch.float64}


@pytest.mark.parametrize("method", ["lm", "trf"])
def test_float32_stays_and_ends_at_its_rounding(method: str) -> None:
    start = torch.tensor([1.0, 1.0, 0.0])
    fit = least_squares(residuals, start, method=method)
    assert {fit.x.dtype, fit.fun.dtype, fit.jac.dtype, fit.grad.dtype} == {torch.float32}
    assert fit.success
    assert fit.nfev < 30
    whole = least_squares(residuals, start.double())
    torch.testing.assert_close(fit.x.double(), whole.x, rtol=2e-5, atol=0)
    assert start.tolist() == [1, 1, 0]


@pytest.mark.parametrize("jac", [None, "2-point"])
def test_a_float32_formula_inside_of_a_float64_fit_ends_at_its_rounding(jac: str | None) -> None:
    tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    fit = least_squares(lambda x: residuals(x).float(), [1.0, 1.0, 0.0], jac=jac, **tight)  # type: ignore[arg-type]
    assert fit.success
    assert fit.nfev < 30
    torch.testing.assert_close(
        fit.x, least_squares(residuals, [1.0, 1.0, 0.0]).x, rtol=1e-3, atol=0
    )


@settings(deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 2))
def test_units_of_a_parameter_change_nothing(unit: float, which: int) -> None:
    units = torch.ones(3, dtype=torch.float64)
    units[which] = unit
    start = torch.tensor([1.0, 1.0, 0.5], dtype=torch.float64)
    plain = least_squares(residuals, start)
    scaled = least_squares(lambda x: residuals(x * _like(units, x)), start / units)
    torch.testing.assert_close(scaled.x * units, plain.x, rtol=1e-7, atol=0)
    assert abs(scaled.nfev - plain.nfev) <= 2


def _like(units: Tensor, x: Tensor) -> Tensor:
    return units if x.dim() == 1 else units.unsqueeze(1)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 6))
def test_a_linear_problem_is_solved_in_a_few_steps(seed: int, n: int, more: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(n + more, n, generator=generator, dtype=torch.float64)
    matrix[:n] += 4 * torch.eye(n)
    y = torch.randn(n + more, generator=generator, dtype=torch.float64)
    fit = least_squares(lambda x: matrix @ x - y, [1.0] * n)
    expected = torch.linalg.lstsq(matrix, y.unsqueeze(1)).solution.squeeze(1)
    torch.testing.assert_close(fit.x, expected, rtol=1e-8, atol=1e-8)
    assert fit.success
    # One if the first radius reaches; it doubles per step where it does not.
    assert fit.iterations <= 8


def test_fewer_residuals_than_parameters_are_fitted_without_a_covariance() -> None:
    fit = least_squares(lambda x: torch.stack([x[0] * x[1] * x[2] - 6]), [1.0, 2.0, 1.0])
    assert fit.cost < 1e-20
    assert fit.covariance is None
    assert fit.standard_errors is None


def test_parameters_that_act_together_have_no_covariance() -> None:
    fit = least_squares(lambda x: (x[0] + x[1]) * T - 3 * T + NOISE, [1.0, 1.0])
    assert float(fit.x.sum()) == pytest.approx(3.0, abs=0.1)
    assert fit.success
    assert fit.covariance is None


def test_a_parameter_without_effect_stays() -> None:
    fit = least_squares(lambda x: x[0] * T - 3 * T + 0 * x[1], [1.0, 5.0])
    assert fit.x.tolist() == pytest.approx([3.0, 5.0])
    assert fit.covariance is None


def test_trials_that_are_not_finite_are_refused() -> None:
    # Only x > 0 has residuals, and a full first step goes to x < 0.
    def log(x: Tensor) -> Tensor:
        return torch.log(x[0]) + 0 * T + 3.0

    fit = least_squares(log, [5.0])
    assert float(fit.x[0]) == pytest.approx(math.exp(-3.0), rel=1e-8)
    assert fit.nfev > fit.njev


def test_a_point_without_a_jacobian_is_refused() -> None:
    def root(x: Tensor) -> Tensor:
        return torch.sqrt(torch.clamp(x[0], min=0)) + 1e-3 * (x[0] - 4) + 0 * T

    fit = least_squares(root, [1.0])
    assert math.isfinite(fit.cost)
    assert bool(fit.jac.isfinite().all())


def test_arguments_are_passed_on() -> None:
    def line(x: Tensor, t: Tensor, *, offset: float) -> Tensor:
        return x[0] * t - 2 * t + 0 * offset

    fit = least_squares(line, [1.0], args=(T,), kwargs={"offset": 1.0})
    assert fit.x.tolist() == pytest.approx([2.0])


def test_a_callback_sees_each_step_and_may_stop() -> None:
    seen: list[Progress] = []
    fit = least_squares(residuals, [1.0, 1.0, 0.0], callback=seen.append)
    assert [each.nit for each in seen] == list(range(1, len(seen) + 1))
    assert all(late.cost <= soon.cost * (1 + 1e-8) for soon, late in pairwise(seen))
    assert len(seen) >= fit.iterations - 1

    def enough(progress: Progress) -> None:
        if progress.nit == 2:
            raise StopIteration

    stopped = least_squares(residuals, [1.0, 1.0, 0.0], callback=enough)
    assert stopped.status is Status.STOPPED
    assert not stopped.success
    assert stopped.iterations == 2
    torch.testing.assert_close(stopped.x, seen[1].x)


def test_the_number_of_evaluations_is_kept() -> None:
    fit = least_squares(rosenbrock, [-1.2, 1.0], max_nfev=3)
    assert fit.status is Status.EVALUATIONS
    assert not fit.success
    assert fit.nfev <= 4


@pytest.mark.parametrize("name", ["ftol", "xtol", "gtol"])
def test_each_tolerance_can_end_a_fit_alone(name: str) -> None:
    tolerances: dict[str, float | None] = {"ftol": None, "xtol": None, "gtol": None}
    fit = least_squares(residuals, [1.0, 1.0, 0.0], **{**tolerances, name: 1e-6})  # type: ignore[arg-type]
    expected = {"ftol": Status.COST, "xtol": Status.STEP, "gtol": Status.GRADIENT}
    assert fit.status is expected[name]
    torch.testing.assert_close(fit.x, TRUE, rtol=0.2, atol=0)


def test_large_residuals_bring_second_derivatives_and_fewer_steps() -> None:
    # Brown and Dennis: Gauss-Newton alone takes hundreds of steps.
    t = torch.arange(1, 21, dtype=torch.float64) / 5

    def brown_dennis(x: Tensor) -> Tensor:
        a, b, c, d = x
        return (a + t * b - torch.exp(t)) ** 2 + (c + d * torch.sin(t) - torch.cos(t)) ** 2

    fit = least_squares(brown_dennis, [25.0, 5.0, -5.0, -1.0])
    assert 2 * fit.cost == pytest.approx(85822.20162635, rel=1e-10)
    assert fit.second_order_from is not None
    assert f"from step {fit.second_order_from}" in str(fit)
    assert fit.nfev < 40
    small = least_squares(lambda x: decay(x) - decay(TRUE), [1.0, 1.0, 0.0])
    assert small.second_order_from is None


@pytest.mark.parametrize("start", [[1.0], [0.0]])
def test_a_wall_ends_a_fit_without_a_tolerance_of_the_step(start: list[float]) -> None:
    # Every step from the start leads where nothing is finite.
    def walled(x: Tensor) -> Tensor:
        moved = (x[0] != start[0]).detach()
        return torch.where(moved, torch.inf, 1.0) + x[0] + 0 * T

    fit = least_squares(walled, start, xtol=None, gtol=None, max_nfev=5000)
    assert fit.status is Status.STEP
    assert fit.x.tolist() == start
    assert fit.nfev < 700


def test_a_jacobian_that_is_not_finite_is_refused_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    def root(x: Tensor) -> Tensor:
        return torch.sqrt((x[0] - 1).abs()) + torch.sqrt((x[1] - 2).abs()) + 0.1 * T

    fit = least_squares(root, [1.5, 2.5])
    assert bool(fit.jac.isfinite().all())
    assert [str(each.message) for each in recwarn] == []


def test_the_exact_minimum_is_an_end() -> None:
    fit = least_squares(rosenbrock, [1.0, 1.0])
    assert fit.status is Status.GRADIENT
    assert fit.iterations == 0
    assert fit.cost == 0


ROOTS = {
    "a number": lambda x: x.square().sum(),
    "one entry": lambda x: x.square().sum().reshape(1),
    "Python's number": lambda x: x.square().sum().item(),
    "as many as parameters": lambda x: x**2,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["lm", "trf"])
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("name", ROOTS)
def test_residuals_that_vanish_with_the_parameters_are_fitted(
    name: str, n: int, method: str, dtype: torch.dtype
) -> None:
    # Each step halves the parameters, and the cost underflows before they are zero.
    fit = least_squares(ROOTS[name], torch.ones(n, dtype=dtype), method=method)
    assert fit.success
    assert len(fit.fun) == (n if name == "as many as parameters" else 1)
    assert float(fit.x.abs().max()) < 1e-10


def test_residuals_too_small_for_their_squares_are_no_error() -> None:
    fit = least_squares(lambda x: 1e-170 * (x - 1), [2.0, 3.0])
    assert fit.cost == 0
    assert fit.success


def test_residuals_without_parameters_end_at_once() -> None:
    fit = least_squares(lambda x: T + 0.0, [1.0])
    assert fit.status is Status.GRADIENT
    assert fit.jacobian is JacobianKind.DIFFERENCES


def test_a_surrounding_no_grad_is_no_hindrance() -> None:
    with torch.no_grad():
        fit = least_squares(residuals, [1.0, 1.0, 0.0])
    assert fit.jacobian is JacobianKind.EXPANDED
    assert not fit.x.requires_grad
    assert not fit.jac.requires_grad


REFUSED = [
    ({"x0": [[1.0, 2.0]]}, r"x0 has shape \[1, 2\]"),
    ({"x0": []}, r"x0 has shape \[0\]"),
    ({"x0": [float("nan"), 1.0, 1.0]}, "x0 is not finite"),
    ({"x0": torch.ones(3, dtype=torch.float16)}, "convert it to float32"),
    ({"method": "newton"}, "choose 'lm'"),
    ({"method": "lm", "bounds": (0, 5)}, "takes no bounds"),
    ({"bounds": 3}, "a pair"),
    ({"bounds": ([0, 0], 5)}, r"shape \[2\]"),
    ({"bounds": (1, 1)}, "lower must be below"),
    ({"x0": [-1.0, 1.0, 1.0], "bounds": (0, 5)}, r"x0\[0\] = -1 is outside"),
    ({"loss": "square"}, "choose from linear, soft_l1"),
    ({"f_scale": 0.0}, "f_scale is 0"),
    ({"jac": "cs"}, "'3-point'"),
    ({"jac": lambda x: torch.ones(3)}, r"\[M, N\] = \[40, 3\]"),
    ({"x_scale": "unit"}, "pass 'jac'"),
    ({"x_scale": [1.0, -1.0, 1.0]}, "positive"),
    ({"ftol": None, "xtol": None, "gtol": None}, "at least one"),
    ({"gtol": -1.0}, "gtol is -1"),
    ({"max_nfev": 0}, "at least 1"),
    ({"fun": lambda x: x.unsqueeze(0)}, "flatten what"),
    ({"fun": lambda x: torch.log(x - 1)}, "residual 0 is -inf at x0"),
    ({"fun": lambda x: 1e200 * x}, "no finite sum"),
    ({"fun": lambda x: torch.sqrt(x - 1)}, "Jacobian at x0"),
    ({"fun": lambda x: torch.complex(x, x)}, "real ones are needed"),
    ({"fun": lambda x: None}, "fun returned None; end it with a return"),
    ({"fun": lambda x: [x[0], None]}, "fun returned None as entry 1"),
    ({"fun": lambda x: [1.0, None]}, "fun returned None as entry 1"),
    ({"jac": lambda x: None}, "jac returned None"),
    ({"fun": lambda x: np.array([1j, 1.0])}, "real ones are needed"),
    ({"fun": lambda x: x.round().long()}, r"whole numbers \(torch.int64\)"),
    ({"fun": lambda x: np.array([1, 2])}, r"whole numbers \(int64\)"),
]


@pytest.mark.parametrize(("changed", "line"), REFUSED)
def test_what_cannot_be_fitted_is_refused_in_one_line(changed: dict, line: str) -> None:
    asked = {"fun": residuals, "x0": [1.0, 1.0, 1.0], **changed}
    with pytest.raises(ValueError, match=line) as caught:
        least_squares(**asked)
    assert "\n" not in str(caught.value)


def test_residuals_must_keep_their_number() -> None:
    calls = iter(range(100))

    def growing(x: Tensor) -> np.ndarray:
        return np.ones(2 + (next(calls) > 3)) * float(x.detach()[0])

    with pytest.raises(ValueError, match="must not change"):
        least_squares(growing, [1.0])


def test_what_the_function_raises_reaches_the_caller() -> None:
    def broken(x: Tensor) -> Tensor:
        raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column"):
        least_squares(broken, [1.0])
