"""Steps on losses that are sums of squares: which curvature they take, and what they reach."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import cross_entropy, huber_loss, mse_loss

from qnewton import QNewton, Residuals
from qnewton.curvature.residuals import SumOfSquares, sum_of_squares

DTYPES = [torch.float32, torch.float64]


def physics(dtype: torch.dtype) -> tuple[nn.Module, Callable[[], Tensor]]:
    """Return a network and the loss of u″ = -π² sin πx, u = 0 at both ends."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).to(dtype)
    points, ends = torch.linspace(0, 1, 40, dtype=dtype)[:, None], torch.tensor([[0.0], [1.0]])

    def loss() -> Tensor:
        x = points.clone().requires_grad_()
        [slope] = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        [bend] = torch.autograd.grad(slope.sum(), x, create_graph=True)
        inside = bend + math.pi**2 * torch.sin(math.pi * points)
        return inside.square().mean() + net(ends.to(dtype)).square().mean()

    return net, loss


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_physics_informed_network_takes_gauss_newton_steps(dtype: torch.dtype) -> None:
    net, loss = physics(dtype)
    optimizer = QNewton(net)
    for _ in range(60):
        optimizer.step(loss)
    first = optimizer.records[0]
    assert first.blocks[0].curvature.route == "residuals"
    assert first.blocks[0].curvature.no_squares is None
    assert "sum of 42 squares, Jacobian by one backward pass" in first.blocks[0].curvature.reason
    x = torch.linspace(0, 1, 101, dtype=dtype)[:, None]
    off = (net(x) - torch.sin(math.pi * x)).norm() / torch.sin(math.pi * x).norm()
    assert float(off) < (1e-2 if dtype == torch.float32 else 1e-3)


@pytest.mark.parametrize("policy", ["classical", "quantum-only"])
def test_gauss_newton_asked_for_by_name_is_that_of_the_residuals(policy: str) -> None:
    # The network is called twice, and differentiated inside.
    net, loss = physics(torch.float64)
    before = [p.detach().clone() for p in net.parameters()]
    expected = damped_residual_step(loss, [*net.parameters()], 1e-2)
    settings: dict[str, Any] = {} if policy == "classical" else {"quantum": "attosecond"}
    optimizer = QNewton(
        net, curvature="ggn", damping=1e-2, blocks="full", policy=policy, **settings
    )
    optimizer.step(loss)
    [block] = optimizer.records[0].blocks
    assert block.curvature.route == "residuals"
    moved = [(p.detach() - b).flatten() for p, b in zip(net.parameters(), before, strict=True)]
    torch.testing.assert_close(torch.cat(moved), expected, rtol=1e-4, atol=1e-6)


def damped_residual_step(
    loss: Callable[[], Tensor], parameters: list[Tensor], strength: float
) -> Tensor:
    """Return -(JᵀJ + λI)⁻¹ g of the scaled residuals, J by one backward pass for each."""
    root = loss()
    sums = sum_of_squares(root)
    assert isinstance(sums, SumOfSquares)
    entries = [
        (term.curvature * torch.ones_like(term.residual)).sqrt().detach().flatten()[at] * entry
        for term in sums.terms
        for at, entry in enumerate(term.residual.flatten())
    ]
    found = [grad(entry, parameters, retain_graph=True, allow_unused=True) for entry in entries]
    rows = [
        torch.cat(
            [
                (torch.zeros_like(p) if g is None else g).flatten()
                for g, p in zip(f, parameters, strict=True)
            ]
        )
        for f in found
    ]
    jacobian = torch.stack(rows)
    gradient = torch.cat([g.flatten() for g in grad(root, parameters)])
    matrix = jacobian.mT @ jacobian + strength * torch.eye(len(gradient)).double()
    return -torch.linalg.solve(matrix, gradient)


def test_gauss_newton_of_two_calls_and_no_squares_says_both_reasons() -> None:
    net = nn.Linear(2, 1).double()
    x = torch.rand(4, 2).double()
    optimizer = QNewton(net, curvature="ggn")
    with pytest.raises(ValueError, match=r"called the model 2 times.*as a sum of squares: "):
        optimizer.step(lambda: (net(x).exp() + net(-x).exp()).sum())


def test_declared_residuals_are_the_loss_and_what_a_step_returns() -> None:
    w = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimizer = QNewton([w])
    residuals = lambda: Residuals(torch.stack([10 * (w[1] - w[0] ** 2), 1 - w[0]]))  # noqa: E731
    returned = optimizer.step(residuals)
    assert float(returned) == pytest.approx(12.1)
    assert not returned.requires_grad
    assert optimizer.records[0].loss == pytest.approx(12.1)
    for _ in range(40):
        optimizer.step(residuals)
    assert w.tolist() == pytest.approx([1.0, 1.0], abs=1e-9)
    assert optimizer.records[0].blocks[0].curvature.route == "residuals"


