"""Losses that are sums of squares are known by their graph, and proven on what they are."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, huber_loss, mse_loss, smooth_l1_loss

import qnewton
from qnewton.curvature.residuals import Residuals, SumOfSquares, sum_of_squares
from qnewton.curvature.routes import Refused

torch.manual_seed(0)
Y, W, LABELS = torch.randn(5, 3).double(), torch.rand(5, 1).double(), torch.tensor([0, 1, 2, 0, 1])

KNOWN: dict[str, Callable[[Tensor], Any]] = {
    "mean of a power": lambda x: ((x - Y) ** 2).mean(),
    "weighted, over dimensions": lambda x: 0.5 * ((x - Y) * W).square().sum(1).mean(),
    "negative dimensions": lambda x: (x - Y).pow(2).sum(dim=(-1, 0)),
    "kept dimensions": lambda x: (x - Y).square().mean(1, keepdim=True).sum(),
    "mse": lambda x: mse_loss(x, Y),
    "mse, summed": lambda x: mse_loss(x, Y, reduction="sum"),
    "mse, by entries": lambda x: (W * mse_loss(x, Y, reduction="none")).mean(0).mean(),
    "mse of two live sides": lambda x: mse_loss(x, x.flip(0).tanh()),
    "robust losses": lambda x: huber_loss(x, Y, delta=0.5) + smooth_l1_loss(x, Y, beta=0.3),
    "a squared norm": lambda x: (x - Y).norm() ** 2 / 7,
    "a squared vector norm": lambda x: torch.linalg.vector_norm(x - Y) ** 2,
    "a dot product": lambda x: (x[0] - 1) @ (x[0] - 1) + (W * (x - Y) ** 2).sum(),
    "a stack": lambda x: torch.stack([(x - Y).square().mean(), (x[0] * x[0]).sum()]).sum(),
    "weight decay": lambda x: (W * (x - Y)).square().mean() + 1e-3 * sum([x.square().sum()]),
    "a constant": lambda x: 1 - (-((x - Y) ** 2)).mean(),
    "reshaped": lambda x: mse_loss(x, Y, reduction="none").reshape(-1).unsqueeze(0).sum(),
    "a loop over samples": lambda x: sum((x[i] - Y[i]) @ (x[i] - Y[i]) for i in range(5)) / 5,
    "declared": lambda x: Residuals(x - Y, 2 * x[0].sin()).loss,
}
NOT_LINEAR = {"mse of two live sides", "declared"}
UNKNOWN: dict[str, Callable[[Tensor], Any]] = {
    "NllLoss": lambda x: cross_entropy(x, LABELS),
    "Abs": lambda x: (x - Y).abs().sum(),
    "a square is subtracted": lambda x: x.square().sum() - 2 * (x - Y).square().sum(),
    "Sqrt": lambda x: torch.sqrt((x - Y).square().mean()),
    "a power of 4": lambda x: (x - Y).pow(4).sum(),
    "a product of two parts": lambda x: (x * x.exp()).sum(),
    "a quotient": lambda x: (x.square() / x.exp()).sum(),
    "a norm other than": lambda x: torch.linalg.vector_norm(x, 3) ** 2,
    "a parameter enters it linearly": lambda x: x.square().sum() + x.sum(),
    "a square is broadcast": lambda x: (x[:1].square() + x.square()).sum(),
}


def live() -> Tensor:
    return torch.linspace(-1.7, 2.1, 15, dtype=torch.float64).view(5, 3).requires_grad_()


def found(loss: Tensor) -> SumOfSquares:
    sums = sum_of_squares(loss)
    assert isinstance(sums, SumOfSquares), sums
    return sums


@pytest.mark.parametrize("name", KNOWN)
def test_terms_have_the_value_and_the_slope_of_the_loss(name: str) -> None:
    x = live()
    loss = KNOWN[name](x)
    sums = found(loss)
    value = sum(float(term.value) for term in sums.terms)
    if not sums.has_constant:
        assert value == pytest.approx(float(loss.detach()), rel=1e-12)
    slopes = [
        torch.autograd.grad(term.residual, x, term.slope, retain_graph=True)[0]
        for term in sums.terms
    ]
    [expected] = torch.autograd.grad(loss, x)
    torch.testing.assert_close(torch.stack(slopes).sum(0), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in NOT_LINEAR])
def test_second_derivatives_are_those_of_a_linear_residual(name: str) -> None:
    # Where r is linear in x, JᵀDJ is the Hessian.
    x = live()
    sums = found(KNOWN[name](x))
    matrix = torch.zeros(15, 15, dtype=torch.float64)
    for term in sums.terms:
        jacobian = torch.stack(
            [
                torch.autograd.grad(entry, x, retain_graph=True)[0].flatten()
                for entry in term.residual.flatten()
            ]
        )
        matrix += jacobian.mT @ (term.curvature.reshape(-1, 1) * jacobian)
    hessian = torch.autograd.functional.hessian(KNOWN[name], x.detach())
    torch.testing.assert_close(matrix, hessian.view(15, 15), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reason", UNKNOWN)
def test_what_is_no_sum_of_squares_says_what_is_in_it(reason: str) -> None:
    sums = sum_of_squares(UNKNOWN[reason](live()))
    assert isinstance(sums, Refused)
    assert reason in sums.reason
    assert sums.lasting


def test_robust_losses_are_flat_beyond_their_limit() -> None:
    x = torch.tensor([0.1, 3.0], requires_grad=True)
    [term] = found(huber_loss(x, torch.zeros(2), delta=1.0, reduction="sum")).terms
    assert term.curvature.tolist() == [1.0, 0.0]
    assert term.slope.tolist() == pytest.approx([0.1, 1.0])


def test_residuals_are_tensors_of_real_numbers() -> None:
    with pytest.raises(ValueError, match="got no residual"):
        Residuals()
    for wrong, said in ((torch.arange(3), "torch.int64"), ([1.0], "list")):
        with pytest.raises(ValueError, match=said):
            Residuals(wrong)  # type: ignore[arg-type]


def test_residuals_are_public() -> None:
    assert qnewton.Residuals is Residuals
