"""What a user may expect of ``QNewton(model)`` with nothing set."""

import math

import pytest

from benchmarks.full_batch_problems import (
    diabetes_network,
    logistic_regression,
    poisson_pinn,
    polynomial_regression,
    unscaled_logistic_regression,
)
from benchmarks.untouched_defaults import Case, convolutions, digits, from_problem, train
from qnewton import QNewton

# The loss falls by this factor in this many steps, over a floor that the data set for the last
# four. Every one is far from what tuned damping reaches.
CASES = {
    "digits": (digits, 10.0, 25),
    "convolutions": (convolutions, 3.0, 25),
    "pinn": (lambda: from_problem(poisson_pinn, 100.0), 100.0, 60),
    "polynomials": (lambda: from_problem(polynomial_regression, 4.0), 4.0, 15),
    "unscaled": (lambda: from_problem(unscaled_logistic_regression, 100.0), 100.0, 40),
    "network": (lambda: from_problem(diabetes_network, 2.0), 2.0, 25),
    "logistic": (lambda: from_problem(logistic_regression, 2.0), 2.0, 10),
}


def make(name: str) -> tuple[Case, float, int]:
    build, factor, steps = CASES[name]
    return build(), factor, steps


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_loss_falls_and_never_rises(name: str) -> None:
    case, factor, steps = make(name)
    found = train(case, most_steps=steps, limit_s=60.0)
    assert found["all_finite"]
    assert found["rises"] == 0
    assert found["after"] * factor <= found["before"]


@pytest.mark.parametrize("name", ["polynomials", "logistic"])
def test_every_record_has_a_finite_loss_and_a_gradient(name: str) -> None:
    case, _, _ = make(name)
    optimizer = QNewton(case.model)
    for _ in range(5):
        optimizer.step(next(case.losses))
    assert len(optimizer.records) == 5
    for record in optimizer.records:
        assert math.isfinite(record.loss)
        assert record.gradient_norm is not None
        assert math.isfinite(record.gradient_norm)


def test_a_convex_loss_is_minimised_to_the_rounding_of_its_gradient() -> None:
    case, _, _ = make("logistic")
    optimizer = QNewton(case.model)
    for _ in range(40):
        optimizer.step(next(case.losses))
    last = optimizer.records[-1].gradient_norm
    assert last is not None
    assert last <= 1e-8