def test_where_residuals_stay_the_hessian_comes_back_and_converges_fast() -> None:
    # Powell's badly fitted exponentials: Gauss-Newton alone takes hundreds of steps.
    t = torch.linspace(0, 1, 20, dtype=torch.float64)
    y = torch.cos(6 * t) + 0.5
    w = nn.Parameter(torch.tensor([1.0, -1.0], dtype=torch.float64))
    optimizer = QNewton([w])
    sizes = []
    for _ in range(60):
        optimizer.step(lambda: (w[0] * torch.exp(w[1] * t) - y).square().sum())
        assert w.grad is not None
        sizes.append(float(w.grad.norm()))
    kinds = [record.damping.curvature for record in optimizer.records if record.damping is not None]
    assert kinds[0] == "ggn"
    back = optimizer.records[kinds.index("hessian")].blocks[0].curvature.reason
    assert "Gauss-Newton steps left the residuals" in back
    assert min(sizes) < 1e-9


def test_layers_with_a_closed_form_keep_the_exact_hessian() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.randn(20, 3).double(), torch.randn(20, 2).double()
    optimizer = QNewton(net)
    optimizer.step(lambda: mse_loss(net(x), y))
    record = optimizer.records[0].blocks[0].curvature
    assert record.kind == "hessian"
    assert record.no_squares is not None
    assert "whose Hessian has closed form" in record.no_squares


def test_the_record_says_why_a_loss_is_no_sum_of_squares() -> None:
    layer = nn.Linear(3, 2).double()
    x, y = torch.randn(5, 3).double(), torch.tensor([0, 1, 1, 0, 1])
    looked, asked = QNewton(layer), QNewton(layer, curvature="hessian")
    for optimizer in (looked, asked):
        optimizer.step(lambda: cross_entropy(layer(x), y))
    found = [o.records[0].blocks[0].curvature.no_squares for o in (looked, asked)]
    assert found == ["the loss is no sum of squares: NllLoss is in it", None]


@pytest.mark.parametrize(
    "settings", [{"damping": 0.1}, {"policy": "paper", "quantum": "attosecond"}, {"prune": 3}]
)
def test_other_settings_keep_the_exact_hessian(settings: dict[str, object]) -> None:
    net, loss = physics(torch.float64)
    optimizer = QNewton(net, **settings)  # type: ignore[arg-type]
    optimizer.step(loss)
    kinds = {block.curvature.kind for block in optimizer.records[0].blocks}
    assert kinds == ({"ggn"} if "prune" in settings else {"hessian"})


def test_samples_that_interact_still_take_right_steps() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.randn(20, 3).double(), torch.randn(20, 2).double()
    optimizer = QNewton(net)
    for _ in range(20):
        optimizer.step(lambda: mse_loss(net(x), y))
    records = optimizer.records
    assert records[0].blocks[0].curvature.route == "residuals"
    assert "passes" in records[0].blocks[0].curvature.reason
    assert records[-1].loss < records[0].loss / 3


def test_outliers_do_not_move_a_robust_fit() -> None:
    x = torch.linspace(0, 1, 30, dtype=torch.float64)
    y = torch.exp(-3 * x)
    y[::7] += 20.0
    w = nn.Parameter(torch.tensor([0.5, 1.0], dtype=torch.float64))
    optimizer = QNewton([w])
    for _ in range(60):
        optimizer.step(lambda: huber_loss(w[0] * torch.exp(-w[1] * x), y, delta=1e-3))
    assert w.tolist() == pytest.approx([1.0, 3.0], rel=0.02)


def test_a_resumed_run_is_the_same_to_the_bit() -> None:
    def trained(steps: int, optimizer: QNewton, loss: Callable[[], Tensor]) -> None:
        for _ in range(steps):
            optimizer.step(loss)

    net, loss = physics(torch.float64)
    whole = QNewton(net)
    trained(12, whole, loss)
    kept, other_loss = physics(torch.float64)
    first = QNewton(kept)
    trained(7, first, other_loss)
    second = QNewton(kept)
    second.load_state_dict(first.state_dict())
    trained(5, second, other_loss)
    for one, other in zip(net.parameters(), kept.parameters(), strict=True):
        assert torch.equal(one, other)


def test_squares_that_are_maximised_climb_by_the_hessian() -> None:
    net, _ = physics(torch.float64)
    x = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None].requires_grad_()

    def loss() -> Tensor:
        [slope] = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        return (slope.tanh() - 0.5).square().mean()

    optimizer = QNewton(net, maximize=True)
    for _ in range(12):
        optimizer.step(loss)
    assert optimizer.records[-1].loss > optimizer.records[0].loss
    kinds = {record.damping.curvature for record in optimizer.records if record.damping is not None}
    assert kinds == {"hessian"}


class _Halved(torch.autograd.Function):
    """sin x, whose second derivative is half of what it should be."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grads[0] * (x.cos() + x.detach().cos()) / 2


def test_wrong_second_derivatives_leave_gauss_newton() -> None:
    t = torch.linspace(0, 1, 20, dtype=torch.float64)
    w = nn.Parameter(torch.tensor([2.0, 0.5], dtype=torch.float64))
    optimizer = QNewton([w])
    for _ in range(30):
        optimizer.step(lambda: (_Halved.apply(w[0] * t + w[1]) - 3).square().sum())
    kinds = {record.damping.curvature for record in optimizer.records if record.damping is not None}
    assert kinds == {"ggn"}
    assert optimizer.records[-1].loss < optimizer.records[0].loss
