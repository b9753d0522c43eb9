"""A solve that is expected to take long is announced once, before it begins."""

import warnings

import pytest
import torch

from qnewton import QNewton
from qnewton.curvature import Kind
from qnewton.optimizer import SlowStepWarning, slow_step


@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
def test_a_slow_solve_is_announced_once_and_before(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x, y = torch.nn.Linear(3, 2), torch.randn(9, 3), torch.randint(0, 2, (9,))
    monkeypatch.setattr(slow_step, "SLOW_S", 0.0)
    optimizer = QNewton(net, damping=0.1, curvature=kind)
    begun = net.weight.detach().clone()
    seen: list[bool] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", SlowStepWarning)
        monkeypatch.setattr(
            warnings, "showwarning", lambda *_, **__: seen.append(torch.equal(net.weight, begun))
        )
        for _ in range(3):
            optimizer.step(lambda: torch.nn.functional.cross_entropy(net(x), y))
    assert seen == [True]
    assert len(optimizer.records) == 3


def test_quick_steps_announce_nothing(recwarn: pytest.WarningsRecorder) -> None:
    net, x = torch.nn.Linear(3, 1), torch.randn(9, 3)
    optimizer = QNewton(net)
    for _ in range(3):
        optimizer.step(lambda: net(x).square().mean())
    assert not [told for told in recwarn if told.category is SlowStepWarning]


def test_the_warning_says_what_takes_how_long_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = torch.nn.Linear(3, 1)
    monkeypatch.setattr(slow_step, "SLOW_S", 0.0)
    with pytest.warns(SlowStepWarning, match=r"4 unknowns.* s per step \(modelled.*blocks="):
        QNewton(net, damping=0.1).step(lambda: net(torch.ones(2, 3)).square().mean())
