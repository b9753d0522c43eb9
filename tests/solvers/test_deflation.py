"""The largest eigenpairs are solved classically and the rest by the emulator, as A·x = b asks."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import (
    DeflatedOperator,
    DenseFactor,
    DenseOperator,
    LinearSystem,
    LowRankOperator,
    MatrixFreeOperator,
    SparseOperator,
    SymmetricOperator,
)
from qnewton.solvers import solve
from qnewton.solvers.quantum import Readout
from qnewton.survey.largest import largest_eigenpairs
from tests.cases import draw, with_spectrum

OUTLIERS = (400.0, -300.0, 250.0, *(1.0 + i / 20 for i in range(20)))


def _exact(matrix: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    return torch.linalg.solve(matrix.double(), rhs.double())


def _error(matrix: torch.Tensor, rhs: torch.Tensor, found: torch.Tensor | None) -> float:
    assert found is not None
    exact = _exact(matrix, rhs)
    return float((found.double() - exact).norm() / exact.norm())


@given(
    sizes=st.lists(st.floats(0.5, 2e3), min_size=2, max_size=14),
    signs=st.integers(0, 2**14 - 1),
    share=st.floats(0.0, 1.0),
    epsilon=st.sampled_from([1e-2, 1e-4, 1e-8]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_the_direction_is_within_epsilon_whatever_the_signs_and_the_number_taken_out(
    sizes: list[float], signs: int, share: float, epsilon: float, seed: int
):
    spectrum = [size * (-1 if signs >> i & 1 else 1) for i, size in enumerate(sizes)]
    n = len(spectrum)
    matrix, rhs = with_spectrum(spectrum, seed=seed, dtype=torch.float64), draw(n, seed=seed + 7)
    count = round(share * (n - 1))
    asked: Any = {"epsilon": epsilon, "deflate": count}
    solution = solve((matrix, rhs.double()), "deflated_qsvt", tolerance=epsilon, **asked)
    assert solution.solved
    assert _error(matrix, rhs, solution.direction) <= epsilon
    deflation, quantum = solution.stats.deflation, solution.stats.quantum
    assert deflation is not None
    assert quantum is not None
    assert deflation.eigenpairs == count
    largest = sorted((abs(value) for value in spectrum), reverse=True)
    # The condition number that is left; an eigenvalue that is not quite found costs a little.
    assert quantum.kappa <= 1.03 * largest[count] / largest[-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("held", ["dense", "sparse", "free", "low-rank"])
def test_every_way_to_hold_a_matrix_gives_the_same_direction(held: str, dtype: torch.dtype):
    n = 40
    factor = draw(n, 3, seed=2).to(dtype) * 8
    matrix = factor @ factor.mT + torch.eye(n, dtype=dtype)
    rhs = draw(n, seed=3).to(dtype)
    operators: dict[str, SymmetricOperator] = {
        "dense": DenseOperator((matrix + matrix.mT) / 2),
        "sparse": SparseOperator((matrix + matrix.mT) / 2),
        "free": MatrixFreeOperator(n, lambda v: matrix @ v, dtype),
        "low-rank": LowRankOperator(DenseFactor(factor), shift=1.0),
    }
    system = LinearSystem(operators[held], rhs)
    solution = solve(system, "deflated_qsvt", tolerance=1e-4, epsilon=1e-4, deflate=3)
    assert solution.solved
    assert solution.direction is not None
    assert solution.direction.dtype == dtype
    assert _error(matrix, rhs, solution.direction) < 3e-4
    quantum = solution.stats.quantum
    assert quantum is not None
    assert quantum.kappa < 1.05  # what is left is the identity


@pytest.mark.parametrize("copies", [2, 5, 8])
def test_all_copies_of_an_eigenvalue_are_taken_out(copies: int):
    spectrum = (*[50.0] * copies, *(1.0 + i / 40 for i in range(40)))
    matrix, rhs = with_spectrum(spectrum, 1, torch.float64), draw(len(spectrum), seed=1).double()
    solution = solve((matrix, rhs), "deflated_qsvt", deflate=copies)
    assert solution.solved
    assert solution.stats.quantum is not None
    assert solution.stats.quantum.kappa < 2.1
    pairs = largest_eigenpairs(DenseOperator(matrix), copies)
    assert pairs.values == pytest.approx([50.0] * copies)
    torch.testing.assert_close(matrix @ pairs.vectors, 50.0 * pairs.vectors, atol=1e-6, rtol=1e-6)


def test_a_cluster_that_is_cut_is_solved_all_the_same():
    spectrum = (*(50.0 + i / 1000 for i in range(6)), *(1.0 + i / 30 for i in range(30)))
    matrix, rhs = with_spectrum(spectrum, 5, torch.float64), draw(36, seed=5).double()
    solution = solve((matrix, rhs), "deflated_qsvt", epsilon=1e-5, tolerance=1e-5, deflate=3)
    assert solution.solved
    assert _error(matrix, rhs, solution.direction) <= 1e-5


def test_nothing_taken_out_is_the_quantum_solver_itself():
    matrix, rhs = with_spectrum(OUTLIERS, 0, torch.float64), draw(23, seed=0).double()
    known: Any = {"epsilon": 1e-3, "tolerance": 1e-3, "alpha": 404.0, "kappa": 410.0}
    whole = solve((matrix, rhs), "qsvt", **known)
    none = solve((matrix, rhs), "deflated_qsvt", deflate=0, **known)
    assert none.stats.quantum is not None
    assert whole.stats.quantum is not None
    assert none.stats.quantum.queries == pytest.approx(whole.stats.quantum.queries, rel=0.03)
    taken = solve((matrix, rhs), "deflated_qsvt", deflate=3, **known)
    assert taken.stats.quantum is not None
    assert taken.stats.quantum.queries < whole.stats.quantum.queries / 50
    assert taken.stats.products > 0


def test_a_right_hand_side_inside_the_deflated_space_leaves_nothing_to_a_quantum_machine():
    matrix = torch.diag(torch.tensor([90.0, -80.0, 2.0, 1.0, 1.0]).double())
    rhs = torch.tensor([3.0, 4.0, 0.0, 0.0, 0.0]).double()
    solution = solve((matrix, rhs), "deflated_qsvt", deflate=2)
    assert solution.solved
    assert _error(matrix, rhs, solution.direction) < 1e-6
    deflation = solution.stats.deflation
    assert deflation is not None
    assert deflation.share == pytest.approx(1.0)


def test_the_same_where_the_eigenvectors_are_exact():
    matrix = torch.diag(torch.tensor([90.0, 1.0]).double())
    solution = solve((matrix, torch.tensor([9.0, 0.0]).double()), "deflated_qsvt", deflate=1)
    assert solution.solved
    assert solution.stats.quantum is None
    assert solution.direction is not None
    assert solution.direction.tolist() == pytest.approx([0.1, 0.0])


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_scales_of_a_and_b_change_nothing_else(scale: float):
    matrix, rhs = with_spectrum(OUTLIERS, 0, torch.float64), draw(23, seed=0).double()
    usual = solve((matrix, rhs), "deflated_qsvt", deflate=3)
    moved = solve((matrix * scale, rhs / scale), "deflated_qsvt", deflate=3)
    assert moved.solved
    assert moved.direction is not None
    assert usual.direction is not None
    torch.testing.assert_close(moved.direction * scale * scale, usual.direction)


def test_a_read_out_with_shots_reads_the_rest_alone():
    matrix, rhs = with_spectrum(OUTLIERS, 0, torch.float64), draw(23, seed=0).double()
    readout = Readout(tolerance=0.05, seed=1)
    solution = solve((matrix, rhs), "deflated_qsvt", epsilon=1e-3, deflate=3, readout=readout)
    assert solution.solved
    assert solution.stats.quantum is not None
    assert solution.stats.quantum.shots == readout.shots_for(23)
    assert _error(matrix, rhs, solution.direction) < 0.1


@pytest.mark.parametrize("count", [-1, 23])
def test_a_number_of_pairs_out_of_range_is_refused(count: int):
    matrix, rhs = with_spectrum(OUTLIERS, 0, torch.float64), draw(23, seed=0).double()
    with pytest.raises(ValueError, match=r"deflate .* must lie between 0 and 22"):
        solve((matrix, rhs), "deflated_qsvt", deflate=count)


@given(seed=st.integers(0, 999), count=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_the_deflated_matrix_gives_the_solution_for_any_orthonormal_columns(seed: int, count: int):
    n = 9
    matrix = with_spectrum([1.0 + i for i in range(n)], seed, torch.float64)
    rhs = draw(n, seed=seed).double()
    vectors = torch.linalg.qr(draw(n, n, seed=seed + 1).double())[0][:, :count]
    rest = DeflatedOperator(DenseOperator(matrix), vectors, moved_to=3.0)
    entries = rest.dense()
    torch.testing.assert_close(rest @ torch.eye(n).double(), entries)
    torch.testing.assert_close(rest @ rhs, entries @ rhs)
    along = torch.linalg.solve(rest.middle, vectors.mT @ rhs)
    x = torch.linalg.solve(entries, rest.project(rhs - rest.images @ along))
    inside = torch.linalg.solve(rest.middle, vectors.mT @ rhs - rest.images.mT @ x)
    torch.testing.assert_close(x + vectors @ inside, _exact(matrix, rhs))


def test_a_matrix_above_the_limit_of_eigenvalues_is_emulated_by_its_products():
    n = 2100
    diagonal = torch.cat([torch.tensor([500.0, 400.0]), torch.linspace(1.0, 3.0, n - 2)]).double()
    free = MatrixFreeOperator(n, lambda v: diagonal * v, torch.float64)
    rhs = draw(n, seed=0).double()
    asked: Any = {"alpha": 500.0, "kappa": 500.0, "epsilon": 1e-3, "deflate": 2}
    solution = solve(LinearSystem(free, rhs), "deflated_qsvt", tolerance=1e-3, **asked)
    assert solution.solved
    assert solution.direction is not None
    exact = rhs / diagonal
    assert float((solution.direction - exact).norm() / exact.norm()) <= 1e-3
    assert solution.stats.quantum is not None
    assert solution.stats.quantum.kappa == pytest.approx(3.0, rel=0.05)
    assert math.isfinite(solution.stats.seconds or math.nan)
