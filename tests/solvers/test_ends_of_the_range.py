"""Right-hand sides and matrices at both ends of the range of numbers, for every solver there is."""

import math
from dataclasses import replace

import pytest
import torch

from qnewton.operators import (
    DenseFactor,
    DenseOperator,
    EigenbasisOperator,
    LinearSystem,
    LowRankOperator,
    MatrixFreeOperator,
    SparseOperator,
)
from qnewton.operators.base import dtype_name
from qnewton.operators.scaling import scaled
from qnewton.records import Treatment
from qnewton.solvers import RUNNERS, factorize, solve
from qnewton.solvers.classical import relative_residual, solve_absolute
from qnewton.solvers.quantum import Clock, Readout, SystemRefused, emulate, measure, scaled_along
from tests.cases import ANY_MATRIX, OF_FACTORS, draw, orthogonal, with_spectrum

N = 12
# Powers of two around the places where squares, and where products of three, leave the range;
# the outermost keep every entry of the matrix a normal number.
ENDS = {
    torch.float64: (-1000, -700, -512, -340, 0, 340, 512, 700, 1000),
    torch.float32: (-90, -64, -42, 0, 42, 64, 100, 120),
}


def direction(solution):
    assert solution.direction is not None
    return solution.direction


def system(solver, dtype, up=0, down=0):
    """Return the system of the solver's kind, A times 2^up and b times 2^down."""
    values = torch.logspace(0.0, -1.4, N, dtype=torch.float64)
    matrix = with_spectrum(values, seed=1, dtype=dtype)
    rhs = scaled(draw(N, seed=2, dtype=dtype), down)
    if solver in OF_FACTORS:
        factor = torch.linalg.cholesky(matrix.double()).to(dtype)
        far = LowRankOperator(DenseFactor(scaled(factor, up // 2)), math.ldexp(0.25, up))
        target = draw(N, seed=2, dtype=dtype)
        near = factor @ target
        if solver != "lsmr":
            return LinearSystem(far, scaled(near, down))
        return LinearSystem(far, scaled(near, down), target=scaled(target, down - up // 2))
    if solver == "eigenbasis":
        left, right = (orthogonal(order).to(dtype) for order in (4, N // 4))
        far = scaled(values.to(dtype).view(4, -1), up)
        return LinearSystem(EigenbasisOperator(far, left, right), rhs)
    treatment = Treatment(damping=math.ldexp(0.03, up))  # what pcg_nystrom takes out
    return LinearSystem(DenseOperator(scaled(matrix, up), treatment), rhs)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ENDS, ids=str)
@pytest.mark.parametrize("solver", RUNNERS)
def test_every_solver_gives_the_same_digits_at_both_ends_of_the_range(solver, dtype):
    middle = solve(system(solver, dtype), solver)
    assert middle.solved
    limits = torch.finfo(dtype)
    for up in ENDS[dtype]:
        for down in ENDS[dtype]:
            asked = system(solver, dtype, up, down)
            if asked.target is not None and not limits.tiny < float(asked.target.norm()) < math.inf:
                continue  # LSMR begins from what no number of the dtype is
            found = solve(asked, solver)
            expected = scaled(direction(middle), down - up)
            size = float(expected.abs().max())
            if not math.isfinite(size):
                assert not found.solved
                assert found.describe() == f"x overflows {str(dtype).removeprefix('torch.')}"
                assert found.direction is None
            elif size < limits.tiny * limits.eps:
                assert not found.solved
                assert found.describe() == f"x underflows {str(dtype).removeprefix('torch.')}"
            elif size >= limits.tiny:
                assert found.solved, (up, down, found.describe())
                normal = expected.abs() >= limits.tiny
                assert torch.equal(direction(found)[normal], expected[normal]), (up, down)
                assert found.stats.residual is not None
                assert found.stats.residual <= 3e-4


@pytest.mark.parametrize("dtype", ENDS, ids=str)
@pytest.mark.parametrize("solver", ["cg", "sparse_cg", "minres", "qsvt"])
def test_operators_known_by_products_and_by_their_nonzero_entries(solver, dtype):
    middle = system(solver, dtype)
    truth = solve(middle, "lu").direction
    for up in ENDS[dtype]:
        entries = scaled(middle.operator.dense(), up)
        free = MatrixFreeOperator(N, lambda v, entries=entries: entries @ v, dtype=dtype)
        for operator in (free, SparseOperator(entries)):
            found = solve((operator, scaled(middle.rhs, up)), solver)
            assert found.solved, (up, found.describe())
            torch.testing.assert_close(found.direction, truth, rtol=1e-3, atol=1e-4)
            assert relative_residual(operator, direction(found), scaled(middle.rhs, up)) <= 3e-4


@pytest.mark.parametrize("solver", ["sparse_lu", "ldl", "lu", "cholesky", "lu_inverse"])
@pytest.mark.parametrize("dtype", ENDS, ids=str)
def test_one_factorization_serves_right_hand_sides_of_any_size(solver, dtype):
    middle = system(solver, dtype)
    expected = direction(solve(middle, solver))
    for up in (ENDS[dtype][0], ENDS[dtype][-1]):
        factors = factorize(scaled(middle.operator.dense(), up), solver)
        for down in ENDS[dtype]:
            found = factors.solve(scaled(middle.rhs, down))
            if torch.isfinite(scaled(expected, down - up)).all() and abs(down - up) < 120:
                assert torch.equal(direction(found), scaled(expected, down - up))


@pytest.mark.parametrize("dtype", ENDS, ids=str)
@pytest.mark.parametrize("solver", ["cg", "minres", "pcg_diagonal", "sparse_cg"])
def test_a_first_guess_keeps_its_worth_at_both_ends(solver, dtype):
    middle = system(solver, dtype)
    near = direction(solve(middle, solver, tolerance=1e-2))
    helped = solve(middle, solver, start=near)
    for up in ENDS[dtype]:
        for down in (0, up):
            start = scaled(near, down - up)
            if not torch.isfinite(start).all() or float(start.abs().max()) < 1e-30:
                continue
            far = system(solver, dtype, up, down)
            found = solve(far, solver, start=start)
            assert found.solved
            assert torch.equal(direction(found), scaled(direction(helped), down - up))
            assert found.stats.products <= helped.stats.products + 1


@pytest.mark.parametrize("solver", ["cg", "minres"])
def test_a_first_guess_from_another_world_is_no_guess(solver):
    far = system(solver, torch.float64, -700, -700)
    start = torch.full((N,), 1e300, dtype=torch.float64)
    found = solve(far, solver, start=scaled(start, 20))
    middle = solve(system(solver, torch.float64), solver)
    torch.testing.assert_close(found.direction, middle.direction, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("solver", ["cholesky", "ldl", "lu", "lu_inverse", "sparse_lu"])
def test_rows_from_both_ends_are_solved_as_they_are(solver):
    diagonal = torch.tensor([1e-200, 1.0, 1e200], dtype=torch.float64)
    rhs = torch.tensor([3e-200, 2.0, 5e200], dtype=torch.float64)
    found = solve((torch.diag(diagonal), rhs), solver)
    assert found.solved
    torch.testing.assert_close(found.direction, torch.tensor([3.0, 2.0, 5.0]).double())


@pytest.mark.parametrize("solver", ANY_MATRIX)
@pytest.mark.parametrize("value", [5e-324, 1e-310, 1e-300, 1e300])
def test_one_unknown_beside_zeros_and_below_the_normal_numbers(solver, value):
    matrix = torch.eye(3, dtype=torch.float64) * 2.0
    rhs = torch.tensor([0.0, value, 0.0], dtype=torch.float64)
    found = solve((matrix, rhs), solver)
    if value < 1e-323:
        assert found.solved or found.describe() == "x underflows float64"
        return
    assert found.solved
    # What should be zero is so to the rounding of the whole.
    allowed = max(1e-316, 1e-15 * value)
    torch.testing.assert_close(found.direction, rhs / 2, rtol=1e-6, atol=allowed)


@pytest.mark.parametrize("solver", ANY_MATRIX)
def test_nobody_claims_to_have_solved_what_is_singular_at_the_ends(solver):
    values = torch.tensor([0.0, 0.0, *(1.0 + i / N for i in range(N - 2))])
    for up in (-800, 800):
        matrix = scaled(with_spectrum(values, seed=3, dtype=torch.float64), up)
        found = solve((matrix, scaled(draw(N, seed=4), up)), solver)
        assert not found.solved


@pytest.mark.parametrize("dtype", ENDS, ids=str)
def test_the_absolute_hessian_at_both_ends(dtype):
    values = torch.linspace(-1.0, 2.0, N, dtype=torch.float64)
    matrix, rhs = with_spectrum(values, seed=5, dtype=dtype), draw(N, seed=6, dtype=dtype)
    treatment = Treatment(damping=0.01)
    middle = solve_absolute(DenseOperator(matrix, treatment), rhs)
    for up in ENDS[dtype]:
        far = DenseOperator(scaled(matrix, up), replace(treatment, damping=math.ldexp(0.01, up)))
        found = solve_absolute(far, scaled(rhs, up))
        assert found.solved
        torch.testing.assert_close(found.direction, middle.direction, rtol=1e-4, atol=1e-5)
    small, large = ENDS[dtype][0], ENDS[dtype][-1]
    name = dtype_name(dtype)
    too_long = solve_absolute(DenseOperator(scaled(matrix, small)), scaled(rhs, large))
    assert too_long.describe() == f"x overflows {name}"
    too_short = solve_absolute(DenseOperator(scaled(matrix, large)), scaled(rhs, small))
    assert too_short.describe() == f"x underflows {name}"


@pytest.mark.parametrize("dtype", ENDS, ids=str)
@pytest.mark.parametrize("mode", ["products", "eigen", "krylov"])
@pytest.mark.parametrize("algorithm", ["qsvt", "dalzell", "hhl"])
def test_every_emulated_algorithm_at_both_ends(algorithm, mode, dtype):
    values = torch.linspace(0.3, 1.0, N, dtype=torch.float64)
    values[3] *= -1.0
    matrix, rhs = with_spectrum(values, seed=7, dtype=dtype), draw(N, seed=8, dtype=dtype)
    clock = Clock(qubits=4) if algorithm == "hhl" else None
    asked = {"algorithm": algorithm, "mode": mode, "epsilon": 1e-3, "clock": clock}
    for readout in (None, Readout(shots=10**5)):
        middle = emulate(matrix, rhs, readout=readout, **asked)
        for up in (ENDS[dtype][0], ENDS[dtype][2], ENDS[dtype][-1]):
            found = emulate(scaled(matrix, up), scaled(rhs, up), readout=readout, **asked)
            torch.testing.assert_close(found.direction, middle.direction)
            assert found.queries == middle.queries
            assert found.alpha == pytest.approx(math.ldexp(middle.alpha, up))
            assert found.success_probability == pytest.approx(middle.success_probability)


def test_what_an_emulation_is_given_is_in_the_matrix_s_own_units():
    matrix, rhs = with_spectrum(torch.linspace(0.4, 1.0, N), 9), draw(N, seed=10)
    far, b = scaled(matrix, 700), scaled(rhs, -300)
    length = float(torch.linalg.solve(matrix, rhs).norm())
    middle = emulate(matrix, rhs, "dalzell", alpha=1.5, kappa=5.0, norm=length)
    found = emulate(far, b, "dalzell", alpha=1.5 * 2.0**700, kappa=5.0, norm=length * 2.0**-1000)
    torch.testing.assert_close(scaled(found.direction, 1000), middle.direction)
    assert found.queries == middle.queries
    clock = Clock(qubits=5, time=2.0, rotation=0.2)
    far_clock = Clock(qubits=5, time=math.ldexp(2.0, -700), rotation=math.ldexp(0.2, 700))
    middle = emulate(matrix, rhs, "hhl", clock=clock)
    found = emulate(far, scaled(rhs, 700), "hhl", clock=far_clock)
    torch.testing.assert_close(found.direction, middle.direction)
    with pytest.raises(SystemRefused, match=r"below ‖A‖₂.*numbers of A in units of 2\*\*"):
        emulate(far, b, alpha=0.5 * 2.0**600 * 2.0**100, kappa=5.0)


def test_an_emulated_solution_that_its_dtype_cannot_hold_is_refused():
    matrix, rhs = torch.eye(N, dtype=torch.float32), draw(N, seed=0, dtype=torch.float32)
    for up, down, word in ((-90, 100, "overflows"), (100, -90, "underflows")):
        with pytest.raises(SystemRefused, match="the solution") as refusal:
            emulate(scaled(matrix, up), scaled(rhs, down))
        assert refusal.value.outcome.describe(refusal.value.detail) == f"x {word} float32"


@pytest.mark.parametrize("up", [-900, -512, 0, 512, 900])
def test_step_length_and_read_out_of_vectors_of_any_size(up):
    matrix, rhs = with_spectrum(torch.linspace(0.5, 1.0, N), 1), draw(N, seed=2)
    along = draw(N, seed=3)
    middle = scaled_along(DenseOperator(matrix), along, rhs)
    for length in (-800, 0, 800):
        far = DenseOperator(scaled(matrix, up))
        found = scaled_along(far, scaled(along, length), scaled(rhs, up))
        assert torch.equal(found, middle)
    readout = Readout(shots=1000)
    state = rhs / rhs.norm()
    assert torch.equal(measure(scaled(state, up), readout).vector, measure(state, readout).vector)


def test_a_large_matrix_free_system_is_brought_into_range_by_one_product(monkeypatch):
    monkeypatch.setattr("qnewton.solvers.quantum.promise.EXACT_LIMIT", 4)
    values = torch.linspace(0.5, 1.0, N, dtype=torch.float64)
    matrix, rhs = with_spectrum(values, 1), draw(N, seed=2)
    expected = torch.linalg.solve(matrix, rhs)
    for up in (-900, 0, 900):
        far = scaled(matrix, up)
        free = MatrixFreeOperator(N, lambda v, far=far: far @ v, dtype=torch.float64)
        for alpha in (None, math.ldexp(1.1, up)):
            found = emulate(free, scaled(rhs, up), alpha=alpha)
            torch.testing.assert_close(found.direction, expected, rtol=1e-5, atol=1e-5)
