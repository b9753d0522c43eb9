"""Every way to a Jacobian gives autograd's, and a function gets the one that is right for it."""

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qnewton.fitting import JacobianKind, Status, least_squares
from qnewton.fitting.bounds import bounds_of
from qnewton.fitting.expanded import Expanded, agrees
from qnewton.fitting.jacobian import Columns, Differences, Rows, graphed
from qnewton.fitting.residuals import Residuals
from qnewton.fitting.routes import fallback, first_route

T = torch.linspace(0.1, 2, 12, dtype=torch.float64)
X = torch.tensor([1.3, 0.4, -0.7], dtype=torch.float64)


def sampled(x: Tensor) -> Tensor:
    a, b, c = x
    return a * torch.exp(-b * T) + torch.sin(c * T) - 1


def indexed(x: Tensor) -> Tensor:
    return x[0] * T ** x[1] + x[2]


def stacked(x: Tensor) -> Tensor:
    return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0], x[2] * x[0]])


def listed(x: Tensor) -> list[object]:
    return [x[0] * x[1], x[2] ** 2, 3.0, x[0] - 1]


def product(x: Tensor) -> Tensor:
    matrix = torch.outer(T, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).sin()
    return torch.tanh(matrix @ x) - T


def mixed(x: Tensor) -> Tensor:
    values = x[0] * torch.exp(-x[1] * T) + x[2]
    return values - values.mean()


def summed(x: Tensor) -> Tensor:
    return x.sum() * T - x.square().sum()


def branching(x: Tensor) -> Tensor:
    return sampled(x) if float(x.detach()[0].max()) > 0 else indexed(x)


def with_own_gradient(x: Tensor) -> Tensor:
    t = T.clone().requires_grad_()
    values = x[0] * torch.sin(x[1] * t) + x[2] * t**3
    [slope] = torch.autograd.grad(values.sum(), t, create_graph=True)
    return slope + values


FUNCTIONS = [sampled, indexed, stacked, listed, product, mixed, summed, branching]
PROVEN = {sampled, indexed, stacked, listed, product, branching}


def residuals_of(function: Callable[..., object], like: Tensor = X) -> Residuals:
    return Residuals(function, like)


def exact(function: Callable[..., object]) -> Tensor:
    return torch.autograd.functional.jacobian(residuals_of(function).vector, X).T  # type: ignore[union-attr]


