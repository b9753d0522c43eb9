"""Steps on one of many batches: what they cost, what they touch, and what they reach."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from qnewton import QNewton
from tests.optimizer.on_batches import averaged, batches, closure_of, flat, network, train


@pytest.mark.parametrize("scale", [1e-120, 1e-12, 1e12, 1e120])
def test_the_unit_of_the_loss_does_not_matter(scale: float) -> None:
    ends = []
    for factor in (1.0, scale):
        net, data = network(), batches()
        optimizer = QNewton(net)
        for _ in range(6):
            x, y = next(data)
            optimizer.step(lambda b=(x, y), f=factor, n=net: f * closure_of(n, b)())
        ends.append(flat(net))
    assert torch.allclose(*ends, rtol=0, atol=1e-6)


# What a step costs, and what it touches.


def test_most_steps_evaluate_the_closure_once() -> None:
    net, data, calls = network(), batches(), []
    optimizer = QNewton(net)
    for _ in range(45):
        batch, count = next(data), 0

        def closure(batch: tuple[Tensor, Tensor] = batch) -> Tensor:
            nonlocal count
            count += 1
            return closure_of(net, batch)()

        optimizer.step(closure)
        calls.append(count)
        assert averaged(optimizer).passes == count
    assert calls[:4] == [4, 3, 3, 3]
    assert calls[20] == calls[40] == 2
    assert set(calls[4:20]) == set(calls[21:40]) == {1}


@pytest.mark.parametrize("closure", ["clips", "clips later", "draws"])
def test_a_gradient_that_is_not_the_losss_own_is_measured(closure: str) -> None:
    net, data = network(), batches()
    net.insert(1, nn.Dropout(0.5 if closure == "draws" else 0.0))
    optimizer, passes = QNewton(net), []
    for step in range(61):
        batch = next(data)

        def evaluate(batch: Any = batch, step: int = step) -> Tensor:
            optimizer.zero_grad()
            loss = closure_of(net, batch)()
            loss.backward()
            if closure == "clips" or (closure == "clips later" and step > 30):
                nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
            return loss

        optimizer.step(evaluate)
        passes.append(averaged(optimizer).passes)
    assert passes[20] == (2 if closure == "clips later" else 3)
    assert passes[40] == passes[60] == 3


def test_measuring_leaves_no_trace() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 40), nn.BatchNorm1d(40), nn.Dropout(0.5), nn.Linear(40, 1))
    outside = nn.Linear(1, 1)
    outside.weight.grad = torch.tensor([[7.0]])
    optimizer = QNewton(net)
    generator = torch.Generator().manual_seed(0)
    for step in range(4):
        x = torch.randn(32, 8, generator=generator)
        before = torch.get_rng_state()
        with torch.random.fork_rng():
            torch.dropout(torch.zeros(32, 40), 0.5, train=True)
            drawn = torch.get_rng_state()
        had = outside.weight.grad.clone()

        def closure(x: Tensor = x) -> Tensor:
            loss = outside(net(x)).square().mean().exp()
            optimizer.zero_grad()
            loss.backward()
            return loss

        assert not torch.equal(before, drawn)
        optimizer.step(closure)
        assert torch.equal(torch.get_rng_state(), drawn)  # as if the closure ran once
        assert net[1].num_batches_tracked == step + 1
        assert outside.weight.grad is not None
        once = outside.weight.grad - had
        net.zero_grad()
        assert once.abs() > 0
        assert averaged(optimizer).passes > 1
    ends = outside.weight.grad
    assert ends is not None
    assert torch.isfinite(ends).all()


def test_a_batch_that_is_not_a_number_takes_the_last_step_back() -> None:
    net, data = network(), batches()
    optimizer = QNewton(net)
    train(optimizer, net, data, 5)
    before = flat(net)
    train(optimizer, net, data, 1)
    assert not torch.equal(flat(net), before)
    x, y = next(data)
    optimizer.step(closure_of(net, (x * math.nan, y)))
    record = averaged(optimizer)
    assert record.undone
    assert torch.allclose(flat(net), before, rtol=0, atol=1e-15)
    assert optimizer.records[-1].skipped == record.reason
    optimizer.step(closure_of(net, (x * math.nan, y)))  # there is nothing more to take back
    assert torch.allclose(flat(net), before, rtol=0, atol=1e-15)
    assert optimizer.records[-1].averaged is None
    train(optimizer, net, data, 3)
    assert optimizer.records[-1].skipped is None


def test_a_batch_that_is_an_outlier_itself_undoes_nothing() -> None:
    net, data = network(), batches()
    optimizer = QNewton(net)
    train(optimizer, net, data, 40)
    x, y = next(data)
    optimizer.step(closure_of(net, (x, y + 3.0)))  # a batch like no other
    assert not averaged(optimizer).undone
    assert averaged(optimizer).passes == 3  # it looked, and it measures at step 40


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("at", [20, 45])
def test_one_batch_out_of_all_proportion_is_forgotten(dtype: torch.dtype, at: int) -> None:
    net, data = network().to(dtype), batches()
    optimizer = QNewton(net)
    for step in range(80):
        x, y = (part.to(dtype) for part in next(data))
        scale = 1e20 if step == at else 1.0
        optimizer.step(lambda b=(x, y), s=scale: s * closure_of(net, b)())
    losses = [record.loss for record in optimizer.records]
    assert max(losses[at + 1 :]) < 2 * max(losses[:at])
    assert sum(losses[-10:]) < sum(losses[at - 10 : at])


def test_a_step_that_raised_the_next_loss_is_undone() -> None:
    net, data = network(), batches()
    optimizer = QNewton(net)
    train(optimizer, net, data, 45)
    length = averaged(optimizer).length
    optimizer.counters["length.length"] = 300 * length
    optimizer.counters["length.slope"] = 1e9  # what Newton's length on one batch does not see
    before = flat(net)
    train(optimizer, net, data, 2)
    assert averaged(optimizer).undone
    assert torch.allclose(flat(net), before, rtol=0, atol=1e-10)
    assert "on one batch" in averaged(optimizer).reason


def test_weights_in_another_order_of_memory_take_the_same_steps() -> None:
    ends = []
    for order in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 5)).double()
        net.to(memory_format=order)  # pyright: ignore[reportCallIssue]
        optimizer = QNewton(net)
        generator = torch.Generator().manual_seed(0)
        for _ in range(6):
            x = torch.randn(8, 3, 4, 4, generator=generator, dtype=torch.float64)
            optimizer.step(lambda x=x, net=net: net(x).square().mean().exp())
        assert averaged(optimizer).length > 0.0
        ends.append(flat(net))
    assert torch.allclose(*ends, rtol=0, atol=1e-12)


def test_pickles_hold_what_parameters_have_once() -> None:
    net = nn.Sequential(*(nn.Linear(20, 20) for _ in range(10)))
    optimizer = QNewton(net)
    train(optimizer, net, iter([(torch.randn(8, 20), torch.randn(8, 20))]), 1)
    own = (v for held in optimizer.state.values() for v in held.values() if torch.is_tensor(v))
    assert len(pickle.dumps(optimizer)) < 2 * sum(v.nbytes for v in own) + 200_000


def test_an_exception_of_the_closure_leaves_no_trace() -> None:
    net, data = network(), batches()
    optimizer = QNewton(net)
    for calls in (1, 2, 3):  # of the batch, of both measurements
        twin = copy.deepcopy((net, optimizer))
        batch, left = next(data), calls

        def closure(batch: tuple[Tensor, Tensor] = batch) -> Tensor:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyError("mine")
            return closure_of(net, batch)()

        with pytest.raises(KeyError, match="mine"):
            optimizer.step(closure)
        optimizer.step(closure_of(net, batch))
        twin[1].step(closure_of(twin[0], batch))
        assert torch.equal(flat(net), flat(twin[0]))


@pytest.mark.parametrize("by", ["state_dict", "pickle", "deepcopy"])
def test_a_resumed_run_is_the_same_to_the_bit(by: str) -> None:
    whole, net = network(), network()
    data, again = batches(), batches()
    train(QNewton(whole), whole, data, 30)
    optimizer = QNewton(net)
    train(optimizer, net, again, 13)
    if by == "state_dict":
        resumed = QNewton(net)
        resumed.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    elif by == "pickle":
        net, resumed = pickle.loads(pickle.dumps((net, optimizer)))
    else:
        net, resumed = copy.deepcopy((net, optimizer))
    train(resumed, net, again, 17)
    assert torch.equal(flat(net), flat(whole))


def test_a_loss_that_is_maximised_is_the_mirror_image() -> None:
    down, up = network(), network()
    data = batches()
    optimizers = QNewton(down), QNewton(up, maximize=True)
    for _ in range(8):
        x, y = next(data)
        optimizers[0].step(closure_of(down, (x, y)))
        optimizers[1].step(lambda b=(x, y): -closure_of(up, b)())
    assert torch.allclose(flat(down), flat(up), rtol=0, atol=1e-12)


def test_groups_have_their_own_lr_and_decay() -> None:
    net, twin, start = network(), network(), [p.detach().clone() for p in network().parameters()]
    frozen, decayed, *moved = net.parameters()
    groups = [
        {"params": [frozen], "lr": 0.0, "weight_decay": 0.5},
        {"params": moved},
        {"params": [decayed], "weight_decay": 0.5},
    ]
    optimizer = QNewton(groups)
    first, *others = twin.parameters()
    reference = QNewton([{"params": [first], "lr": 0.0}, {"params": others}])
    train(optimizer, net, batches(), 1)
    train(reference, twin, batches(), 1)
    assert torch.equal(frozen, start[0])
    length = averaged(optimizer).length
    along = (others[0].detach() - start[1]) / averaged(reference).length
    expected = start[1] + length * (along - 0.5 * start[1])
    assert torch.allclose(decayed, expected, rtol=0, atol=1e-12)
    off = length * 0.5 * float(start[1].norm())
    assert optimizer.records[-1].decay_norm == pytest.approx(off)


def test_what_a_batch_does_not_reach_stays_where_it_was() -> None:
    net, data = network(), batches()
    other = nn.Parameter(torch.ones(400, dtype=torch.float64))
    optimizer = QNewton([*net.parameters(), other])
    (x, y), before, place = next(data), other.detach().clone(), flat(net)
    for step in range(8):
        x, y = next(data)
        before, place = other.detach().clone(), flat(net)

        def closure(batch: Any = (x, y), reached: bool = not step % 2) -> Tensor:
            loss = closure_of(net, batch)()
            return loss + (other - batch[0].mean()).square().mean() if reached else loss

        optimizer.step(closure)
        assert torch.equal(other, before) == bool(step % 2)
    optimizer.step(closure_of(net, (x * math.nan, y)))
    assert averaged(optimizer).undone
    assert torch.equal(other, before)
    assert torch.allclose(flat(net), place, rtol=0, atol=1e-12)


def test_an_attached_loop_takes_the_same_steps() -> None:
    net, twin, data = network(), network(), batches()
    optimizer, reference = QNewton(net), QNewton(twin)
    loss_of = optimizer.repeatable(lambda x, y: closure_of(net, (x, y))())
    for _ in range(6):
        x, y = next(data)
        optimizer.zero_grad()
        loss_of(x, y).backward()
        optimizer.step()
        reference.step(closure_of(twin, (x, y)))
        assert torch.allclose(flat(net), flat(twin), rtol=0, atol=1e-12)


def test_clipping_changes_no_length_that_is_measured() -> None:
    # The direction does not depend on the gradient's size, and the curvature is not clipped.
    net, twin, data = network(), network(), batches()
    optimizer, reference = QNewton(net), QNewton(twin)
    batch = next(data)

    def clipped() -> Tensor:
        optimizer.zero_grad()
        loss = closure_of(net, batch)()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
        return loss

    optimizer.step(clipped)
    reference.step(closure_of(twin, batch))
    mine, its = averaged(optimizer).curvature, averaged(reference).curvature
    assert mine == pytest.approx(its, rel=0.2)


# What it reaches.


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_does_not_stop_it_and_does_not_drive_it_away(seed: int) -> None:
    net, data = network(seed), batches(seed, noise=0.3)
    optimizer = QNewton(net)
    x, y = next(batches(99, size=2000))

    def loss() -> float:
        with torch.no_grad():
            return float(mse_loss(net(x), y))

    first, losses = loss(), []
    for _ in range(10):
        train(optimizer, net, data, 60)
        losses.append(loss())
    assert losses[-1] < 0.1 * first
    assert not optimizer.health.findings


def test_records_say_it_in_words() -> None:
    net, data = network(), batches()
    optimizer = QNewton(net)
    train(optimizer, net, data, 2)
    assert "length" in str(optimizer.records[-1])
    assert averaged(optimizer).reason.startswith("z = ")
