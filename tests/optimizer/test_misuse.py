"""What a step is given in place of a closure or of its own state is refused in one line."""

import copy

import pytest
import torch
from torch import nn

from qnewton import QNewton


def test_slices_of_the_records_are_lists() -> None:
    w = nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = QNewton([w], damping=1.0)
    for _ in range(7):
        optimizer.step(lambda: (w - 1.0).square().sum())
    assert [record.step for record in optimizer.records[-5:]] == [2, 3, 4, 5, 6]
    assert [record.step for record in optimizer.records[::3]] == [0, 3, 6]
    assert optimizer.records[-1].step == 6
    again = copy.deepcopy(optimizer)
    assert again.records[-2:] == optimizer.records[-2:]
    assert again.records.maxlen == optimizer.records.maxlen


def test_the_state_of_another_optimizer_is_refused_and_changes_nothing() -> None:
    w = nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer, adam = QNewton([w]), torch.optim.Adam([w], lr=1e-3)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"of another optimizer: its groups have lr, betas.*") as e:
        optimizer.load_state_dict(adam.state_dict())
    assert "\n" not in str(e.value)
    assert optimizer.state_dict() == before


@pytest.mark.parametrize("damping", ["auto", 0.1])
def test_a_loss_in_place_of_a_closure_is_refused(damping: float) -> None:
    w = nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = QNewton([w], damping=damping)
    with pytest.raises(TypeError, match=r"is a Tensor.*such as lambda: loss_fn\(model\(inputs\)"):
        optimizer.step(w.square().sum())  # type: ignore[arg-type]
    assert not optimizer.records
