"""damping="auto": a step judged by the true loss."""

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from qnewton import Damping, QNewton
from qnewton.workloads import load_workload


def _regression(seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    inputs = torch.randn(100, 4, dtype=torch.float64)
    return net, inputs, torch.sin(inputs.sum(1, keepdim=True))


def test_a_full_batch_loss_never_rises() -> None:
    net, inputs, targets = _regression()
    optimizer = QNewton(net, damping="auto")
    losses = [float(optimizer.step(lambda: mse_loss(net(inputs), targets))) for _ in range(40)]
    assert all(after <= before for before, after in itertools.pairwise(losses))
    assert losses[-1] < losses[0] / 20


def test_a_convex_loss_reaches_its_minimum_with_no_damping_left() -> None:
    workload = load_workload("digits", seed=0)
    inputs = workload.train_inputs[:300].double()
    targets = workload.train_targets[:300]
    net = nn.Linear(64, 10).double()

    def closure() -> Tensor:
        decay = sum(p.square().sum() for p in net.parameters())
        return cross_entropy(net(inputs), targets) + 1e-3 * decay

    optimizer = QNewton(net, damping="auto")
    for _ in range(30):
        optimizer.step(closure)
    last = optimizer.records[-1]
    assert last.gradient_norm is not None
    assert last.gradient_norm < 1e-9
    assert last.blocks[0].solver in {"cholesky", "cg"}
    assert last.damping is not None
    assert last.damping.strength < 1e-4


def test_on_a_quadratic_the_ratio_is_one() -> None:
    w = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    optimizer = QNewton([w], damping="auto", lr=0.7)
    optimizer.step(lambda: (w[0] - 1) ** 2 + 10 * (w[1] + w[0]) ** 2)
    judged = optimizer.records[-1].damping
    assert judged is not None
    # The model is undamped and at the length taken, whatever β is.
    assert judged.ratio == pytest.approx(1.0, abs=1e-9)
    assert judged.next_strength < judged.strength


def test_a_step_that_would_climb_is_shortened_and_raises_the_damping() -> None:
    w = nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    optimizer = QNewton([w], damping="auto")
    # Newton's method on this function overshoots further at every step from |w| > 1.09.
    losses = [float(optimizer.step(lambda: torch.log(torch.cosh(w)).sum())) for _ in range(15)]
    assert losses[-1] < 1e-12
    assert all(after <= before for before, after in itertools.pairwise(losses))


def test_a_loss_that_is_not_finite_beyond_a_wall_is_survived() -> None:
    w = nn.Parameter(torch.tensor([-4.0], dtype=torch.float64))
    optimizer = QNewton([w], damping="auto")
    # Finite for w > -5 alone; the first full step falls behind the wall.
    for _ in range(30):
        optimizer.step(lambda: (w + 5 - torch.log(w + 5) * 1e-3).sum())
    assert w.item() + 5 == pytest.approx(1e-3, rel=1e-6)
    first = optimizer.records[0].damping
    assert first is not None
    assert first.ratio is None
    assert first.tries > 1
    assert all(record.loss < math.inf for record in optimizer.records)


def test_nothing_moves_when_no_length_descends() -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    calls = iter(range(1000))
    optimizer = QNewton([w], damping="auto")
    # A closure whose loss grows with every call: no step can ever look good.
    optimizer.step(lambda: (w**2).sum() + 10.0 * next(calls))
    record = optimizer.records[-1]
    assert w.item() == 1.0
    assert record.skipped == "no length tried lowers the loss"
    assert record.damping is not None
    assert record.damping.next_strength == 10 * record.damping.strength
    assert record.damping.length == 0.0


@pytest.mark.parametrize("start", [0.0, 1e-6])
def test_a_strict_saddle_is_left(start: float) -> None:
    w = nn.Parameter(torch.tensor([0.5, start, start], dtype=torch.float64))

    def closure() -> Tensor:
        return w[0] ** 2 - w[1] ** 2 + w[1] ** 4 / 4 - w[2] ** 2 + w[2] ** 4 / 4

    optimizer = QNewton([w], damping="auto")
    for _ in range(20):
        optimizer.step(closure)
    # The minima are at w = (0, ±√2, ±√2), where the loss is -2.
    assert float(closure().detach()) < -1.9
    seen = [r.damping.negative_curvature for r in optimizer.records if r.damping is not None]
    assert any(seen)


def test_a_deep_linear_network_leaves_its_saddle_at_zero_and_sgd_does_not() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(60, 4, dtype=torch.float64)
    targets = inputs @ torch.randn(4, 3, dtype=torch.float64)

    def network() -> nn.Module:
        net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 3, bias=False)).double()
        for parameter in net.parameters():
            nn.init.zeros_(parameter)
        return net

    newton, first_order = network(), network()
    optimizer = QNewton(newton, damping="auto")
    descent = torch.optim.SGD(first_order.parameters(), lr=0.1)
    start = float(mse_loss(newton(inputs), targets).detach())
    for _ in range(20):
        optimizer.step(lambda: mse_loss(newton(inputs), targets))
        descent.zero_grad()
        mse_loss(first_order(inputs), targets).backward()
        descent.step()
    assert float(mse_loss(newton(inputs), targets).detach()) < start / 10
    assert float(mse_loss(first_order(inputs), targets).detach()) == start


