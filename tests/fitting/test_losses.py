"""Robust losses beside SciPy's."""

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qnewton.fitting import least_squares
from qnewton.fitting.losses import ROBUST, Robust, loss_of

T = torch.linspace(0, 5, 60, dtype=torch.float64)
NOISE = 0.05 * torch.randn(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = 2 * torch.exp(-0.7 * T) + 0.3 + NOISE + 2.0 * (torch.arange(60) % 9 == 0)
START = [1.5, 1.0, 0.2]


def residuals(x: Tensor) -> Tensor:
    return x[0] * torch.exp(-x[1] * T) + x[2] - Y


def by_numpy(x: np.ndarray) -> np.ndarray:
    return residuals(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("method", ["lm", "trf"])
@pytest.mark.parametrize("loss", sorted(ROBUST))
def test_minima_are_scipys(loss: str, method: str) -> None:
    fit = least_squares(residuals, START, loss=loss, f_scale=0.1, method=method)
    peer = scipy.optimize.least_squares(
        by_numpy, START, loss=loss, f_scale=0.1, xtol=1e-14, ftol=1e-14, gtol=1e-12
    )
    np.testing.assert_allclose(fit.x.numpy(), peer.x, rtol=1e-6)
    assert fit.cost == pytest.approx(peer.cost, rel=1e-12)
    np.testing.assert_allclose(fit.fun.numpy(), peer.fun, atol=1e-6)
    np.testing.assert_allclose(fit.jac.numpy(), peer.jac, rtol=1e-4, atol=1e-6)
    assert fit.nfev <= 1.5 * peer.nfev
    # Outliers moved the plain fit.
    plain = least_squares(residuals, START)
    truth = torch.tensor([2.0, 0.7, 0.3]).double()
    assert float((fit.x - truth).norm()) < float((plain.x - truth).norm())


@settings(deadline=None)
@given(st.sampled_from(sorted(ROBUST)), st.floats(1e-3, 1e3))
def test_derivatives_of_a_loss_are_its_slopes(name: str, z: float) -> None:
    # Away from Huber's corner at 1.
    z = z if abs(z - 1) > 1e-2 else 2.0
    at = torch.tensor([z], dtype=torch.float64, requires_grad=True)
    rho = ROBUST[name](at)
    [first] = torch.autograd.grad(rho.value.sum(), at, create_graph=True)
    torch.testing.assert_close(rho.first, first)
    if first.requires_grad:
        [second] = torch.autograd.grad(first.sum(), at, materialize_grads=True)
        torch.testing.assert_close(rho.second, second)


@settings(deadline=None)
@given(st.sampled_from(sorted(ROBUST)), st.floats(1e-2, 1e2))
def test_the_reweighted_model_has_the_gradient_of_the_cost(name: str, scale: float) -> None:
    x = torch.tensor([1.5, 0.9, 0.1], dtype=torch.float64, requires_grad=True)
    loss = Robust(ROBUST[name], scale)
    f = residuals(x)
    z = (f / scale).square()
    [gradient] = torch.autograd.grad(0.5 * scale**2 * ROBUST[name](z).value.sum(), x)
    jacobian = torch.autograd.functional.jacobian(residuals, x.detach())
    weighed, transposed = loss.weigh(f.detach(), jacobian.T)  # type: ignore[union-attr]
    torch.testing.assert_close(transposed @ weighed, gradient)


def test_a_function_is_a_loss() -> None:
    def cauchy(z: Tensor) -> Tensor:
        return torch.stack([torch.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2])

    fit = least_squares(residuals, START, loss=cauchy, f_scale=0.1)
    named = least_squares(residuals, START, loss="cauchy", f_scale=0.1)
    torch.testing.assert_close(fit.x, named.x)
    assert fit.cost == pytest.approx(named.cost)


def test_a_function_that_is_no_loss_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[3, 60\]"):
        least_squares(residuals, START, loss=lambda z: z)


def test_the_scale_of_the_linear_loss_has_no_effect() -> None:
    one, other = (least_squares(residuals, START, f_scale=scale) for scale in (1.0, 0.01))
    assert one.cost == other.cost
    assert not loss_of("linear", 0.01).robust


def test_a_wide_scale_is_the_linear_loss() -> None:
    plain = least_squares(residuals, START)
    for loss in ROBUST:
        wide = least_squares(residuals, START, loss=loss, f_scale=1e5)
        torch.testing.assert_close(wide.x, plain.x, rtol=1e-6, atol=1e-8)
