"""What happens inside a trial of a step's length: errors, gradients, buffers, random numbers."""

import math
import pickle
import random
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal
from torch.nn.functional import binary_cross_entropy, mse_loss
from torch.nn.utils.parametrizations import spectral_norm

from qnewton import QNewton
from qnewton.optimizer.numerical import LinAlgError, is_numerical
from tests.cases import flat

DTYPES = [torch.float32, torch.float64]


def cosh(w: Tensor) -> Tensor:
    """Return a loss on which a full Newton step from 1.5 overshoots to -1.6 and further."""
    return torch.log(torch.cosh(w)).sum()


def raising(w: Tensor, error: Callable[[], BaseException | None]) -> Callable[[], Tensor]:
    """Return a closure that raises wherever a trial is longer than 1."""

    def closure() -> Tensor:
        if abs(w.item() - 1.5) > 1.0:
            raised = error()
            if raised is not None:
                raise raised
        return cosh(w)

    return closure


def newton(w: nn.Parameter) -> QNewton:
    optimizer = QNewton([w])
    # λ and Δ such that the first trial is longer than 1.
    optimizer.counters.update(damping=1e-3, damping_floor=1e-12, radius=10.0, usual_gradient=1.0)
    return optimizer


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "error",
    [
        lambda: LinAlgError("not positive definite"),
        lambda: np.linalg.LinAlgError("singular"),
        lambda: FloatingPointError("underflow"),
        OverflowError,
        lambda: ZeroDivisionError("by zero"),
    ],
    ids=["torch", "numpy", "floating point", "overflow", "division"],
)
def test_a_numerical_error_in_a_trial_refuses_that_length(error: Any, dtype: torch.dtype) -> None:
    w = nn.Parameter(torch.tensor([1.5], dtype=dtype))
    optimizer = newton(w)
    optimizer.step(raising(w, error))
    record = optimizer.records[-1]
    assert record.damping is not None
    assert record.skipped is None
    assert 0 < abs(w.item() - 1.5) <= 1.0  # a shorter length was taken
    assert record.damping.tries > 1
    assert record.damping.ratio is None
    assert type(error()).__name__ in record.damping.reason


def test_the_errors_of_gpytorch_are_numerical(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its own package is no dependency; these are the classes of linear_operator.utils.errors.
    errors: Any = types.ModuleType("linear_operator.utils.errors")
    errors.NanError = type("NanError", (RuntimeError,), {})
    errors.NotPSDError = type("NotPSDError", (RuntimeError,), {})
    monkeypatch.setitem(sys.modules, errors.__name__, errors)
    for error in (errors.NanError, errors.NotPSDError):
        w = nn.Parameter(torch.tensor([1.5]))
        optimizer = newton(w)
        optimizer.step(raising(w, error))
        assert optimizer.records[-1].skipped is None
    assert not is_numerical(RuntimeError())


def test_a_point_where_every_length_fails_is_not_left() -> None:
    w = nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    optimizer = newton(w)

    def closure() -> Tensor:
        if w.item() != 1.5:
            raise LinAlgError("never")
        return cosh(w)

    optimizer.step(closure)
    record = optimizer.records[-1]
    assert w.item() == 1.5
    assert record.skipped is not None
    assert "LinAlgError: never" in record.skipped
    assert record.damping is not None
    assert record.damping.next_strength > record.damping.strength


def test_a_gaussian_process_whose_factorisation_fails_shortens_its_step() -> None:
    noise = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    x = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None]
    y = torch.sin(6 * x[:, 0]) + 0.3 * torch.cos(40 * x[:, 0])
    kernel = torch.exp(-((x - x.mT) ** 2) / 0.08)
    optimizer = newton(noise)

    def closure() -> Tensor:
        factor = torch.linalg.cholesky(kernel + noise * torch.eye(20, dtype=torch.float64))
        half = torch.linalg.solve_triangular(factor, y[:, None], upper=False)
        return half.square().sum() / 2 + factor.diagonal().log().sum()

    for _ in range(15):
        optimizer.step(closure)
    reasons = [record.damping.reason for record in optimizer.records if record.damping]
    assert any("LinAlgError: linalg.cholesky" in reason for reason in reasons)
    assert 0.01 < noise.item() < 0.1  # the variance of the cosine is 0.045
    assert optimizer.records[-1].gradient_norm == pytest.approx(0.0, abs=1e-6)


def distribution(kind: str, w: Tensor) -> Tensor:
    at = torch.tensor([0.3], dtype=w.dtype)
    if kind == "normal":
        found = Normal(0.0, w, validate_args=True)
    else:
        found = MultivariateNormal(at * 0, w[None], validate_args=True)
    return -found.log_prob(at).sum() + w.sum() / 10


@pytest.mark.parametrize("kind", ["normal", "multivariate"])
def test_a_distribution_outside_its_domain_refuses_that_length(kind: str) -> None:
    w = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = newton(w)
    for _ in range(20):
        optimizer.step(lambda: distribution(kind, w))
    assert any("ValueError" in r.damping.reason for r in optimizer.records if r.damping)
    assert w.item() > 0
    assert optimizer.records[-1].loss < optimizer.records[0].loss