def test_trials_repeat_dropout_and_leave_buffers_and_gradients_alone() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 2))
    inputs, targets = torch.randn(64, 4), torch.randint(0, 2, (64,))
    alone = copy.deepcopy(net)
    optimizer = QNewton(net, damping="auto")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(net(inputs), targets)
        loss.backward()
        return loss

    state = torch.get_rng_state()
    optimizer.step(closure)
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    loss = cross_entropy(alone(inputs), targets)
    loss.backward()
    assert torch.equal(after, torch.get_rng_state())
    for name, buffer in alone.named_buffers():
        assert torch.equal(buffer, net.get_buffer(name)), name
    for ours, theirs in zip(net.parameters(), alone.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)
    assert optimizer.records[-1].skipped is None


def test_a_closure_that_differentiates_inside_is_tried_with_its_graph() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    points = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None].requires_grad_()
    calls = []

    def closure() -> Tensor:
        calls.append(len(optimizer.records))
        u = net(points)
        [slope] = torch.autograd.grad(u.sum(), points, create_graph=True)
        return (slope - torch.cos(points)).square().mean() + net(points[:1]).square().mean()

    optimizer = QNewton(net, damping="auto")
    losses = [float(optimizer.step(closure).detach()) for _ in range(15)]
    assert losses[-1] < losses[0] / 100
    # Trials of a sum of squares keep their graph. The first step with a Hessian also runs the
    # closure three times to check its second derivatives.
    kinds = [record.damping.curvature for record in optimizer.records if record.damping is not None]
    first_exact = kinds.index("hessian") if "hessian" in kinds else None
    for step, record in enumerate(optimizer.records):
        assert record.damping is not None
        beside = 3 * (step == first_exact)
        assert calls.count(step) == 1 + record.damping.tries + beside


def test_layer_blocks_are_put_together_by_their_cross_terms() -> None:
    net, inputs, targets = _regression()
    optimizer = QNewton(net, damping="auto", blocks="layer")
    losses = [float(optimizer.step(lambda: mse_loss(net(inputs), targets))) for _ in range(20)]
    assert len(optimizer.records[-1].blocks) == 2
    assert all(after <= before for before, after in itertools.pairwise(losses))


def test_a_run_goes_on_from_its_state_as_if_never_interrupted() -> None:
    net, inputs, targets = _regression()
    optimizer = QNewton(net, damping="auto")
    for _ in range(4):
        optimizer.step(lambda: mse_loss(net(inputs), targets))
    again = copy.deepcopy(net)
    resumed = QNewton(again, damping="auto")
    resumed.load_state_dict(optimizer.state_dict())
    for _ in range(4):
        optimizer.step(lambda: mse_loss(net(inputs), targets))
        resumed.step(lambda: mse_loss(again(inputs), targets))
    for ours, theirs in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_climbing_mirrors_descending() -> None:
    down, inputs, targets = _regression()
    up = copy.deepcopy(down)
    descending = QNewton(down, damping="auto")
    climbing = QNewton(up, damping="auto", maximize=True)
    for _ in range(3):
        descending.step(lambda: mse_loss(down(inputs), targets))
        climbing.step(lambda: -mse_loss(up(inputs), targets))
    for ours, theirs in zip(down.parameters(), up.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-9)


def test_the_larger_indefinite_block_takes_the_gauss_newton_matrix() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(20, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 3)
    )
    inputs, targets = torch.randn(256, 20), torch.randint(0, 3, (256,))
    optimizer = QNewton(net, damping="auto")
    for _ in range(10):
        optimizer.step(lambda: cross_entropy(net(inputs), targets))
    judged = [r.damping for r in optimizer.records if r.damping is not None]
    assert {j.curvature for j in judged} >= {"ggn"}
    assert optimizer.records[-1].loss < optimizer.records[0].loss / 5


def test_what_cannot_be_is_refused() -> None:
    net = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="damping_scale='max-abs' scales a damping"):
        QNewton(net, damping=Damping("auto", scale="max-abs"))
    with pytest.raises(ValueError, match="must be finite and 0 or more, or 'auto'"):
        QNewton(net, damping="often")  # pyright: ignore[reportArgumentType]
