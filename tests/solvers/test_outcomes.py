"""Every way in which a solver fails, and the member it answers with."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    EigenbasisOperator,
    LowRankOperator,
    MatrixFreeOperator,
)
from qnewton.records import Outcome, Treatment
from qnewton.solvers import Solution, solve
from qnewton.solvers.classical import solve_absolute
from qnewton.solvers.quantum import Readout, SystemRefused, emulate, measure
from tests.cases import ANY_MATRIX, OF_FACTORS

EYE, ONES = torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
ZERO, NAN = torch.zeros_like(EYE), EYE + torch.tensor([[0.0, math.nan], [math.nan, 0.0]])
SADDLE = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
HALF = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
FAR = torch.diag(torch.tensor([1.0, 1e-9], dtype=torch.float64))
TINY, HUGE = 1e-200, 1e200
DAMPED = ["woodbury", "augmented_qr"]
DIRECT = ["lu_inverse", "lu", "ldl", "sparse_lu"]
SPREAD = torch.diag(torch.logspace(0, 4, 40, dtype=torch.float64))
SIGNED = SPREAD * (1 - 2 * (torch.arange(40) % 2)).unsqueeze(1)


def low_rank(value: float, shift: float) -> LowRankOperator:
    return LowRankOperator(DenseFactor(torch.full((2, 1), value, dtype=torch.float64)), shift)


def damped(matrix: Tensor) -> DenseOperator:
    return DenseOperator(matrix, Treatment(damping=1.0))


CASES = [
    *((name, NAN, ONES, Outcome.NOT_FINITE) for name in ANY_MATRIX),
    *((name, EYE, math.inf * ONES, Outcome.NOT_FINITE) for name in ANY_MATRIX),
    *((name, ZERO, ONES, Outcome.SINGULAR) for name in (*DIRECT, "qsvt")),
    *((name, -EYE, ONES, Outcome.NOT_DEFINITE) for name in ("cholesky", "cg", "sparse_cg")),
    *((name, SADDLE, ONES, Outcome.NOT_DEFINITE) for name in ("cholesky", "cg", "sparse_cg")),
    *((name, TINY * EYE, HUGE * ONES, Outcome.OVERFLOW) for name in ANY_MATRIX),
    *((name, HUGE * EYE, TINY * ONES, Outcome.UNDERFLOW) for name in ANY_MATRIX),
    ("minres", HALF, ONES, Outcome.RESIDUAL),
    ("pcg_diagonal", SADDLE, ONES, Outcome.NO_PRECONDITIONER),
    ("pcg_nystrom", EYE, ONES, Outcome.NO_PRECONDITIONER),
    ("pcg_nystrom", damped(-3.0 * EYE), ONES, Outcome.NO_PRECONDITIONER),
    *((name, EYE, ONES, Outcome.NO_FACTOR) for name in OF_FACTORS),
    ("eigenbasis", EYE, ONES, Outcome.NO_EIGENBASIS),
    ("eigenbasis", EigenbasisOperator(0.0 * ONES.view(1, 2)), ONES, Outcome.SINGULAR),
    ("eigenbasis", EigenbasisOperator(math.nan * ONES.view(1, 2)), ONES, Outcome.NOT_FINITE),
    ("lsmr", low_rank(1.0, 1.0), ONES, Outcome.NO_TARGET),
    *((name, low_rank(1.0, 0.0), ONES, Outcome.NO_DAMPING) for name in DAMPED),
    *((name, low_rank(math.nan, 1.0), ONES, Outcome.NOT_FINITE) for name in DAMPED),
    ("qsvt", EYE, 0.0 * ONES, Outcome.ZERO_RHS),
    ("qsvt", FAR, ONES, Outcome.DEGREE_TOO_HIGH),
]


@pytest.mark.parametrize(("solver", "matrix", "rhs", "outcome"), CASES)
def test_a_failure_has_a_member(
    solver: str, matrix: Tensor | DenseOperator, rhs: Tensor, outcome: Outcome
) -> None:
    solution = solve((matrix, rhs), solver)
    assert solution.outcome is outcome
    assert not solution.solved
    assert solution.describe() == outcome.describe(solution.detail)


def cut_short(solver: str, matrix: Tensor) -> Callable[[], Solution]:
    rhs = torch.ones(40, dtype=torch.float64)
    return lambda: solve((matrix, rhs), solver, max_products=3)


OPTIONS = {
    "cg cut short": (cut_short("cg", SPREAD), Outcome.NOT_CONVERGED),
    "sparse_cg cut short": (cut_short("sparse_cg", SPREAD), Outcome.NOT_CONVERGED),
    "minres cut short": (cut_short("minres", SIGNED), Outcome.NOT_CONVERGED),
    "cg, products": (
        lambda: solve((MatrixFreeOperator(2, lambda v: v / 0.0), torch.ones(2)), "cg"),
        Outcome.NOT_FINITE,
    ),
    "minres, products": (
        lambda: solve((MatrixFreeOperator(2, lambda v: v / 0.0), torch.ones(2)), "minres"),
        Outcome.NOT_FINITE,
    ),
    "promise": (
        lambda: solve((torch.diag(1.0 + 49.0 * ONES.cumsum(0)), ONES), "qsvt", kappa=1.0),
        Outcome.PROMISE_BROKEN,
    ),
    "alpha": (lambda: solve((3.0 * EYE, ONES), "qsvt", alpha=2.0), Outcome.ALPHA_TOO_SMALL),
    "absolute, singular": (lambda: solve_absolute(DenseOperator(ZERO), ONES), Outcome.SINGULAR),
    "absolute, nan": (lambda: solve_absolute(DenseOperator(NAN), ONES), Outcome.NOT_FINITE),
    "absolute, long": (
        lambda: solve_absolute(DenseOperator(TINY * EYE), HUGE * ONES),
        Outcome.OVERFLOW,
    ),
    "absolute, short": (
        lambda: solve_absolute(DenseOperator(HUGE * EYE), TINY * ONES),
        Outcome.UNDERFLOW,
    ),
}


@pytest.mark.parametrize(("run", "outcome"), OPTIONS.values(), ids=OPTIONS)
def test_a_failure_by_what_was_asked_has_a_member(
    run: Callable[[], Solution], outcome: Outcome
) -> None:
    assert run().outcome is outcome


REFUSALS = {
    "clock": (lambda: emulate(FAR, ONES, "hhl"), Outcome.CLOCK_TOO_LARGE),
    "nothing read": (
        lambda: measure(torch.ones(4, dtype=torch.float64) / 2, Readout(shots=2, seed=1)),
        Outcome.NOTHING_READ,
    ),
    "no success": (
        lambda: emulate(HALF, torch.tensor([0.0, 1.0], dtype=torch.float64), kappa=2.0),
        Outcome.NO_SUCCESS,
    ),
}


@pytest.mark.parametrize(("run", "outcome"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_emulation_has_a_member(run: Callable[[], object], outcome: Outcome) -> None:
    with pytest.raises(SystemRefused) as refusal:
        run()
    assert refusal.value.outcome is outcome
