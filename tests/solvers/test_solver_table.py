"""Every solver × every kind of matrix × both dtypes, in one table."""

from dataclasses import dataclass, field

import pytest
import torch

from qnewton.operators import DenseOperator, LinearSystem, MatrixFreeOperator
from qnewton.records import Outcome
from qnewton.solvers import SolveOptions, factorize, solve
from qnewton.solvers.classical import relative_residual
from tests.cases import ANY_MATRIX, draw, with_spectrum

N = 24
DTYPES = (torch.float32, torch.float64)
QUANTUM = ("qsvt", "dalzell", "hhl", "costa", "deflated_qsvt")
DEFINITE_ONLY = ("cholesky", "cg", "sparse_cg", "pcg_diagonal")


@dataclass(frozen=True)
class Kind:
    """A kind of matrix, and the outcome each solver owes it (``SOLVED`` unless listed)."""

    name: str
    eigenvalues: tuple[float, ...] | None
    expected: dict[str, Outcome] = field(default_factory=dict)


def _geometric(kappa: float, signs: bool = False) -> tuple[float, ...]:
    return tuple(kappa ** (-i / (N - 1)) * (-1 if signs and i % 3 == 0 else 1) for i in range(N))


NO_DIAGONAL = "no preconditioner: the smallest diagonal entry is"
WORDS: dict[Outcome, str] = {
    Outcome.NO_PRECONDITIONER: NO_DIAGONAL,
    Outcome.CLOCK_TOO_LARGE: "clock of 33 qubits",
}
REFUSALS = dict.fromkeys(DEFINITE_ONLY, Outcome.NOT_DEFINITE) | {
    "pcg_diagonal": Outcome.NO_PRECONDITIONER
}
KINDS = (
    Kind("spd", _geometric(30.0)),
    Kind("scaled", tuple(1e6 * value for value in _geometric(30.0))),
    Kind("tiny", tuple(1e-6 * value for value in _geometric(30.0))),
    Kind("identity", (1.0,) * N),
    Kind("ill-conditioned", _geometric(2e3), {"hhl": Outcome.CLOCK_TOO_LARGE}),
    Kind("indefinite", _geometric(30.0, True), REFUSALS),
    Kind("negative", (-1.0,) * N, REFUSALS),
    Kind("nan", None, dict.fromkeys(ANY_MATRIX, Outcome.NOT_FINITE)),
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_outcome_and_direction(solver, kind, dtype):
    rhs = draw(N, seed=1, dtype=dtype)
    if kind.eigenvalues is None:
        matrix = torch.eye(N, dtype=dtype)
        matrix[2, 1] = matrix[1, 2] = torch.nan
    else:
        matrix = with_spectrum(kind.eigenvalues, seed=2, dtype=dtype)
    solution = solve((matrix, rhs), solver)

    expected = kind.expected.get(solver, Outcome.SOLVED)
    assert solution.outcome is expected
    assert solution.describe().startswith(WORDS.get(expected, str(expected.value)))
    assert solution.solved == (expected is Outcome.SOLVED)
    assert solution.stats.solver == solver
    assert solution.stats.seconds is not None
    if expected is not Outcome.SOLVED:
        assert solution.direction is None
        assert solution.stats.residual is None or solver in DEFINITE_ONLY
        return
    assert solution.direction is not None
    assert solution.direction.dtype == dtype
    truth = torch.linalg.solve(matrix.double(), rhs.double())
    # Residual to error costs a factor κ ≤ 2e3; 1e-6 is the tolerance, in float32 √eps allowed.
    error = (solution.direction.double() - truth).norm() / truth.norm()
    assert error <= (1e-4 if dtype == torch.float64 else 2e-4)
    # The reported residual is the true one.
    assert solution.stats.residual == pytest.approx(
        float((matrix.double() @ solution.direction.double() - rhs.double()).norm() / rhs.norm()),
        rel=1e-3,
        abs=1e-15,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_a_singular_matrix_is_never_solved_for_a_right_hand_side_outside_its_range(solver, dtype):
    eigenvalues = (0.0, 0.0, *(1.0 + i / N for i in range(N - 2)))
    matrix = with_spectrum(eigenvalues, seed=3, dtype=dtype)
    solution = solve((matrix, draw(N, seed=4, dtype=dtype)), solver)
    assert not solution.solved
    assert solution.outcome


@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_an_exactly_singular_matrix(solver):
    ones = torch.ones(3, 3, dtype=torch.float64)
    rhs = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    expected = {"cholesky": Outcome.NOT_DEFINITE}
    solution = solve((ones, rhs), solver)
    outcome = solution.outcome
    # A product with (1,1,1)ᵀ's complement is rounding, of either sign, so cg may name either.
    if solver in ("cg", "sparse_cg", "pcg_diagonal"):
        assert outcome in (Outcome.NOT_DEFINITE, Outcome.NOT_CONVERGED)
    elif solver == "minres":  # finds the least residual, and says how large that is
        assert outcome is Outcome.RESIDUAL
        assert solution.describe().startswith("residual 8e-01 above")
    else:
        assert outcome is expected.get(solver, Outcome.SINGULAR)


@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_a_right_hand_side_that_is_not_finite(solver):
    rhs = torch.tensor([1.0, torch.inf])
    assert solve((torch.eye(2), rhs), solver).outcome is Outcome.NOT_FINITE


@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_a_zero_right_hand_side(solver):
    solution = solve((torch.eye(2) * 2, torch.zeros(2)), solver)
    if solver in QUANTUM:
        assert solution.outcome is Outcome.ZERO_RHS
    else:
        assert solution.solved
        assert solution.direction is not None
        assert torch.equal(solution.direction, torch.zeros(2))
        assert solution.stats.residual == 0.0


@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_one_unknown(solver):
    solution = solve((torch.tensor([[4.0]]), torch.tensor([2.0])), solver)
    assert solution.direction is not None
    torch.testing.assert_close(solution.direction, torch.tensor([0.5]))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_a_matrix_free_operator_gives_the_same_direction(solver, dtype):
    matrix = with_spectrum(_geometric(30.0), seed=5, dtype=dtype)
    rhs = draw(N, seed=6, dtype=dtype)
    free = MatrixFreeOperator(N, lambda v: matrix @ v, dtype=dtype)
    dense, lazy = solve((matrix, rhs), solver), solve(LinearSystem(free, rhs), solver)
    assert dense.solved
    assert lazy.solved
    assert dense.direction is not None
    # Both residuals are below 1e-6, so at κ = 30 they differ by at most 6e-5.
    torch.testing.assert_close(lazy.direction, dense.direction, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_inputs_are_left_alone(solver):
    matrix = with_spectrum(_geometric(30.0), seed=5, dtype=torch.float64)
    rhs = draw(N, seed=6)
    before = matrix.clone(), rhs.clone()
    solve((matrix, rhs), solver)
    assert torch.equal(matrix, before[0])
    assert torch.equal(rhs, before[1])


def test_only_the_quantum_solver_reports_quantum_figures():
    matrix, rhs = with_spectrum([1.0, 0.5], 0), draw(2, seed=0)
    for solver in ANY_MATRIX:
        quantum = solve((matrix, rhs), solver).stats.quantum
        assert (quantum is not None) == (solver in QUANTUM)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"solver": "qr"},
            "'qr' is not known; known: lu_inverse, lu, cholesky, ldl, sparse_lu, woodbury, "
            "augmented_qr, eigenbasis, cg, sparse_cg, pcg_diagonal, pcg_nystrom, minres, lsmr, "
            "qsvt",
        ),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"max_products": 0}, "max_products is 0"),
        ({"solver": "qsvt", "epsilon": 2.0}, "epsilon is 2.0"),
        ({"solver": "qsvt", "mode": "dense"}, "'dense' is not known; known: auto, products"),
    ],
)
def test_bad_arguments_are_value_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve((torch.eye(2), torch.ones(2)), **arguments)


