"""What happens to errors inside a trial of a step's length."""

import math
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal
from torch.nn.functional import binary_cross_entropy

from qnewton import Limits, QNewton
from qnewton.optimizer.numerical import LinAlgError, is_numerical
from tests.optimizer.trials import DTYPES, Trace, noisy


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
            optimizer = QNewton(net, damping=damping, limits=Limits(budget=math.inf))
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
