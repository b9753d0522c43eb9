"""What a solver calls solved is held against the true residual, as cheaply as that can be done."""

from dataclasses import replace

import pytest
import torch

from qnewton.operators import DenseOperator, LinearSystem
from qnewton.optimizer.attempts import checked_claim
from qnewton.records import Attempt, Outcome
from qnewton.solvers import Solution, SolveStats
from tests import recorded
from tests.cases import draw, geometric, with_spectrum

MATRIX = with_spectrum(geometric(40, 100.0), seed=0).float()
SYSTEM = LinearSystem(DenseOperator(MATRIX), draw(40, dtype=torch.float32))
TOLERANCE = 1e-6


def claim(x: torch.Tensor, residual: float | None) -> tuple[Solution, Attempt]:
    solution = Solution(x, Outcome.SOLVED, SolveStats(solver="lu", residual=residual))
    attempt = replace(recorded.attempt("lu"), residual=residual)
    return checked_claim(solution, attempt, SYSTEM, TOLERANCE)


def exact() -> torch.Tensor:
    return torch.linalg.solve(MATRIX.double(), SYSTEM.rhs.double()).float()


def residual_of(x: torch.Tensor) -> float:
    rhs = SYSTEM.rhs.double()
    return float((rhs - MATRIX.double() @ x.double()).norm() / rhs.norm())


def test_an_honest_residual_stays_and_costs_no_product_in_float64(monkeypatch):
    monkeypatch.setattr(DenseOperator, "wide_product", None)
    solution, attempt = claim(exact(), 3e-7)
    assert solution.solved
    assert attempt.residual == 3e-7


@pytest.mark.parametrize("stated", [0.0, 1e-7, 0.9, float("nan"), None])
def test_a_wrong_x_is_found_out_whatever_is_stated(stated):
    x = 1.5 * exact()
    solution, attempt = claim(x, stated)
    assert solution.outcome is Outcome.RESIDUAL
    assert attempt.residual == pytest.approx(residual_of(x), rel=1e-12)


def test_a_right_x_with_a_wrong_residual_is_solved_with_the_true_one():
    solution, attempt = claim(exact(), 0.9)
    assert solution.solved
    assert attempt.residual == pytest.approx(residual_of(exact()), rel=1e-12)


@pytest.mark.parametrize("x", [torch.full((40,), float("inf")), torch.full((40,), float("nan"))])
def test_an_x_that_is_not_finite_has_no_residual(x):
    solution, attempt = claim(x, 0.0)
    assert solution.outcome is Outcome.NOT_FINITE
    assert attempt.residual is None
