"""An optimizer says how a run goes, and warns once of what goes wrong."""

import copy
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from qnewton import HealthWarning, QNewton
from qnewton.records import Cause, Health
from tests.cases import newton

LossOf = Callable[[Tensor, Tensor], Tensor]


def batches(seed: int, regression: bool, **settings: Any) -> tuple[QNewton, Callable[[], Any]]:
    """Return an optimizer, and what takes its next step on eight samples of a noisy task."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(200, 4, generator=generator)
    y = x @ torch.randn(4, generator=generator) + torch.randn(200, generator=generator)
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1 if regression else 2))
    targets = y[:, None] if regression else (y > 0).long()
    loss_of: LossOf = mse_loss if regression else cross_entropy
    optimizer = newton(net, **settings)

    def take() -> Any:
        drawn = torch.randint(200, (8,), generator=generator)
        return optimizer.step(lambda: loss_of(net(x[drawn]), targets[drawn]))

    return optimizer, take


@pytest.mark.slow
@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_a_noisy_run_that_learns_is_healthy(seed: int, regression: bool) -> None:
    optimizer, take = batches(seed, regression, damping=10.0, lr=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HealthWarning)
        for _ in range(96):
            take()
            assert optimizer.health.findings == ()
    assert str(optimizer.health).startswith("healthy: loss ")


def told_in(steps: int, take: Callable[[], Any]) -> list[warnings.WarningMessage]:
    """Take steps, and return the warnings about health."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(steps):
            take()
    return [message for message in told if message.category is HealthWarning]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_run_that_turns_and_diverges_is_told_once(seed: int) -> None:
    optimizer, take = batches(seed, regression=True, damping=10.0, lr=0.3)
    assert told_in(48, take) == []
    # A step of 2.5 lengths ends further on the other side than it began.
    optimizer.param_groups[0].update(lr=2.5, damping=0.1)
    [warning] = told_in(40, take)
    assert "the loss went the wrong way" in str(warning.message)
    assert "larger batches" in str(warning.message)
    # Once numbers are no longer finite that is told, too.
    assert not any("wrong way" in str(later.message) for later in told_in(40, take))


@pytest.mark.parametrize("damping", ["auto", 1.0])
def test_a_run_to_its_end_stays_healthy(damping: Any) -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    x, y = torch.randn(20, 3), torch.randint(2, (20,))
    optimizer = newton(net, damping=damping)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HealthWarning)
        for _ in range(60):
            optimizer.step(lambda: cross_entropy(net(x), y))
    assert optimizer.health.findings == ()


def fails() -> tuple[QNewton, Callable[[], Any]]:
    w = nn.Parameter(torch.ones(1))
    optimizer = newton([w])
    return optimizer, lambda: optimizer.step(lambda: (w * float("nan")).sum())


def test_the_warning_points_at_the_loop_and_comes_once_per_cause() -> None:
    optimizer, take = fails()
    [warning] = told_in(40, take)
    assert "8 of the last 8 steps changed nothing" in str(warning.message)
    assert warning.filename == __file__
    assert [finding.cause for finding in optimizer.health.findings] == [Cause.REFUSED]
    assert optimizer.health == Health.of(optimizer.records)


def test_a_warning_that_is_an_error_comes_after_the_step() -> None:
    optimizer, take = fails()
    with warnings.catch_warnings():
        warnings.simplefilter("error", HealthWarning)
        for _ in range(7):
            take()
        with pytest.raises(HealthWarning):
            take()
        assert optimizer.counters["step"] == len(optimizer.records) == 8
        for _ in range(9):
            take()
    assert [record.step for record in optimizer.records] == list(range(17))


def test_a_copy_tells_anew() -> None:
    optimizer, take = fails()
    assert len(told_in(8, take)) == 1
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert other.health == optimizer.health
        [w] = other.param_groups[0]["params"]
        again = partial(other.step, lambda w=w: (w * float("nan")).sum())
        assert len(told_in(8, again)) == 1


def test_a_loss_that_is_maximised_is_to_rise() -> None:
    w = nn.Parameter(torch.zeros(1))
    optimizer = newton([w], maximize=True, damping=1.0, lr=1e-3)
    for _ in range(48):
        optimizer.step(lambda: -((w - 100.0) ** 2).sum())
    assert optimizer.health.findings == ()
    assert optimizer.health.trend is not None
    assert optimizer.health.trend > 0.0


def test_a_run_that_is_held_by_its_lr_is_healthy() -> None:
    w = nn.Parameter(torch.ones(1))
    optimizer = newton([w], lr=0.0)
    assert told_in(16, lambda: optimizer.step(lambda: (w**2).sum())) == []
    assert optimizer.records[-1].held
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step(lambda: (w**2).sum())
    assert not optimizer.records[-1].held


def test_an_optimizer_without_a_step_is_healthy() -> None:
    optimizer, _ = fails()
    assert str(optimizer.health) == "healthy: no step so far"


def test_looks_get_rarer_the_more_records_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def health(optimizer: QNewton) -> Health:
        looked.append(optimizer.records[-1].step + 1)
        return Health.of([])

    monkeypatch.setattr(QNewton, "health", property(health))
    w = nn.Parameter(torch.ones(1))
    optimizer = newton([w], damping=1.0, lr=0.0)
    for _ in range(150):
        optimizer.step(lambda: w.square().sum())
    assert looked == [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128]
