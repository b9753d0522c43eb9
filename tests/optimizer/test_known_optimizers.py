"""Settings under which steps are those of optimizers that everybody knows."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from qnewton import Damping, QNewton
from qnewton.optimizer.averages import GradientAverages
from qnewton.optimizer.buckets import DAMPING, Bucket

LR, MOMENTUM = 0.1, 0.9


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def flat(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def trained(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor], Tensor],
    steps: int,
    rows: int = 8,
) -> Tensor:
    drawn = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(rows, 3, generator=drawn, dtype=torch.float64)

        def closure(x: Tensor = x) -> Tensor:
            optimizer.zero_grad()
            value = loss(net(x))
            value.backward()
            return value

        step: Any = optimizer.step  # whose stub has closures return floats
        step(closure)
    return flat(net)


# No curvature: SGD with momentum.


def test_without_curvature_momentum_is_that_of_sgd() -> None:
    # A loss that is linear in the outputs has no Gauss-Newton matrix.
    ends = []
    for build in (
        lambda net: QNewton(net, LR, curvature="ggn", damping=Damping(1.0, momentum=MOMENTUM)),
        lambda net: torch.optim.SGD(net.parameters(), LR, MOMENTUM),
    ):
        net = network()
        ends.append(trained(net, build(net), lambda y: y.mean(), 20))
    assert torch.allclose(*ends, rtol=0, atol=1e-12)


@pytest.mark.parametrize("curvature", ["ggn", "fisher"])
def test_where_the_damping_is_above_all_curvature_it_is_sgd_of_the_same_rate(curvature) -> None:
    strength = 1e8
    ends = []
    for build in (
        lambda net: QNewton(
            net,
            LR * strength,
            curvature=curvature,
            damping=Damping(strength, momentum=MOMENTUM),
        ),
        lambda net: torch.optim.SGD(net.parameters(), LR, MOMENTUM),
    ):
        net = network()
        ends.append(trained(net, build(net), lambda y: (y - 1).square().mean(), 20))
    assert torch.allclose(*ends, rtol=0, atol=1e-6)


# Curvature, and a damping that is a number: SPRING as published.


def scores(net: nn.Module, x: Tensor) -> Tensor:
    """Return the gradient of each sample's loss, shape [n, N]."""
    rows = []
    for row in x:
        loss = (net(row[None]) - 1).square().mean()
        pieces = torch.autograd.grad(loss, [*net.parameters()])
        rows.append(torch.cat([piece.flatten() for piece in pieces]))
    return torch.stack(rows)


@pytest.mark.parametrize("policy", ["classical", "quantum-only"])
def test_with_fisher_curvature_it_is_spring(policy: str) -> None:
    net, twin, strength = network(), network(), 1e-2
    optimizer = QNewton(
        net,
        LR,
        curvature="fisher",
        blocks="full",
        damping=Damping(strength, momentum=MOMENTUM),
        policy=policy,
        quantum=None if policy == "classical" else "attosecond",
    )
    found = trained(net, optimizer, lambda y: (y - 1).square().mean(), 6, rows=4)
    drawn, last = torch.Generator().manual_seed(1), torch.zeros(len(found), dtype=torch.float64)
    for _ in range(6):
        x = torch.randn(4, 3, generator=drawn, dtype=torch.float64)
        per_sample = scores(twin, x) / 2
        matrix = per_sample.mT @ per_sample + strength * torch.eye(len(found)).double()
        gradient = scores(twin, x).mean(0)
        last = torch.linalg.solve(matrix, strength * MOMENTUM * last - gradient)
        start = 0
        with torch.no_grad():
            for p in twin.parameters():
                p += LR * last[start : start + p.numel()].view_as(p)
                start += p.numel()
    assert torch.allclose(found, flat(twin), rtol=1e-6, atol=1e-8)
    assert optimizer.records[-1].blocks[0].curvature.reason.endswith("as momentum asks")


def test_rescaled_layers_keep_their_momentum_and_one_block_is_rescaled_by_nothing() -> None:
    ends = []
    for rescale in (False, True):
        net = network()
        optimizer = QNewton(
            net,
            LR,
            curvature="fisher",
            blocks="full",
            damping=Damping(1e-2, momentum=MOMENTUM),
            rescale=rescale,
        )
        ends.append(trained(net, optimizer, lambda y: (y - 1).square().mean(), 5))
    assert torch.allclose(*ends, rtol=1e-8)


def test_momentum_beside_a_number_keeps_the_last_direction_and_needs_squares() -> None:
    net = network()
    damping = Damping(1e-2, momentum=MOMENTUM)
    optimizer = QNewton(net, LR, curvature="ggn", damping=damping)
    before = flat(net)
    moved = trained(net, optimizer, lambda y: (y - 1).square().mean(), 1) - before
    kept = torch.cat([optimizer.state[p]["momentum"].flatten() for p in net.parameters()])
    assert torch.allclose(LR * kept, moved, rtol=1e-10, atol=1e-14)
    with pytest.raises(ValueError, match=r"damping_momentum=0\.9 needs a sum of squares"):
        QNewton(net, damping=damping)


# One block per tensor, and a Fisher matrix in Kronecker form: K-FAC.


