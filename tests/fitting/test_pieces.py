"""The pieces of a step against slow and certain answers."""

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qnewton.fitting import least_squares
from qnewton.fitting.quadratic import general_model, least_squares_model
from qnewton.fitting.reduced import Reducer, triangle_where_it_is

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(0, 10_000))


def drawn(m: int, n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    jacobian = torch.randn(m, n, generator=generator, dtype=torch.float64)
    return jacobian, torch.randn(m, generator=generator, dtype=torch.float64)


@settings(deadline=None)
@given(SHAPES)
def test_a_reduction_keeps_gradient_norms_and_falls(shape: tuple[int, int, int]) -> None:
    m, n, seed = shape
    jacobian, f = drawn(m, n, seed)
    reduced = Reducer(m, n)(jacobian.T, f)
    step = np.linspace(-1, 1, n)
    moved = (jacobian.numpy() @ step + f.numpy()) ** 2
    kept = (reduced.triangle @ step + reduced.rotated) ** 2
    np.testing.assert_allclose(reduced.gradient, (jacobian.T @ f).numpy(), atol=1e-12)
    np.testing.assert_allclose(reduced.column_norms, jacobian.norm(dim=0).numpy(), rtol=1e-12)
    fall = float((f**2).sum()) - moved.sum()
    assert fall == pytest.approx(reduced.projected**2 - kept.sum(), abs=1e-10)


@settings(deadline=None)
@given(SHAPES)
def test_devices_with_their_own_qr_find_the_same_up_to_signs(shape: tuple[int, int, int]) -> None:
    m, n, seed = shape
    jacobian, f = drawn(m, n, seed)
    reduced = Reducer(m, n)(jacobian.T, f)
    rows = min(m, n)
    found = triangle_where_it_is(jacobian.T, f)
    gram = found[:rows, :n].T @ found[:rows, :n]
    np.testing.assert_allclose(gram, reduced.triangle.T @ reduced.triangle, atol=1e-10)
    np.testing.assert_allclose(found[:rows, n] @ found[:rows, :n], reduced.gradient, atol=1e-10)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 10_000), st.floats(0.05, 20.0), st.booleans())
def test_a_step_is_the_minimum_in_its_ball(n: int, seed: int, radius: float, convex: bool) -> None:
    matrix, gradient = drawn(n, n, seed)
    square = (matrix @ matrix.T if convex else matrix + matrix.T).numpy()
    g = gradient.numpy()
    model = general_model(square, g)
    ball = model.step(radius)
    assert ball.norm <= 1.1 * radius * (1 + 1e-9)
    # Optimal for the radius that it has: (B + λ)y = -g with B + λ positive semidefinite.
    residual = (square + ball.shift * np.eye(n)) @ ball.y + g
    assert np.abs(residual).max() <= 1e-6 * (1 + np.abs(square).max() * ball.norm)
    assert np.linalg.eigvalsh(square)[0] + ball.shift >= -1e-9
    value = -(g @ ball.y + 0.5 * ball.y @ square @ ball.y)
    assert ball.predicted == pytest.approx(value, rel=1e-7, abs=1e-9)
    if ball.shift > 0:
        assert ball.norm >= 0.9 * radius * (1 - 1e-9)


@settings(deadline=None)
@given(SHAPES)
def test_the_free_step_is_the_shortest_least_squares_solution(shape: tuple[int, int, int]) -> None:
    m, n, seed = shape
    jacobian, f = drawn(m, n, seed)
    reduced = Reducer(m, n)(jacobian.T, f)
    ball = least_squares_model(reduced.triangle, reduced.rotated).step(1e9)
    expected = np.linalg.lstsq(jacobian.numpy(), -f.numpy(), rcond=None)[0]
    assert ball.free
    np.testing.assert_allclose(ball.y, expected, rtol=1e-6, atol=1e-8)


def test_a_fit_that_sticks_is_tried_in_another_metric() -> None:
    # Box's problem, ten times as far: x[1] runs to infinity, where it has no effect.
    t = torch.arange(1, 11, dtype=torch.float64) / 10

    def box(x: Tensor) -> Tensor:
        a, b, c = x
        return torch.exp(-t * a) - torch.exp(-t * b) - c * (torch.exp(-t) - torch.exp(-10 * t))

    start = [0.0, 100.0, 200.0]
    fit = least_squares(box, start)
    assert fit.cost < 1e-20
    peer = scipy.optimize.least_squares(
        lambda x: box(torch.from_numpy(x)).numpy(), start, method="lm"
    )
    assert peer.cost > 1e-2
    # A scale of one's own is kept, and the fit ends where it leads.
    own = least_squares(box, start, x_scale=[1.0, 1.0, 1.0])
    assert own.nfev < fit.nfev