@pytest.mark.parametrize("function", [*FUNCTIONS, with_own_gradient], ids=lambda f: f.__name__)
def test_all_routes_agree_with_autograd(function: Callable[..., object]) -> None:
    residuals = residuals_of(function)
    unbounded = bounds_of((-math.inf, math.inf), X)
    lower, upper = torch.from_numpy(unbounded.lower), torch.from_numpy(unbounded.upper)
    chosen = first_route(residuals, None, unbounded, X).route
    routes = [
        (Rows(residuals), 1e-12),
        (Columns(residuals), 1e-12),
        (chosen, 1e-12),
        (Differences(residuals, lower, upper, 2), 1e-6),
        (Differences(residuals, lower, upper, 3), 1e-8),
    ]
    for route, tolerance in routes:
        trace = route.evaluate(X)
        torch.testing.assert_close(trace.residuals, residuals.vector(X))
        found = route.transposed(trace)
        torch.testing.assert_close(found, exact(function), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_functions_that_keep_columns_apart_are_expanded(function: Callable[..., object]) -> None:
    fit = least_squares(function, X)
    assert (fit.jacobian is JacobianKind.EXPANDED) == (function in PROVEN)


def test_a_mix_that_the_residuals_do_not_show_is_found() -> None:
    # A weighted mean of equal numbers is that number: values agree, gradients do not.
    def hidden(x: Tensor) -> Tensor:
        return sampled(x) + (x[0] if x.dim() == 1 else (x[0] * T).sum() / T.sum())

    fit = least_squares(hidden, X)
    assert fit.jacobian is JacobianKind.COLUMNS
    torch.testing.assert_close(fit.grad, torch.zeros_like(X), atol=1e-6, rtol=0)


def test_what_holds_at_the_start_only_is_found_at_the_end() -> None:
    # Far from the start another branch is taken, which mixes.
    def turning(x: Tensor) -> Tensor:
        far = (x[0] - 3).abs().detach().max() > 0.5
        base = x[0] * T + x[1] - (2 * T + 1) + 0.1 * torch.sin(9 * T)
        return base if far else base * base.sum().clamp(max=1e-9).exp()

    def other(x: Tensor) -> Tensor:
        values = x[0] * T + x[1] - (2 * T + 1) + 0.1 * torch.sin(9 * T)
        shared = values.sum() if bool(((x[0] - 4).abs() > 1).all()) else values * 0
        return values + 0.1 * shared

    assert least_squares(turning, [5.0, 0.0]).success
    fit = least_squares(other, [4.0, 0.0])
    assert fit.jacobian is JacobianKind.COLUMNS
    torch.testing.assert_close(fit.grad, torch.zeros(2).double(), atol=1e-7, rtol=0)
    expected = torch.autograd.functional.jacobian(other, fit.x)
    torch.testing.assert_close(fit.jac, expected)


def test_a_stop_from_outside_stays_one_where_the_route_is_found_wrong() -> None:
    def other(x: Tensor) -> Tensor:
        values = x[0] * T + x[1] - (2 * T + 1) + 0.1 * torch.sin(9 * T)
        shared = values.sum() if bool(((x[0] - 4).abs() > 0.5).all()) else values * 0
        return values + 0.1 * shared

    def stop(progress: object) -> None:
        raise StopIteration

    fit = least_squares(other, [4.0, 0.0], callback=stop)
    assert fit.status is Status.STOPPED
    assert fit.iterations == 1
    torch.testing.assert_close(fit.jac, torch.autograd.functional.jacobian(other, fit.x))


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_one_wrong_entry_of_a_jacobian_is_seen(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    route = Expanded(residuals_of(sampled), len(T), lambda output: output)
    trace = route.evaluate(X)
    found = route.transposed(trace)
    plain = graphed(residuals_of(sampled), X)
    assert agrees(plain, trace, found)
    wrong = found.clone()
    i = int(torch.randint(3, (1,), generator=generator))
    j = int(torch.randint(len(T), (1,), generator=generator))
    wrong[i, j] += 1e-6 * float(found.abs().max())
    assert not agrees(plain, trace, wrong)


def test_wide_problems_go_backward_and_tall_ones_forward() -> None:
    wide = residuals_of(lambda x: torch.stack([x.sum() ** 2, x.prod()]))
    tall = residuals_of(mixed)
    assert isinstance(fallback(wide, graphed(wide, X)), Rows)
    assert isinstance(fallback(tall, graphed(tall, X)), Columns)


class Once(torch.autograd.Function):
    """An operation whose gradient has no gradient."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad


def test_an_operation_without_second_derivative_goes_backward() -> None:
    fit = least_squares(lambda x: Once.apply(x).sum() * T - 2 * T, X)  # type: ignore[union-attr]
    assert fit.jacobian is JacobianKind.ROWS
    assert fit.cost < 1e-12


def test_numpy_inside_is_served_by_differences() -> None:
    def by_numpy(x: Tensor) -> np.ndarray:
        a, b, c = np.asarray(x)
        return a * np.exp(-b * T.numpy()) + c - 1

    fit = least_squares(by_numpy, X)
    assert fit.jacobian is JacobianKind.DIFFERENCES
    assert fit.cost < 1e-12


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "given"])
def test_residuals_in_numpy_get_arrays_without_a_warning(jac: str | None) -> None:
    def by_numpy(x: np.ndarray, t: np.ndarray) -> np.ndarray:
        return x[0] * np.exp(-x[1] * t) - 1

    def slopes(x: np.ndarray, t: np.ndarray) -> np.ndarray:
        return np.stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t)], axis=1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        way = slopes if jac == "given" else jac
        fits = [
            least_squares(by_numpy, [2.0, 1.0], way, args=(each,), bounds=bounds)
            for each in (T, T.numpy())
            for bounds in ((-math.inf, math.inf), (-1, 3))
        ]
    for fit in fits:
        torch.testing.assert_close(fit.x, torch.tensor([1.0, 0.0]).double(), rtol=0, atol=1e-6)


def valley(x: Tensor) -> list[float]:
    """Rosenbrock's residuals as numbers, which autograd cannot follow."""
    a, b = x.tolist()
    return [10 * (b - a**2), 1 - a]


COARSE = {
    "torch.float32": lambda x: torch.tensor(valley(x)),
    "torch.float16": lambda x: torch.tensor(valley(x)).half(),
    "torch.bfloat16": lambda x: torch.tensor(valley(x)).bfloat16(),
    "numpy.float32": lambda x: np.array(valley(x), dtype=np.float32),
    "numpy.float16": lambda x: np.array(valley(x), dtype=np.float16),
    "list of numpy.float32": lambda x: [np.float32(each) for each in valley(x)],
    "list of tensors": lambda x: [torch.tensor(each) for each in valley(x)],
    "list with one in float32": lambda x: [np.float32(valley(x)[0]), valley(x)[1]],
}


@pytest.mark.parametrize("jac", [None, "3-point"])
@pytest.mark.parametrize("kind", COARSE)
def test_differences_suit_the_dtype_of_the_residuals(kind: str, jac: str | None) -> None:
    # Steps made for the float64 of the parameters would be lost in what float32 rounds.
    fit = least_squares(COARSE[kind], [-1.2, 1.0], jac=jac)
    assert fit.jacobian is JacobianKind.DIFFERENCES
    assert fit.x.dtype == torch.float64
    assert fit.success
    assert fit.cost < 1e-6
    torch.testing.assert_close(fit.x, torch.ones(2).double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
def test_a_given_jacobian_may_be_of_any_dtype(dtype: torch.dtype) -> None:
    matrix = torch.tensor([[1, 2], [3, 4], [5, 7]])
    fit = least_squares(
        lambda x: matrix.double() @ x - 1, [1.0, 1.0], jac=lambda x: matrix.to(dtype)
    )
    expected = torch.linalg.lstsq(matrix.double(), torch.ones(3, 1).double()).solution[:, 0]
    torch.testing.assert_close(fit.x, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("jac", ["2-point", "3-point"])
def test_differences_keep_within_bounds(jac: str) -> None:
    seen = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return sampled(x)

    bounds = ([1.2999, 0.0, -1.0], [1.3001, 0.9, 0.0])
    fit = least_squares(watched, [1.3, 0.9, 0.0], jac=jac, bounds=bounds)
    assert fit.jacobian is JacobianKind.DIFFERENCES
    every = torch.stack(seen)
    assert bool((every >= torch.tensor(bounds[0], dtype=torch.float64)).all())
    assert bool((every <= torch.tensor(bounds[1], dtype=torch.float64)).all())
    analytic = least_squares(sampled, [1.3, 0.9, 0.0], bounds=bounds)
    torch.testing.assert_close(fit.x, analytic.x, rtol=1e-5, atol=1e-6)


def test_a_given_jacobian_is_used() -> None:
    calls = []

    def jacobian(x: Tensor, t: Tensor) -> Tensor:
        calls.append(1)
        return torch.stack([t, torch.ones_like(t)], dim=1)

    fit = least_squares(lambda x, t: x[0] * t + x[1] - 2, [3.0, 0.0], jac=jacobian, args=(T,))
    assert fit.jacobian is JacobianKind.GIVEN
    assert len(calls) == fit.njev
    torch.testing.assert_close(fit.x, torch.tensor([0.0, 2.0]).double(), atol=1e-9, rtol=0)


def test_large_batches_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    from qnewton.fitting import jacobian as module

    monkeypatch.setattr(module, "_BATCH_ENTRIES", 24)
    for route in (Rows(residuals_of(mixed)), Columns(residuals_of(mixed))):
        torch.testing.assert_close(route.transposed(route.evaluate(X)), exact(mixed))
