"""Curve fits against NIST's certified values and SciPy."""

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import torch
from scipy.optimize import OptimizeWarning
from torch import Tensor

import qnewton
from benchmarks.nist_problems import MODELS, Regression, digits, load
from qnewton.fitting import JacobianKind, Status, curve_fit, least_squares

DATA = Path(os.environ.get("QNEWTON_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
NIST = DATA / "nist"

# Misra1a: Misra, D. (1978), NIST; certified values and standard deviations.
VOLUME = [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4]
VOLUME += [75.47, 81.78]
PRESSURE = [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1]
PRESSURE += [689.1, 760.0]
CERTIFIED = [2.3894212918e02, 5.5015643181e-04]
DEVIATIONS = [2.7070075241, 7.2668688436e-06]
START = [500.0, 0.0001]

T = torch.linspace(0, 4, 50, dtype=torch.float64)
Y = 2.5 * torch.exp(-1.3 * T) + 0.5 + 0.1 * torch.sin(31 * T)
SIGMA = 0.1 + 0.05 * T


def misra(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return a * (1 - torch.exp(-b * x))


def decay(t: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return a * torch.exp(-b * t) + c


def by_numpy(t: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return a * np.exp(-b * t) + c


def test_misra1a_has_its_certified_values_and_standard_deviations() -> None:
    found, covariance = curve_fit(misra, PRESSURE, VOLUME, START)
    assert found.tolist() == pytest.approx(CERTIFIED, rel=1e-8)
    assert covariance.diagonal().sqrt().tolist() == pytest.approx(DEVIATIONS, rel=1e-7)
    assert found.dtype == torch.float64


@pytest.mark.parametrize("sigma", [None, SIGMA])
def test_a_model_takes_one_backward_pass(sigma: Tensor | None) -> None:
    assert curve_fit(decay, T, Y, sigma=sigma, full_output=True)[2].jacobian is (
        JacobianKind.EXPANDED
    )


@pytest.mark.skipif(not NIST.is_dir(), reason="NIST's files are not here; set QNEWTON_DATA")
@pytest.mark.parametrize("name", MODELS)
def test_nists_problems_have_six_certified_digits_from_both_starts(name: str) -> None:
    problem = load(name, NIST)
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
    for start in problem.starts:
        fit = least_squares(lambda b: problem.model(b, x, torch) - y, start)
        assert fit.success
        assert digits(fit.x.numpy(), problem.certified) >= 6
        if problem.squares > 1e-20:
            assert 2 * fit.cost == pytest.approx(problem.squares, rel=1e-8)
            assert fit.standard_errors is not None
            assert digits(fit.standard_errors.numpy(), problem.deviations) >= 4
        assert fit.jacobian is JacobianKind.EXPANDED


def test_digits_are_counted() -> None:
    certified = np.array([1.0, 2.0])
    assert digits(np.array([1.001, 2.0]), certified) == pytest.approx(3.0)
    assert digits(certified, certified) == 11.0
    assert digits(np.array([np.nan, 2.0]), certified) == 0.0
    assert Regression.__dataclass_fields__.keys() >= {"certified", "deviations"}


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("kind", ["none", "deviations", "covariance"])
def test_parameters_and_covariance_are_scipys(kind: str, absolute: bool) -> None:
    distance = (T[:, None] - T[None, :]).abs()
    sigma = {
        "none": None,
        "deviations": SIGMA,
        "covariance": SIGMA[:, None] * torch.exp(-4 * distance) * SIGMA[None, :],
    }[kind]
    found, covariance = curve_fit(decay, T, Y, sigma=sigma, absolute_sigma=absolute)
    peer, spread = scipy.optimize.curve_fit(
        by_numpy,
        T.numpy(),
        Y.numpy(),
        sigma=None if sigma is None else sigma.numpy(),
        absolute_sigma=absolute,
        ftol=1e-14,
        xtol=1e-14,
    )
    np.testing.assert_allclose(found.numpy(), peer, rtol=1e-6)
    np.testing.assert_allclose(covariance.numpy(), spread, rtol=1e-4)


def slopes(t: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    part = torch.exp(-b * t)
    return torch.stack([part, -a * t * part, torch.ones_like(t)], dim=1)


def slopes_by_numpy(t: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    part = np.exp(-b * t)
    return np.stack([part, -a * t * part, np.ones_like(t)], axis=1)


@pytest.mark.parametrize("kind", ["none", "one deviation", "deviations", "covariance"])
@pytest.mark.parametrize("model", [decay, by_numpy], ids=["torch", "numpy"])
@pytest.mark.parametrize("jac", [slopes, slopes_by_numpy], ids=["torch", "numpy"])
def test_a_jacobian_of_the_model_is_called_and_weighed_as_scipy_does(
    kind: str, model: Callable[..., object], jac: Callable[..., object]
) -> None:
    distance = (T[:, None] - T[None, :]).abs()
    sigma = {
        "none": None,
        "one deviation": torch.tensor(0.3).double(),
        "deviations": SIGMA,
        "covariance": SIGMA[:, None] * torch.exp(-4 * distance) * SIGMA[None, :],
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, covariance, fit = curve_fit(
            model, T, Y, sigma=sigma, jac=jac, absolute_sigma=True, full_output=True
        )
    peer, spread = scipy.optimize.curve_fit(
        by_numpy,
        T.numpy(),
        Y.numpy(),
        # SciPy takes no single deviation beside a Jacobian.
        sigma=None if sigma is None else np.broadcast_to(sigma, sigma.shape or (50,)),
        jac=slopes_by_numpy,
        absolute_sigma=True,
        ftol=1e-14,
        xtol=1e-14,
    )
    assert fit.jacobian is JacobianKind.GIVEN
    np.testing.assert_allclose(found.numpy(), peer, rtol=1e-6)
    np.testing.assert_allclose(covariance.numpy(), spread, rtol=1e-4)


@pytest.mark.parametrize("sigma", [None, SIGMA])
def test_a_jacobian_of_another_shape_is_refused(sigma: Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"\[M, N\] = \[50, 3\]"):
        curve_fit(decay, T, Y, sigma=sigma, jac=lambda *inputs: slopes(*inputs).T)


@pytest.mark.parametrize("kind", ["none", "deviations", "covariance"])
@pytest.mark.parametrize("predictors", [1, 2])
def test_points_that_miss_a_number_are_left_out_as_scipy_does(kind: str, predictors: int) -> None:
    y = Y.numpy().copy()
    y[[3, 20]] = np.nan
    x = np.stack([T.numpy(), 0.1 * np.sin(T.numpy())])[:predictors]
    x[-1, 7] = np.nan
    x = x[0] if predictors == 1 else x
    sigma = {"none": None, "deviations": SIGMA, "covariance": torch.diag(SIGMA**2)}[kind]
    weights = None if sigma is None else sigma.numpy()

    def model(x: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        return by_numpy(x, a, b, c) if predictors == 1 else by_numpy(x[0], a, b, c) + c * x[1]

    options = {"sigma": weights, "nan_policy": "omit"}
    found, covariance, fit = curve_fit(model, x, y, full_output=True, **options)
    peer, spread = scipy.optimize.curve_fit(model, x, y, ftol=1e-14, xtol=1e-14, **options)
    assert len(fit.fun) == 47
    np.testing.assert_allclose(found.numpy(), peer, rtol=1e-5)
    np.testing.assert_allclose(covariance.numpy(), spread, rtol=1e-4)


def test_the_largest_number_of_evaluations_is_scipys_maxfev() -> None:
    with pytest.raises(RuntimeError, match="Optimal parameters not found: The largest"):
        curve_fit(decay, T, Y, maxfev=3)
    _, _, fit = curve_fit(decay, T, Y, max_nfev=3, full_output=True)
    assert fit.status is Status.EVALUATIONS
    found, _ = curve_fit(decay, T, Y, maxfev=0)
    torch.testing.assert_close(found, curve_fit(decay, T, Y, maxfev=1000)[0])


def test_options_of_scipy_that_change_nothing_are_taken() -> None:
    found, _ = curve_fit(decay, T, Y, method="dogbox", check_finite=True, verbose=0, jac=None)
    torch.testing.assert_close(found, curve_fit(decay, T, Y)[0])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"verbose": 2}, "curve_fit prints nothing"),
        ({"check_finite": False}, "curve_fit always checks"),
        ({"nan_policy": "propagate"}, "'raise', 'omit' or None"),
        ({"maxfev": 9, "max_nfev": 9}, "pass one of them"),
        ({"epsfcn": 1e-3}, "curve_fit takes no option 'epsfcn'"),
        ({"args": (1,)}, "curve_fit takes no option 'args'"),
    ],
)
def test_options_that_cannot_be_kept_to_are_refused(options: dict, line: str) -> None:
    with pytest.raises((ValueError, TypeError), match=line) as caught:
        curve_fit(decay, T, Y, **options)
    assert "\n" not in str(caught.value)
    assert "least_squares" not in str(caught.value)


def test_bounds_losses_and_further_options_reach_the_fit() -> None:
    found, _, fit = curve_fit(
        decay, T, Y, bounds=([0, 0, 0], [2.0, 5, 5]), loss="soft_l1", full_output=True
    )
    assert fit.active_mask.tolist() == [1, 0, 0]
    assert torch.equal(fit.x, found)
    peer, _ = scipy.optimize.curve_fit(
        by_numpy, T.numpy(), Y.numpy(), bounds=([0, 0, 0], [2.0, 5, 5]), loss="soft_l1"
    )
    np.testing.assert_allclose(found.numpy(), peer, rtol=1e-4)


@pytest.mark.parametrize(
    ("bounds", "start"),
    [
        ((-math.inf, math.inf), [1.0, 1.0, 1.0]),
        ((0.0, 4.0), [2.0, 2.0, 2.0]),
        ((3.0, math.inf), [4.0, 4.0, 4.0]),
        ((-math.inf, 3.0), [2.0, 2.0, 2.0]),
    ],
)
def test_the_start_is_scipys(bounds: tuple[float, float], start: list[float]) -> None:
    seen: list[Tensor] = []

    def watched(t: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        seen.append(torch.stack([each.detach().reshape(-1)[0] for each in (a, b, c)]))
        return decay(t, a, b, c)

    curve_fit(watched, T, Y, bounds=bounds)
    assert seen[0].tolist() == start


def test_dtype_is_the_starts_else_the_datas() -> None:
    single = T.float(), Y.float()
    assert curve_fit(decay, *single)[0].dtype == torch.float32
    assert curve_fit(decay, *single, p0=torch.ones(3).double())[0].dtype == torch.float64
    assert curve_fit(decay, T.tolist(), Y.tolist())[0].dtype == torch.float64
    assert curve_fit(decay, T.numpy(), Y.numpy(), p0=[1, 1, 1])[0].dtype == torch.float64


@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
@pytest.mark.parametrize("data", [T, T.numpy(), T.tolist()], ids=["tensor", "array", "list"])
def test_formulas_in_numpy_get_arrays_without_a_warning(data: object, jac: str | None) -> None:
    kinds = set()

    def model(t: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        kinds.add((type(t), type(a)))
        return by_numpy(t, a, b, c)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _, fit = curve_fit(model, data, Y, jac=jac, full_output=True)
    assert fit.jacobian is JacobianKind.DIFFERENCES
    assert (np.ndarray, np.float64) in kinds
    torch.testing.assert_close(found, curve_fit(decay, T, Y)[0], rtol=1e-5, atol=0)


def test_formulas_with_methods_of_arrays_get_arrays() -> None:
    def model(t: np.ndarray, a: float, b: float) -> np.ndarray:
        return np.asarray(np.where(t.astype(float) > 1, a * t + b, a + b))

    found, _ = curve_fit(model, T, model(T.numpy(), 2.0, 3.0))
    assert found.tolist() == pytest.approx([2.0, 3.0])


def test_formulas_in_both_keep_their_derivatives() -> None:
    # NumPy's function of the data alone needs no derivative.
    def model(t: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return decay(t, a, b, c) * torch.as_tensor(np.exp(0 * t))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found, _, fit = curve_fit(model, T, Y, full_output=True)
    assert fit.jacobian is JacobianKind.EXPANDED
    torch.testing.assert_close(found, curve_fit(decay, T, Y)[0])


def test_the_error_of_a_formula_reaches_the_caller() -> None:
    def broken(t: Tensor, a: Tensor) -> Tensor:
        raise RuntimeError("the simulator stopped")

    with pytest.raises(RuntimeError, match="the simulator stopped"):
        curve_fit(broken, T, Y)


def test_models_in_numpy_are_fitted_by_differences() -> None:
    def model(t: np.ndarray, a: Tensor, b: Tensor, c: Tensor) -> np.ndarray:
        return float(a) * np.exp(-float(b) * np.asarray(t)) + float(c)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found, _, fit = curve_fit(model, T.numpy(), Y.numpy(), full_output=True)
    assert fit.jacobian is JacobianKind.DIFFERENCES
    torch.testing.assert_close(found, curve_fit(decay, T, Y)[0], rtol=1e-5, atol=0)


def test_a_model_in_float32_is_differenced_with_steps_for_float32() -> None:
    def model(t: Tensor, a: Tensor, b: Tensor, c: Tensor) -> np.ndarray:
        return by_numpy(t.numpy(), *np.stack([a, b, c])).astype(np.float32)

    found, _ = curve_fit(model, T, Y, [3.0, 0.5, 0.0], jac="2-point")
    torch.testing.assert_close(found, curve_fit(decay, T, Y)[0], rtol=1e-3, atol=0)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("method", ["lm", "trf"])
@pytest.mark.parametrize("case", ["parameters act together", "fewer data"])
def test_what_the_data_do_not_determine_has_no_covariance(
    case: str, method: str, absolute: bool
) -> None:
    t, y = (T, 3 * T) if case == "parameters act together" else (T[:1], Y[:1])
    options = {"method": method, "absolute_sigma": absolute}
    with pytest.warns(OptimizeWarning, match="^Covariance of the parameters could not") as told:
        _, covariance = curve_fit(lambda t, a, b: (a + b) * t + 1, t, y, **options)
    assert bool(covariance.isinf().all())
    assert [each.filename for each in told] == [__file__]


def test_as_many_data_as_parameters_have_a_covariance_of_absolute_deviations() -> None:
    def line(t: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return a * t + b

    with pytest.warns(OptimizeWarning, match="Covariance"):
        _, covariance = curve_fit(line, T[:2], Y[:2])
    assert bool(covariance.isinf().all())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, covariance = curve_fit(line, T[:2], Y[:2], sigma=SIGMA[:2], absolute_sigma=True)
    _, peer = scipy.optimize.curve_fit(
        lambda t, a, b: a * t + b,
        T[:2].numpy(),
        Y[:2].numpy(),
        sigma=SIGMA[:2].numpy(),
        absolute_sigma=True,
    )
    np.testing.assert_allclose(covariance.numpy(), peer, rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"ydata": []}, "ydata has 0 entries"),
        ({"ydata": [1.0, float("nan")]}, "1 of them not finite"),
        ({"xdata": torch.where(T > 3.9, torch.nan, T)}, "xdata has 50 entries, 2 of them not"),
        ({"ydata": torch.where(T > 3.9, torch.nan, Y), "nan_policy": "raise"}, "2 of 50 points"),
        (
            {"ydata": [1, math.nan], "xdata": {"t": T}, "nan_policy": "omit"},
            "needs xdata as a list",
        ),
        ({"f": lambda t, *p: p[0] * t}, "cannot be counted"),
        ({"f": lambda t, a: None}, "^f returned None"),
        ({"sigma": -SIGMA}, "must be positive"),
        ({"sigma": SIGMA[:3]}, r"sigma has shape \[3\]"),
        ({"sigma": -torch.eye(50).double()}, "not positive definite"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(changed: dict, line: str) -> None:
    asked = {"f": decay, "xdata": T, "ydata": Y, **changed}
    with pytest.raises(ValueError, match=line) as caught:
        curve_fit(**asked)
    assert "\n" not in str(caught.value)


def test_the_package_has_it() -> None:
    assert qnewton.curve_fit is curve_fit
