"""A step says when further steps on the same loss can do nothing more."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qnewton import Limits, QNewton
from qnewton.records import Convergence, decode, encode
from qnewton.records.steps import StepRecord


def steps_to_the_end(optimizer: QNewton, loss: object, most: int = 200) -> int:
    for count in range(1, most + 1):
        optimizer.step(loss)  # type: ignore[arg-type]
        if optimizer.converged:
            return count
    raise AssertionError(f"no end after {most} steps: {optimizer.records[-1]}")


def test_a_step_that_rounding_swallows_is_an_end() -> None:
    w = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    optimizer = QNewton([w])
    assert optimizer.converged is None
    steps_to_the_end(optimizer, lambda: (w - 1).square().sum(), 10)
    assert optimizer.converged is Convergence.STEP


def test_a_gradient_of_zero_is_an_end() -> None:
    w = nn.Parameter(torch.ones(2))
    optimizer = QNewton([w])
    assert steps_to_the_end(optimizer, lambda: (w - 1).square().sum()) == 1
    assert optimizer.converged is Convergence.GRADIENT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_fit_ends_soon_after_its_last_digit(dtype: torch.dtype) -> None:
    t = torch.linspace(0, 2, 30, dtype=dtype)
    y = 2 * torch.exp(-1.5 * t) + 0.01 * torch.sin(40 * t)
    w = nn.Parameter(torch.ones(2, dtype=dtype))

    def loss() -> Tensor:
        return (w[0] * torch.exp(-w[1] * t) - y).square().sum()

    optimizer = QNewton([w])
    count = steps_to_the_end(optimizer, loss)
    assert count < 40
    found = w.detach().clone()
    for _ in range(20):
        optimizer.step(loss)
    assert torch.allclose(w.detach(), found, rtol=50 * torch.finfo(dtype).eps ** 0.5, atol=0.0)
    assert optimizer.converged


def test_a_fit_to_rounding_ends_though_the_loss_rounds_more_than_its_last_place() -> None:
    # Lanczos' three exponentials: residuals of 1e-16 are differences of numbers near 1.
    t = torch.arange(24, dtype=torch.float64) / 20

    def values(b: Tensor) -> Tensor:
        return sum((b[k] * torch.exp(-b[k + 1] * t) for k in (0, 2, 4)), torch.zeros_like(t))

    y = values(torch.tensor([0.0951, 1, 0.8607, 3, 1.5576, 5], dtype=torch.float64))
    for start in ([1.2, 0.3, 5.6, 5.5, 6.5, 7.6], [0.5, 0.7, 3.6, 4.2, 4.0, 6.3]):
        w = nn.Parameter(torch.tensor(start, dtype=torch.float64))
        optimizer = QNewton([w])
        steps_to_the_end(optimizer, lambda w=w: (values(w) - y).square().sum(), 100)
        assert optimizer.records[-1].loss < 1e-24


def test_an_end_is_none_while_the_loss_falls() -> None:
    torch.manual_seed(0)
    net, x = nn.Linear(4, 3).double(), torch.randn(60, 4).double()
    labels = torch.randint(0, 3, (60,))
    optimizer = QNewton(net)
    count = steps_to_the_end(optimizer, lambda: cross_entropy(net(x), labels))
    losses = [record.loss for record in optimizer.records]
    falls = [a - b for a, b in itertools.pairwise(losses)]
    assert all(fall > 1e-15 for fall in falls[: count - 4])
    judged = [record.damping for record in optimizer.records]
    assert all(one is not None and one.converged is None for one in judged[: count - 1])
    last = optimizer.records[-1]
    assert decode(StepRecord, encode(last)) == last


def test_a_saddle_is_no_end() -> None:
    w = nn.Parameter(torch.tensor([0.0, 0.0], dtype=torch.float64))
    optimizer = QNewton([w])
    steps_to_the_end(optimizer, lambda: (w[0] ** 2 - 1) ** 2 + w[1] ** 2)
    assert abs(w[0].item()) == pytest.approx(1.0)


def test_batches_that_differ_are_no_end() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    optimizer = QNewton(net)
    for _ in range(15):
        x, labels = torch.randn(20, 4), torch.randint(0, 3, (20,))
        optimizer.step(lambda x=x, labels=labels: cross_entropy(net(x), labels))
        assert optimizer.converged is None


def test_a_fixed_damping_never_tells() -> None:
    w = nn.Parameter(torch.zeros(2))
    optimizer = QNewton([w], damping=0.1)
    optimizer.step(lambda: w.square().sum())
    assert optimizer.converged is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_after_the_end_try_nothing_until_the_loss_is_another(dtype: torch.dtype) -> None:
    # As in a mean of cross-entropies near 0, the loss rounds far more than its own last place.
    eps = torch.finfo(dtype).eps
    w = nn.Parameter(torch.tensor([3.0, -2.0], dtype=dtype))
    optimizer = QNewton([w])

    def loss(target: float = 1.0) -> Tensor:
        return (1.0 + eps * ((w[0] - target) ** 2 + 3.0 * (w[1] + w[0]) ** 4 + 3.0)) - 1.0

    steps_to_the_end(optimizer, loss, 12)
    calls = 0

    def counted() -> Tensor:
        nonlocal calls
        calls += 1
        return loss()

    for _ in range(20):
        optimizer.step(counted)
    assert calls == 20
    for record in list(optimizer.records)[-20:]:
        assert record.skipped == Convergence.LOSS.sentence
        assert record.damping is not None
        assert (record.damping.tries, record.damping.products) == (0, 0)
    assert optimizer.converged is Convergence.LOSS
    assert str(optimizer.health).startswith("healthy")
    assert "100% of the steps refused" in str(optimizer.health)
    assert f"converged: {Convergence.LOSS.sentence}" in str(optimizer.health)
    again = QNewton([w])
    again.load_state_dict(optimizer.state_dict())
    again.step(loss)
    assert again.records[-1].skipped == Convergence.LOSS.sentence
    for woken in (optimizer, again):
        woken.step(lambda: loss(9.0))
        assert woken.records[-1].skipped is None
        assert woken.converged is None


def test_a_length_that_changes_wakes_steps_up() -> None:
    w = nn.Parameter(torch.tensor([3.0]))
    optimizer = QNewton([w], lr=1e-30)

    def loss() -> Tensor:
        return (w - 1).square().sum()

    for _ in range(6):
        optimizer.step(loss)
    optimizer.param_groups[0]["lr"] = 1.0
    for _ in range(6):
        optimizer.step(loss)
    assert w.item() == pytest.approx(1.0, abs=1e-3)


def test_a_damping_held_up_by_negative_curvature_is_no_reason_to_go_on() -> None:
    # λ falls after each step that rounding hides, and negative curvature raises it again.
    torch.manual_seed(0)
    w = nn.Parameter(torch.zeros(40))
    slopes = torch.linspace(-1.0, 1.0, 40)
    optimizer = QNewton([w], limits=Limits(max_dense=1))

    def loss() -> Tensor:
        return (1.0 + 1e-9 * (slopes * w.square() + 0.1 * w).sum()) - 1.0 + 1e-7

    steps_to_the_end(optimizer, loss, 30)
    assert optimizer.converged is Convergence.LOSS
    optimizer.step(loss)
    assert optimizer.records[-1].damping is not None
    assert optimizer.records[-1].damping.tries == 0
