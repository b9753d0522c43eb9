"""What happens inside a trial of a step's length: errors, gradients, buffers, random numbers."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.nn.utils.parametrizations import spectral_norm

from qnewton import Limits, QNewton
from tests.cases import flat
from tests.optimizer.trials import DTYPES, Trace, noisy

# Gradients


def clamped(parameters: list[nn.Parameter]) -> None:
    for p in parameters:
        assert p.grad is not None
        p.grad.clamp_(-0.1, 0.1)


def logged(parameters: list[nn.Parameter]) -> None:
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in parameters))  # type: ignore
    for p in parameters:
        p.grad.mul_(1.0 / max(norm, 1.0))  # type: ignore
    assert 1.0 / norm > 0


def by_value(parameters: list[nn.Parameter]) -> None:
    nn.utils.clip_grad_value_(parameters, 0.1)


@pytest.mark.parametrize("none", [True, False])
@pytest.mark.parametrize("change", [clamped, logged, by_value])
@pytest.mark.parametrize("given", ["module", "parameters", "attach"])
def test_a_closure_may_read_and_change_gradients_in_trials(
    given: str, change: Callable[[list[nn.Parameter]], None], none: bool
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x = torch.randn(20, 3, dtype=torch.float64)
    # With the Hessian asked for, its check comes at the first step and not at some later one.
    trained = net.parameters() if given == "parameters" else net
    optimizer = QNewton(trained, curvature="hessian")
    if given == "attach":
        optimizer.attach(net, lambda output: output.sum())
    parameters = list(net.parameters())
    left: list[list[Tensor]] = []

    def closure() -> Tensor:
        optimizer.zero_grad(set_to_none=none)
        loss = mse_loss(net(x), 3 * x.sum(1, keepdim=True))
        loss.backward()
        change(parameters)
        left.append([p.grad.clone() for p in parameters if p.grad is not None])
        return loss

    optimizer.step(closure)  # the first step also looks at gradients elsewhere, to check them
    for _ in range(3):
        left.clear()
        optimizer.step(closure)
        assert len(left) > 1
        # The same gradient in every trial, and afterwards.
        for seen in [*left, [p.grad for p in parameters]]:
            pairs = zip(left[0], seen, strict=True)
            assert all(b is not None and torch.equal(a, b) for a, b in pairs)
    assert optimizer.records[-1].loss < optimizer.records[0].loss


def test_gradients_of_other_parameters_of_the_module_are_there_in_trials() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(8, 3)
    optimizer = QNewton(net[2].parameters())
    norms = []

    def closure() -> Tensor:
        net.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        norms.append([float(p.grad.norm()) for p in net.parameters()])  # type: ignore
        return loss

    optimizer.step(closure)
    assert [float(p.grad.norm()) for p in net.parameters()] == norms[0]  # type: ignore
    norms.clear()  # the first step also checked derivatives, at other parameters
    optimizer.step(closure)
    assert len(norms) > 1
    assert all(seen == norms[0] for seen in norms)
    assert [float(p.grad.norm()) for p in net.parameters()] == norms[0]  # type: ignore


def test_a_loss_of_its_own_gradient_is_judged_by_its_own_gradient() -> None:
    # The penalty on |∂L/∂w|² goes through .grad with its graph.
    w = nn.Parameter(torch.tensor([2.0, -1.0], dtype=torch.float64))
    optimizer = QNewton([w], lr=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward(create_graph=True)
        assert w.grad is not None
        total = loss + w.grad.square().sum()
        w.grad = None
        total.backward()
        return total

    optimizer.step(closure)
    judged = optimizer.records[-1].damping
    assert judged is not None
    assert judged.ratio == pytest.approx(1.0, abs=1e-9)


# Buffers


class Normaliser(nn.Module):
    """Divides by running statistics that every training pass moves first."""

    mean: Tensor
    square: Tensor

    def __init__(self, rebinds: bool) -> None:
        super().__init__()
        self.rebinds = rebinds
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("square", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            mean = 0.8 * self.mean + 0.2 * x.mean(0)
            square = 0.8 * self.square + 0.2 * x.square().mean(0)
            if self.rebinds:
                self.mean, self.square = mean, square
            else:
                self.mean.copy_(mean)
                self.square.copy_(square)
        return (x - self.mean) / self.square.sqrt()


def old_spectral_norm(layer: nn.Module) -> nn.Module:
    return torch.nn.utils.spectral_norm(layer)


MIDDLES: dict[str, Callable[[], nn.Module]] = {
    "spectral norm": lambda: nn.Sequential(spectral_norm(nn.Linear(3, 3)), nn.Tanh()),
    "old spectral norm": lambda: nn.Sequential(old_spectral_norm(nn.Linear(3, 3)), nn.Tanh()),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Tanh()),
    "normaliser": lambda: nn.Sequential(Normaliser(rebinds=False), nn.Linear(3, 3), nn.Tanh()),
    "rebinding": lambda: nn.Sequential(Normaliser(rebinds=True), nn.Linear(3, 3), nn.Tanh()),
}


@pytest.mark.slow
@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("given", ["module", "parameters"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", MIDDLES)
def test_trials_begin_from_the_buffers_that_the_step_began_from(
    kind: str, dtype: torch.dtype, given: str, calls: int
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(MIDDLES[kind](), nn.Linear(3, 1)).to(dtype)
    x = torch.randn(24, 3, dtype=dtype) * torch.tensor([1.0, 3.0, 0.3], dtype=dtype) + 1
    y = torch.sin(x.sum(1, keepdim=True))
    # Buffers that move change the loss, and so it looks like that of another batch.
    free = Limits(budget=math.inf)
    optimizer = QNewton(net if given == "module" else net.parameters(), limits=free)

    def loss() -> Tensor:
        parts = zip(x.chunk(calls), y.chunk(calls), strict=True)
        return torch.stack([mse_loss(net(a), b) for a, b in parts]).mean()

    for _ in range(8):
        before = flat(net)
        buffers = [buffer.clone() for buffer in net.buffers()]
        optimizer.step(loss)
        record = optimizer.records[-1]
        assert record.skipped is None
        assert record.damping is not None
        after, left = flat(net), [buffer.clone() for buffer in net.buffers()]
        # As under SGD: one evaluation, at the parameters of before.
        nn.utils.vector_to_parameters(before, net.parameters())
        for buffer, values in zip(net.buffers(), buffers, strict=True):
            buffer.copy_(values)
        again = float(loss().detach())
        assert again == pytest.approx(record.loss, rel=1e-6)
        for buffer, values in zip(net.buffers(), left, strict=True):
            assert torch.equal(buffer, values)
        # What the trial said is what the loss is there, from the buffers of before.
        nn.utils.vector_to_parameters(after, net.parameters())
        for buffer, values in zip(net.buffers(), buffers, strict=True):
            buffer.copy_(values)
        change = float(loss().detach()) - again
        if record.damping.actual is not None:
            rounding = 20 * torch.finfo(dtype).eps * again
            assert change == pytest.approx(record.damping.actual, abs=rounding)
        for buffer, values in zip(net.buffers(), left, strict=True):
            buffer.copy_(values)


@pytest.mark.parametrize("kind", MIDDLES)
def test_an_attached_loop_repeats_its_passes_from_the_buffers_they_began_with(kind: str) -> None:
    def make() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(MIDDLES[kind](), nn.Linear(3, 1)).double()

    x = torch.randn(24, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 1
    net, twin = make(), make()
    free = Limits(budget=math.inf)
    optimizer, reference = QNewton(net, limits=free), QNewton(twin, limits=free)
    loss_of = optimizer.repeatable(lambda part: net(part).square().mean())
    for _ in range(3):
        optimizer.zero_grad()
        for part in x.chunk(2):
            (loss_of(part) / 2).backward()
        optimizer.step()
        reference.step(lambda: torch.stack([twin(a).square().mean() / 2 for a in x.chunk(2)]).sum())
        assert torch.allclose(flat(net), flat(twin), rtol=0, atol=1e-10)
        assert optimizer.records[-1].loss == pytest.approx(reference.records[-1].loss, rel=1e-12)
        for mine, its in zip(net.buffers(), twin.buffers(), strict=True):
            assert torch.allclose(mine, its, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_under_spectral_norm_skips_no_step(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        spectral_norm(nn.Linear(4, 16)), nn.Tanh(), spectral_norm(nn.Linear(16, 1))
    ).to(dtype)
    x = torch.randn(64, 4, dtype=dtype)
    y = 0.3 * torch.sin(x.sum(1, keepdim=True))
    optimizer = QNewton(net)
    for _ in range(25):
        optimizer.step(lambda: mse_loss(net(x), y))
    assert sum(record.skipped is not None for record in optimizer.records) <= 2
    strengths = [r.damping.strength for r in optimizer.records if r.damping is not None]
    assert max(strengths) < 1e3


# Random numbers


@pytest.mark.parametrize("from_each", [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_trials_repeat_the_random_numbers_of_every_generator(from_each: tuple[int, ...]) -> None:
    drawn = []
    w = nn.Parameter(torch.tensor([3.0]))
    optimizer = QNewton([w])

    sources = (random.random, np.random.rand, lambda: float(torch.rand(())))

    def draw() -> tuple[float, ...]:
        return tuple(source() for source, used in zip(sources, from_each, strict=True) if used)

    def closure() -> Tensor:
        drawn.append(draw())
        return (w**2).sum()

    def seed() -> None:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)

    seed()
    expected = [draw() for _ in range(3)]
    seed()
    for step in range(2):
        drawn.clear()
        optimizer.step(closure)
        # In checks of derivatives and in trials the same; afterwards only the first run has drawn.
        assert len(drawn) > 1
        assert set(drawn) == {expected[step]}
    assert draw() == expected[2]


# What is judged


@pytest.mark.parametrize("returned", [lambda v: 100 * v.detach(), lambda v: 0, lambda v: v.item()])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_step_is_judged_by_what_was_differentiated(parts: int, returned: Any) -> None:
    # As under Accelerate, whose backward takes a share of the loss that the closure returns.
    w = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    optimizer = QNewton([w])

    def closure() -> Any:
        optimizer.zero_grad()
        (w**4).sum().backward()
        optimizer.zero_grad()  # what came before does not count
        losses = [((w[0] - 1) ** 2 + 10 * (w[1] + w[0]) ** 2) / parts for _ in range(parts)]
        for loss in losses:
            loss.backward()
        return returned(losses[-1])

    for _ in range(3):
        optimizer.step(closure)
        judged = optimizer.records[-1].damping
        assert judged is not None
        assert judged.ratio == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("damping", ["auto", 0.1])
def test_an_interrupted_update_moves_no_group(damping: Any, monkeypatch: Any) -> None:
    net, loss = noisy()
    first, *others = net.parameters()
    groups: list[dict[str, Any]] = [{"params": [first]}, {"params": others, "lr": 0.5}]
    optimizer = QNewton(groups, damping=damping, blocks="tensor")
    trace = Trace(net, optimizer)
    real, calls = Tensor.copy_, 0

    def interrupted(self: Tensor, *args: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(self, *args)

    def interrupted_add(parameters: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        added(parameters, *args, **kwargs)

    added = torch._foreach_add_  # pyright: ignore[reportPrivateImportUsage]
    armed = False

    def arm(step: int, stage: str) -> None:
        nonlocal armed
        if stage == "update" and not armed:
            armed = True
            monkeypatch.setattr(torch, "_foreach_add_", interrupted_add)
            if damping == "auto":
                monkeypatch.setattr(Tensor, "copy_", interrupted)

    optimizer.register_stage_hook(arm)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step(loss)
    assert calls >= 2
    monkeypatch.undo()
    trace.check()


# Attention


@pytest.mark.parametrize("curvature", ["auto", "hessian", "ggn", "fisher"])
@pytest.mark.parametrize("damping", ["auto", 1.0])
def test_a_transformer_takes_steps_with_the_attention_that_pytorch_chooses(
    curvature: Any, damping: Any
) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)
    net = nn.Sequential(layer, nn.Flatten(), nn.Linear(12, 2))
    x, y = torch.randn(6, 3, 4), torch.arange(6) % 2
    optimizer = QNewton(net, curvature=curvature, damping=damping)
    losses = [float(optimizer.step(lambda: nn.functional.cross_entropy(net(x), y)))]
    losses += [float(optimizer.step(lambda: nn.functional.cross_entropy(net(x), y)))]
    assert losses[1] < losses[0]
    assert torch.backends.cuda.flash_sdp_enabled()
