"""Parameter groups that hold nothing, or get their parameters later."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from qnewton import QNewton


def scalar() -> nn.Parameter:
    return nn.Parameter(torch.tensor([3.0], dtype=torch.float64))


@pytest.mark.parametrize("damping", ["auto", 0.5])
@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("empty", [(0,), (1,), (0, 1)], ids=str)
def test_empty_groups_are_passed_over(empty: tuple[int, ...], damping: Any, warmup: int) -> None:
    w = scalar()
    groups: list[dict[str, Any]] = [{"params": [w]}]
    for place in empty:
        groups.insert(place, {"params": []})
    optimizer = QNewton(groups, damping=damping, warmup=warmup)
    for _ in range(4):
        optimizer.step(lambda: ((w - 1) ** 2).sum())
    assert optimizer.counters["step"] == 4
    assert len(optimizer.records) == 4
    assert abs(w.item() - 1.0) < abs(3.0 - 1.0) / 2


def test_settings_of_an_empty_group_do_not_count() -> None:
    w = scalar()
    optimizer = QNewton([{"params": [], "maximize": True, "damping": 1.0}, {"params": [w]}])
    optimizer.step(lambda: ((w - 1) ** 2).sum())
    assert w.item() < 3.0


def test_a_run_with_an_empty_group_goes_on_from_its_state() -> None:
    w = scalar()
    optimizer = QNewton([{"params": []}, {"params": [w]}])
    for _ in range(3):
        optimizer.step(lambda: w.cosh().sum())
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again = copy.deepcopy(w)
    resumed = QNewton([{"params": []}, {"params": [again]}])
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert resumed.counters["step"] == 3
    optimizer.step(lambda: w.cosh().sum())
    resumed.step(lambda: again.cosh().sum())
    assert torch.equal(w, again)


def test_parameters_that_join_later_share_the_counters() -> None:
    a, b, c = scalar(), scalar(), scalar()
    optimizer = QNewton([{"params": []}])
    assert optimizer.step(lambda: 5.0) == 5.0
    optimizer.add_param_group({"params": [a]})
    optimizer.step(lambda: (a**2).sum())
    # In front of those that have a state already, and behind them.
    optimizer.param_groups[0]["params"].append(b)
    optimizer.add_param_group({"params": [c]})
    optimizer.step(lambda: (a**2 + b**2 + c**2).sum())
    assert optimizer.counters["step"] == 2
    assert b.item() < 3.0
    assert c.item() < 3.0
    saved = optimizer.state_dict()["state"]
    assert [state["step"] for state in saved.values()] == [2, 2, 2]