@pytest.mark.parametrize(
    ("matrix", "rhs", "message"),
    [
        (torch.eye(2), torch.ones(3), "right-hand side"),
        (torch.eye(2), torch.ones(2, 1), "right-hand side"),
        (torch.eye(2), torch.ones(2, dtype=torch.float64), "convert one of them"),
        (torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.ones(2), "not symmetric"),
        (torch.ones(2, 3), torch.ones(2), "square"),
    ],
)
def test_systems_that_make_no_sense_are_value_errors(matrix, rhs, message):
    with pytest.raises(ValueError, match=message):
        solve((matrix, rhs))


def test_options_default_to_what_solve_defaults_to():
    assert SolveOptions() == SolveOptions(tolerance=1e-6, max_products=1000, mode="auto")


@pytest.mark.parametrize("kind", ["cholesky", "lu", "lu_inverse"])
def test_factorize_once_solve_many(kind):
    matrix = with_spectrum(_geometric(30.0), seed=5, dtype=torch.float64)
    factors = factorize(matrix, kind)
    assert factors.outcome is Outcome.FACTORIZED
    for seed in range(3):
        rhs = draw(N, seed=seed)
        solution = factors.solve(rhs)
        assert solution.solved
        assert solution.direction is not None
        assert relative_residual(matrix, solution.direction, rhs) <= 1e-12


def test_a_failed_factorization_repeats_its_reason():
    factors = factorize(DenseOperator(-torch.eye(2)))
    assert factors.outcome is Outcome.NOT_DEFINITE
    for _ in range(2):
        solution = factors.solve(torch.ones(2))
        assert (solution.direction, solution.outcome) == (None, Outcome.NOT_DEFINITE)


def test_factorize_refuses_unknown_kinds_and_unfit_vectors():
    with pytest.raises(ValueError, match="'qr' is not known; known: lu_inverse, lu, cholesky"):
        factorize(torch.eye(2), "qr")
    with pytest.raises(ValueError, match=r"this factorization needs \[2\]"):
        factorize(torch.eye(2)).solve(torch.ones(3))
