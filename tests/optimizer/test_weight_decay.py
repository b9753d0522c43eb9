"""Weight decay is decoupled: θ ← (1 - β·w)·θ + β·x, where x and λ know nothing of it."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import LambdaLR

from qnewton import Damping, Limits, QNewton, Residuals, Warmup
from qnewton.optimizer.memory import MOMENTUM
from qnewton.records import StepRecord, decode, encode
from tests.cases import flat, newton

F64 = torch.float64
rates = st.floats(0.0, 2.0)
decays = st.floats(0.0, 0.5)


def classifier() -> tuple[nn.Sequential, Callable[[], Tensor]]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    inputs, targets = torch.randn(16, 4, dtype=F64), torch.randint(2, (16,))
    return net, lambda: cross_entropy(net(inputs), targets)


def parts(net: nn.Sequential) -> list[Tensor]:
    return [flat(net[0]), flat(net[2])]


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.tuples(rates, rates), st.tuples(decays, decays), st.sampled_from([0.1, 1.0, 100.0]))
def test_every_group_decays_by_its_own_share(
    lrs: tuple[float, float], weight_decays: tuple[float, float], damping: float
) -> None:
    (net, loss), (twin, same_loss) = classifier(), classifier()
    before = parts(net)
    newton(twin, damping=damping, blocks="layer").step(same_loss)
    steps = [after - start for after, start in zip(parts(twin), before, strict=True)]
    groups = [
        {"params": layer.parameters(), "lr": lr, "weight_decay": decay}
        for layer, lr, decay in zip((net[0], net[2]), lrs, weight_decays, strict=True)
    ]
    optimizer = newton(groups, model=net, damping=damping, blocks="layer")
    optimizer.step(loss)
    for after, start, x, lr, decay in zip(
        parts(net), before, steps, lrs, weight_decays, strict=True
    ):
        torch.testing.assert_close(after, (1 - lr * decay) * start + lr * x)
    taken = [lr * w * start for lr, w, start in zip(lrs, weight_decays, before, strict=True)]
    assert optimizer.records[-1].decay_norm == pytest.approx(float(torch.cat(taken).norm()))
    moved = [lr * x for lr, x in zip(lrs, steps, strict=True)]
    assert optimizer.records[-1].step_norm == pytest.approx(float(torch.cat(moved).norm()))


@pytest.mark.parametrize("damping", ["auto", 1.0])
@pytest.mark.parametrize("maximize", [False, True])
def test_a_loss_without_slope_leaves_the_factor_of_adamw(damping: Any, maximize: bool) -> None:
    w, v = (nn.Parameter(torch.tensor([3.0, -2.0, 1e-3])) for _ in range(2))
    options: dict[str, Any] = {"lr": 0.3, "weight_decay": 0.2}
    newtons = newton([w], damping=damping, maximize=maximize, **options)
    adam = torch.optim.AdamW([v], maximize=maximize, **options)
    for _ in range(3):
        newtons.step(lambda: (0.0 * w).sum())
        adam.zero_grad()
        (0.0 * v).sum().backward()
        adam.step()
    torch.testing.assert_close(w, v, rtol=1e-6, atol=0.0)


def test_a_large_damping_leaves_the_decay_alone() -> None:
    net, loss = classifier()
    before = flat(net)
    newton(net, damping=1e12, lr=0.5, weight_decay=0.1).step(loss)
    torch.testing.assert_close(flat(net), 0.95 * before)


@pytest.mark.parametrize("damping", ["auto", 1.0])
def test_first_order_steps_decay_at_their_own_rate(damping: Any) -> None:
    net, loss = classifier()
    before = flat(net)
    loss().backward()
    gradient = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    net.zero_grad()
    optimizer = newton(
        net, damping=damping, weight_decay=0.5, warmup=Warmup(steps=1, first_order_lr=0.2)
    )
    optimizer.step(loss)
    torch.testing.assert_close(flat(net), 0.9 * before - 0.2 * gradient)
    assert optimizer.records[0].decay_norm == pytest.approx(0.1 * float(before.norm()))


def test_a_step_without_a_closure_decays() -> None:
    w = nn.Parameter(torch.tensor([2.0]))
    optimizer = newton([w], weight_decay=0.5, warmup=Warmup(first_order_lr=0.1))
    w.grad = torch.ones(1)
    with pytest.warns(UserWarning, match="without a closure"):
        optimizer.step()
    assert w.item() == pytest.approx(0.95 * 2.0 - 0.1)


def test_blocks_without_a_system_decay_at_the_first_order_rate() -> None:
    small, large = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(5))
    optimizer = newton(
        [small, large],
        damping=1.0,
        weight_decay=0.5,
        limits=Limits(max_newton=3),
        warmup=Warmup(first_order_lr=0.1),
    )
    optimizer.step(lambda: 0.0 * small.sum() + 0.0 * large.sum())
    assert small.tolist() == [0.5] * 2
    assert large.tolist() == pytest.approx([0.95] * 5)


@pytest.mark.parametrize("damping", ["auto", 1.0])
def test_what_no_gradient_reaches_does_not_decay(damping: Any) -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = newton([used, unused], damping=damping, weight_decay=0.5)
    optimizer.step(lambda: (used**2).sum())
    assert unused.tolist() == [1.0, 1.0]
    assert used[0].item() < 0.5


@pytest.mark.parametrize("damping", ["auto", 1.0])
def test_an_lr_of_zero_holds_still(damping: Any) -> None:
    held, free = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [held], "lr": 0.0}, {"params": [free]}]
    optimizer = newton(groups, damping=damping, weight_decay=0.5)
    optimizer.step(lambda: ((held - 2) ** 2 + (free - 2) ** 2).sum())
    assert held.tolist() == [1.0, 1.0]
    assert free[0].item() != 1.0


# Where λ sets itself.


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=2),
    st.floats(1e-3, 0.5),
    st.floats(0.1, 1.0),
)
def test_a_quadratic_is_judged_as_if_nothing_decayed(
    start: list[float], decay: float, lr: float
) -> None:
    first = torch.tensor(start, dtype=F64)
    w, v = nn.Parameter(first.clone()), nn.Parameter(first.clone())
    decayed, plain = newton([w], lr=lr, weight_decay=decay), newton([v], lr=lr)

    def loss(x: Tensor) -> Tensor:
        return (x[0] - 1) ** 2 + 10 * (x[1] + x[0]) ** 2

    decayed.step(lambda: loss(w))
    plain.step(lambda: loss(v))
    torch.testing.assert_close(w.detach(), v.detach() - lr * decay * first)
    record, other = decayed.records[0].damping, plain.records[0].damping
    assert record is not None
    assert other is not None
    assert (record.ratio, record.predicted, record.actual) == pytest.approx(
        (other.ratio, other.predicted, other.actual), nan_ok=True
    )
    assert record.next_strength == pytest.approx(other.next_strength)
    assert record.decayed == pytest.approx(float((loss(w) - loss(first)).detach()), abs=1e-12)
    assert (record.tries, other.decayed) == (other.tries + 1, None)
    assert decayed.converged is None


@pytest.mark.parametrize("start", [-2.0, 0.5, 0.99, 1.0, 1.01, 3.0])
def test_steps_settle_between_the_minimum_and_zero(start: float) -> None:
    # From just above the minimum the decay passes it by itself, and the step adds to that. Judged
    # from the decayed point, no length of it would ever lower the loss.
    w = nn.Parameter(torch.tensor([start, -start], dtype=F64))
    optimizer = newton([w], weight_decay=0.1)
    for _ in range(25):
        optimizer.step(lambda: ((w - 1) ** 2).sum())
    assert all(record.skipped is None for record in optimizer.records)
    # (1 - w)·θ + (m - θ) = θ
    torch.testing.assert_close(w.detach(), torch.full((2,), 1 / 1.1, dtype=F64))


def test_a_refused_step_leaves_all_as_it_was() -> None:
    w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=F64))
    start = w.detach().clone()
    optimizer = newton([w], weight_decay=0.1)

    def loss() -> Tensor:
        # Only the very place has a loss.
        return (w**2).sum() if torch.equal(w.detach(), start) else (w**2).sum() * math.inf

    optimizer.step(loss)
    [record] = optimizer.records
    assert record.skipped is not None
    assert record.skipped.startswith("no length tried lowers the loss")
    assert (record.decay_norm, record.step_norm) == (0.0, 0.0)
    assert torch.equal(w, start)


def test_a_step_that_decays_to_where_there_is_no_loss_is_put_back() -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=F64))
    optimizer = newton([w], weight_decay=0.1)
    optimizer.step(lambda: ((w - 0.95) ** 2 + 0.0 * (w - 0.9).log()).sum())
    [record] = optimizer.records
    assert record.skipped == "the loss is not finite once the weights decay"
    assert record.damping is not None
    assert (record.damping.length, record.damping.decayed) == (0.0, None)
    assert record.damping.ratio == pytest.approx(1.0)  # the step itself was good
    assert (record.decay_norm, record.step_norm, w.item()) == (0.0, 0.0, 1.0)


def test_an_error_after_the_decay_leaves_no_trace() -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=F64))
    optimizer = newton([w], weight_decay=0.1)

    def loss() -> Tensor:
        if w.item() < 0.9:
            raise KeyError("no such place")
        return ((w - 0.95) ** 2).sum()

    with pytest.raises(KeyError, match="no such place"):
        optimizer.step(loss)
    assert w.item() == 1.0
    assert not optimizer.records


def test_momentum_keeps_the_step_without_the_decay() -> None:
    t = torch.linspace(0, 1, 12, dtype=F64)
    found = []
    for decay in (0.0, 0.1):
        w = nn.Parameter(torch.tensor([[1.0, 0.5]], dtype=F64))
        optimizer = newton([w], damping=Damping(momentum=0.5), weight_decay=decay)
        optimizer.step(lambda w=w: Residuals(w[0, 0] * torch.exp(w[0, 1] * t) - t))
        found.append(optimizer.state[w][MOMENTUM])
    assert bool(found[0].any())
    torch.testing.assert_close(*found)


def test_a_fit_in_its_metric_decays_its_own_variables() -> None:
    t = torch.linspace(0, 1, 12, dtype=F64)
    ends = []
    for decay in (0.0, 0.1):
        w = nn.Parameter(torch.tensor([1.0, 500.0], dtype=F64))
        newton([w], weight_decay=decay).step(
            lambda w=w: (w[0] * torch.exp(-w[1] / 1000 * t) - t).square().sum()
        )
        ends.append(w.detach())
    torch.testing.assert_close(ends[1], ends[0] - 0.1 * torch.tensor([1.0, 500.0], dtype=F64))


# Settings, state and loops.


@pytest.mark.parametrize("wrong", [-0.1, math.inf, math.nan])
def test_a_wrong_weight_decay_is_refused_in_one_line(wrong: float) -> None:
    net, _ = classifier()
    with pytest.raises(ValueError, match=r"weight_decay is .*; it must be finite and 0 or more"):
        newton(net, weight_decay=wrong)
    optimizer = newton([net[0].weight])
    with pytest.raises(ValueError, match=r"weight_decay is .*; it must be finite and 0 or more"):
        optimizer.add_param_group({"params": [net[2].weight], "weight_decay": wrong})
    assert len(optimizer.param_groups) == 1


def test_a_decay_that_leaves_the_numbers_changes_nothing() -> None:
    w = nn.Parameter(torch.tensor([2.0]))
    optimizer = newton([w], damping=1.0, weight_decay=1e38)
    optimizer.step(lambda: (w**2).sum())
    assert optimizer.records[0].skipped is None  # an absurd decay is what was asked for
    before = w.item()
    optimizer.step(lambda: (w * 1e-30).sum())
    assert optimizer.records[1].skipped == "the update is not finite"
    assert w.item() == before


def test_a_schedule_of_lr_schedules_the_decay() -> None:
    w = nn.Parameter(torch.ones(1))
    optimizer = newton([w], damping=1.0, lr=0.5, weight_decay=0.2)
    scheduler = LambdaLR(optimizer, lambda step: 1.0 if step == 0 else 0.5)
    factors = []
    for _ in range(2):
        before = w.item()
        optimizer.step(lambda: (0.0 * w).sum())
        factors.append(w.item() / before)
        scheduler.step()
    assert factors == pytest.approx([0.9, 0.95])


def test_state_keeps_the_decay_and_an_older_one_takes_the_default() -> None:
    net, _ = classifier()
    groups = [
        {"params": net[0].parameters(), "weight_decay": 0.3},
        {"params": net[2].parameters()},
    ]
    state = newton(groups, weight_decay=0.1).state_dict()
    assert [group["weight_decay"] for group in state["param_groups"]] == [0.3, 0.1]
    for group in (older := copy.deepcopy(state))["param_groups"]:
        del group["weight_decay"]
    again = newton([{"params": net[0].parameters()}, {"params": net[2].parameters()}])
    again.load_state_dict(state)
    assert [group["weight_decay"] for group in again.param_groups] == [0.3, 0.1]
    again.load_state_dict(older)
    assert [group["weight_decay"] for group in again.param_groups] == [0.0, 0.0]


def test_an_optimizer_that_was_kept_by_an_older_version_does_not_decay() -> None:
    net, loss = classifier()
    optimizer = newton(net)
    kept = optimizer.__getstate__()
    del kept["defaults"]["weight_decay"]
    for group in kept["param_groups"]:
        del group["weight_decay"]
    older = QNewton.__new__(QNewton)
    older.__setstate__(kept)
    older.step(loss)
    assert older.records[-1].decay_norm == 0.0


def test_a_record_is_written_with_its_decay_and_an_older_one_has_none() -> None:
    net, loss = classifier()
    optimizer = newton(net, weight_decay=0.1)
    optimizer.step(loss)
    [record] = optimizer.records
    assert record.decay_norm > 0.0
    written = encode(record)
    assert decode(StepRecord, written) == record
    del written["decay_norm"], written["damping"]["decayed"]
    older = decode(StepRecord, written)
    assert older.damping is not None
    assert (older.decay_norm, older.damping.decayed) == (0.0, None)


@pytest.mark.slow
def test_the_trainers_groups_decay(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, _ = classifier()

        def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {"loss": mse_loss(self.net(inputs), labels)}

    x, y = torch.randn(8, 4, dtype=F64), torch.randn(8, 2, dtype=F64)
    ends = []
    for decay in (0.0, 0.25):
        model = Model()
        trainer = transformers.Trainer(
            model,
            transformers.TrainingArguments(
                output_dir=str(tmp_path),
                use_cpu=True,
                max_steps=1,
                lr_scheduler_type="constant",
                weight_decay=decay,
                max_grad_norm=0.0,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=[{"inputs": a, "labels": b} for a, b in zip(x, y, strict=True)],
            optimizer_cls_and_kwargs=(QNewton, {"lr": 1.0}),
        )
        trainer.create_optimizer().attach(model, lambda output: output["loss"])
        start = copy.deepcopy(model)
        trainer.train()
        ends.append(model.net)
    for (name, plain), decayed, first in zip(
        ends[0].named_parameters(), ends[1].parameters(), start.parameters(), strict=True
    ):
        share = 0.0 if name.endswith("bias") else 0.25
        torch.testing.assert_close(decayed, plain - share * first)