def test_an_operation_that_refuses_numbers_that_are_not_finite_refuses_that_length() -> None:
    w = nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    optimizer = newton(w)

    def closure() -> Tensor:
        # A probability that is not a number, from a square root, far from the start.
        probability = torch.sigmoid(torch.sqrt(w + 0.5)) if w.item() < 0.5 else torch.sigmoid(w)
        return cosh(w) + 1e-3 * binary_cross_entropy(probability, torch.ones_like(w))

    optimizer.step(closure)
    record = optimizer.records[-1]
    assert record.damping is not None
    assert "FloatingPointError: binary_cross_entropy" in record.damping.reason
    assert record.skipped is None


class Trace:
    """Everything that a step which raises has to put back."""

    def __init__(self, net: nn.Module, optimizer: QNewton) -> None:
        self._net, self._optimizer = net, optimizer
        self.before = self.now()

    def now(self) -> list[Any]:
        tensors = [*self._net.parameters(), *self._net.buffers()]
        gradients = [p.grad for p in self._net.parameters()]
        return [
            [tensor.detach().clone() for tensor in tensors],
            [None if g is None else (id(g), g.tolist()) for g in gradients],
            torch.get_rng_state().tolist(),
            random.getstate(),
            pickle.dumps(np.random.get_state()),  # noqa: NPY002
            dict(self._optimizer.counters),
            len(self._optimizer.records),
        ]

    def check(self) -> None:
        tensors, *rest = self.before
        now, *others = self.now()
        assert all(torch.equal(a, b) for a, b in zip(tensors, now, strict=True))
        assert rest == others


def noisy(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Callable[[], Tensor]]:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, 1)
    ).to(dtype)
    x = torch.randn(20, 3, dtype=dtype)

    def loss() -> Tensor:
        noise = random.gauss(0, 1e-2) + np.random.randn() * 1e-2  # noqa: NPY002
        return mse_loss(net(x), x.sum(1, keepdim=True) + noise)

    return net, loss


@pytest.mark.parametrize("damping", ["auto", 0.1])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("mine"), ValueError("mine")])
@pytest.mark.parametrize("given", ["module", "parameters"])
def test_any_other_exception_puts_everything_back_and_goes_up(
    given: str, error: BaseException, at: int, damping: Any
) -> None:
    net, loss = noisy()
    optimizer = QNewton(net if given == "module" else net.parameters(), damping=damping)
    calls, armed = 0, False

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        optimizer.zero_grad(set_to_none=False)
        value = loss()
        value.backward()
        if armed and calls == at:
            raise error
        return value

    optimizer.step(closure)
    calls, armed = 0, True
    trace = Trace(net, optimizer)
    if damping == 0.1 and at > 1:
        optimizer.step(closure)
        assert calls == 1  # a λ that is given needs no trial, so nothing was raised
        return
    with pytest.raises(type(error)):
        optimizer.step(closure)
    assert calls == at
    trace.check()
    armed = False
    optimizer.step(closure)  # and the step can be taken again
    assert optimizer.records[-1].skipped is None


def test_an_exception_of_a_hook_in_the_middle_of_a_step_leaves_no_trace() -> None:
    for stage in ("curvature", "solve", "update"):
        for damping in ("auto", 0.1):
            net, loss = noisy()
            optimizer = QNewton(net, damping=damping)
            optimizer.step(loss)

            def hook(step: int, name: str, stage: str = stage) -> None:
                if name == stage:
                    raise KeyboardInterrupt

            handle = optimizer.register_stage_hook(hook)
            trace = Trace(net, optimizer)
            with pytest.raises(KeyboardInterrupt):
                optimizer.step(loss)
            trace.check()
            handle.remove()


def test_an_error_under_the_second_candidate_puts_the_parameters_back() -> None:
    # At a saddle a step along an eigenvector is tried in both directions.
    w = nn.Parameter(torch.tensor([0.5, 0.0], dtype=torch.float64))
    optimizer = QNewton([w])

    def closure() -> Tensor:
        if w[1] != 0:
            raise KeyError("mine") if w[1] < 0 else FloatingPointError("mine")
        return w[0] ** 2 - w[1] ** 2 + w[1] ** 4 / 4

    def steps() -> None:
        for _ in range(20):
            before.copy_(w.detach())
            optimizer.step(closure)

    before = w.detach().clone()
    with pytest.raises(KeyError):
        steps()
    assert torch.equal(w.detach(), before)


def test_an_error_of_the_closure_is_not_asked_for_twice() -> None:
    w = nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    optimizer = newton(w)
    optimizer.step(lambda: cosh(w))  # the first step also runs it to check its derivatives
    before, calls = w.item(), 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("once")
        return cosh(w)

    with pytest.raises(RuntimeError, match="once"):
        optimizer.step(closure)
    assert calls == 2
    assert w.item() == before


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
    optimizer = QNewton(net.parameters() if given == "parameters" else net)
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
    optimizer = QNewton(net if given == "module" else net.parameters())

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
    optimizer, reference = QNewton(net), QNewton(twin)
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


def test_trials_repeat_the_random_numbers_of_python_and_numpy() -> None:
    drawn = []
    w = nn.Parameter(torch.tensor([3.0]))
    optimizer = QNewton([w])

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

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