def kfac_step(inputs: Sequence[Tensor], signals: Sequence[Tensor], strength: float) -> Tensor:
    """Return K-FAC's step of a linear layer: -(A ⊗ G + λI)⁻¹ of the gradient.

    Args:
        inputs: a of every sample, [columns].
        signals: g of every sample, the slope of its loss by the layer's output, [rows].
        strength: λ.

    Reference: Martens and Grosse 2015 (arXiv:1503.05671), by eigenvectors, so that λ is exact.
    """
    a, g = torch.stack([*inputs]), torch.stack([*signals])
    gradient = g.mT @ a / len(a)
    in_a, q_a = torch.linalg.eigh(a.mT @ a / len(a))
    in_g, q_g = torch.linalg.eigh(g.mT @ g / len(g))
    inside = q_g.mT @ gradient @ q_a
    return -q_g @ (inside / (torch.outer(in_g, in_a) + strength)) @ q_a.mT


def independent(rows: int = 3, columns: int = 4) -> tuple[list[Tensor], list[Tensor]]:
    """Return a and g of samples that have every pair once, so that the two are independent."""
    drawn = torch.Generator().manual_seed(2)
    # Spread, so that no two eigenvalues are close.
    scales = [torch.tensor([4.0**-i for i in range(n)]).double() for n in (rows, columns)]
    signals, inputs = (
        torch.randn(2 * len(s), len(s), generator=drawn, dtype=torch.float64) * s for s in scales
    )
    pairs = [(a, g) for a in inputs for g in signals]
    return [a for a, _ in pairs], [g for _, g in pairs]


def test_a_tensor_with_independent_inputs_and_signals_takes_the_step_of_kfac() -> None:
    inputs, signals = independent()
    a, g = torch.stack(inputs), torch.stack(signals)
    layer = nn.Linear(4, 3, bias=False).double()
    before, strength = layer.weight.detach().clone(), 1e-3
    optimizer = QNewton(layer, 1.0, curvature="fisher", blocks="tensor", damping=strength)
    optimizer.step(lambda: (layer(a) * g).sum(1).mean())
    expected = kfac_step(inputs, signals, strength)
    torch.testing.assert_close(layer.weight.detach() - before, expected, rtol=1e-6, atol=1e-10)
    # Where inputs tell signals, K-FAC is an approximation and the block is not.
    layer.weight.data.copy_(before)
    optimizer.step(lambda: (layer(a) * a[:, :3] * g).sum(1).mean())
    expected = kfac_step(
        inputs, [x[:3] * y for x, y in zip(inputs, signals, strict=True)], strength
    )
    assert not torch.allclose(layer.weight.detach() - before, expected, rtol=1e-2)


def test_averages_of_single_samples_hold_the_matrix_of_kfac() -> None:
    inputs, signals = independent()
    a, g = torch.stack(inputs), torch.stack(signals)
    weight = torch.zeros(3, 4, dtype=torch.float64)
    averages = GradientAverages.begin(weight, widest=8)
    bucket = Bucket([weight], [averages], [None])
    order = torch.Generator().manual_seed(3)
    step = 0
    for _ in range(25):
        for i in torch.randperm(len(a), generator=order).tolist():
            step += 1
            bucket.turn(torch.outer(g[i], a[i]).flatten(), 1.0, step)
    assert averages.left is not None
    assert averages.right is not None
    basis = torch.kron(averages.left[1].contiguous(), averages.right[1].contiguous())
    found = (basis * averages.square.flatten()) @ basis.mT
    kfac = torch.kron(g.mT @ g / len(g), a.mT @ a / len(a))
    assert float((found - kfac).norm() / kfac.norm()) < 0.15


# The step's own basis: Adam.


def test_averages_of_a_vector_give_the_direction_of_adam() -> None:
    drawn = torch.Generator().manual_seed(4)
    w = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    bucket = Bucket([w], [GradientAverages.begin(w.detach(), widest=8)], [None])
    adam = torch.optim.Adam([w], lr=1.0, betas=(0.9, 0.99))
    square = torch.zeros(6, dtype=torch.float64)
    scales = torch.logspace(-2, 1, 6, dtype=torch.float64)
    before = w.detach().clone()
    # Averages begin as plain means, Adam's with weights that fall: after these steps both forgot.
    for step in range(1, 2001):
        gradient = scales * (1 + torch.randn(6, generator=drawn, dtype=torch.float64))
        bucket.turn(gradient, 1.0, step)
        w.grad = gradient
        square.lerp_(gradient.square(), 0.01)
        before = w.detach().clone()
        adam.param_groups[0]["eps"] = DAMPING * float((square / (1 - 0.99**step)).sqrt().mean())
        adam.step()
    torch.testing.assert_close(bucket.moves[0], w.detach() - before, rtol=1e-6, atol=0.0)


def test_factors_of_one_row_and_one_column_change_nothing() -> None:
    drawn = torch.Generator().manual_seed(5)
    shapes = [(6,), (6, 1), (1, 6)]
    buckets = [
        Bucket([p], [GradientAverages.begin(p, widest=1)], [None])
        for p in (torch.zeros(shape, dtype=torch.float64) for shape in shapes)
    ]
    for step in range(1, 30):
        gradient = torch.randn(6, generator=drawn, dtype=torch.float64)
        for bucket in buckets:
            bucket.turn(gradient, 1.0, step)
    for bucket in buckets[1:]:
        assert torch.equal(bucket.move, buckets[0].move)


def test_a_linear_layer_sees_what_the_oracle_sees() -> None:
    # The oracle's gradient is PyTorch's.
    inputs, signals = independent()
    a, g = torch.stack(inputs), torch.stack(signals)
    weight = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    [gradient] = torch.autograd.grad((linear(a, weight) * g).sum(1).mean(), weight)
    huge = 1e12
    torch.testing.assert_close(-huge * kfac_step(inputs, signals, huge), gradient)
