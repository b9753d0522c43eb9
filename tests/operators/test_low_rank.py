"""U Uᵀ + λI multiplies, damps, prunes and solves like its own entries."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseFactor, LinearSystem, LowRankOperator, StackedFactor, symmetric
from qnewton.operators import low_rank as low_rank_module
from qnewton.solvers import solve
from qnewton.survey import condition_number, survey
from qnewton.treatment import damp, prune
from tests.cases import draw

# Sums of at most a few hundred products of numbers near one.
assert_exact = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    k=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_a_stack_is_the_matrix_it_stacks(rows: list[int], k: int, seed: int) -> None:
    parts = [draw(n, k, seed=seed + i) for i, n in enumerate(rows)]
    whole, stack = torch.cat(parts), StackedFactor([DenseFactor(part) for part in parts])
    x, y = draw(sum(rows), 2, seed=seed), draw(k, 2, seed=seed)
    assert stack.shape == whole.shape
    assert torch.equal(stack.dense(), whole)
    assert_exact(stack @ y, whole @ y)
    assert_exact(stack @ y[:, 0], whole @ y[:, 0])
    assert_exact(stack.project(x), whole.mT @ x)
    assert_exact(stack.gram(), whole.mT @ whole)
    assert_exact(stack.row_squares(), whole.square().sum(1))


@pytest.mark.parametrize(("n", "k"), [(7, 3), (3, 7), (5, 0), (1, 1)])
def test_entries_and_products_agree(n: int, k: int) -> None:
    factor = draw(n, k)
    operator = LowRankOperator(DenseFactor(factor), shift=0.25)
    expected = factor @ factor.mT + 0.25 * torch.eye(n, dtype=torch.float64)
    vectors = draw(n, 2, seed=5)
    assert_exact(operator.dense(), expected)
    assert_exact(operator @ vectors, expected @ vectors)
    assert_exact(operator @ vectors[:, 0], expected @ vectors[:, 0])
    assert operator.rank == min(n, k)
    assert operator.shape == (n, n)
    assert operator.largest() == pytest.approx(float(expected.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entries_are_bitwise_symmetric_over_panels_and_pieces(monkeypatch, dtype) -> None:
    monkeypatch.setattr(symmetric, "_MOST_ROWS", 4)
    monkeypatch.setattr(low_rank_module, "_COLUMN_ENTRIES", 40)
    factor = draw(13, 11, dtype=dtype)
    matrix = LowRankOperator(DenseFactor(factor)).dense()
    assert torch.equal(matrix, matrix.mT)
    torch.testing.assert_close(matrix, factor @ factor.mT)


def test_damping_adds_to_the_shift_and_forms_nothing(monkeypatch) -> None:
    operator = LowRankOperator(DenseFactor(draw(6, 2)))
    entries = operator.dense()
    monkeypatch.setattr(LowRankOperator, "dense", lambda self: pytest.fail("formed N² entries"))
    damped = damp(damp(operator, 0.5), 0.25)
    assert isinstance(damped, LowRankOperator)
    assert (damped.shift, damped.treatment.damping) == (0.75, 0.75)
    relative = damp(operator, 0.1, relative=True)
    assert isinstance(relative, LowRankOperator)
    assert relative.shift == pytest.approx(0.1 * float(entries.abs().max()))
    assert relative.treatment.relative_damping == 0.1
    assert operator.shift == 0.0


def test_relative_damping_refuses_a_factor_that_is_not_finite() -> None:
    factor = draw(4, 2)
    factor[1, 1] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        damp(LowRankOperator(DenseFactor(factor)), 0.1, relative=True)


def test_pruning_forms_the_entries() -> None:
    operator = damp(LowRankOperator(DenseFactor(draw(8, 3))), 1.0)
    pruned = prune(operator, max_per_row=3)
    torch.testing.assert_close(pruned.dense(), prune(operator.dense(), max_per_row=3).dense())
    assert pruned.treatment.damping == 1.0
    assert pruned.treatment.max_per_row == 3


@pytest.mark.parametrize("solver", ["lu_inverse", "lu", "cholesky", "cg", "qsvt"])
def test_every_solver_takes_it(solver: str) -> None:
    operator = damp(LowRankOperator(DenseFactor(draw(9, 3))), 0.5)
    rhs = draw(9, 1, seed=3)[:, 0]
    solution = solve(LinearSystem(operator, rhs), solver, tolerance=1e-8)
    assert solution.outcome == "solved"
    expected = torch.linalg.solve(operator.dense(), rhs)
    assert (solution.direction - expected).norm() <= 1e-6 * expected.norm()


def test_conjugate_gradients_and_lanczos_form_nothing(monkeypatch) -> None:
    operator = damp(LowRankOperator(DenseFactor(draw(9, 3))), 0.5)
    exact = condition_number(operator, "exact").value
    monkeypatch.setattr(LowRankOperator, "dense", lambda self: pytest.fail("formed N² entries"))
    assert solve(LinearSystem(operator, torch.ones(9, dtype=torch.float64)), "cg").solved
    condition = survey(operator, rank=3).spectrum.condition
    assert condition is not None
    assert condition.value == pytest.approx(exact, rel=0.01)


def test_the_gram_matrix_solves_in_k_dimensions() -> None:
    """Woodbury: (λI + U Uᵀ)⁻¹v = (v - U (λI + UᵀU)⁻¹ Uᵀv)/λ."""
    damped = damp(LowRankOperator(DenseFactor(draw(40, 5))), 0.3)
    assert isinstance(damped, LowRankOperator)
    v, factor, shift = draw(40, 1, seed=9)[:, 0], damped.factor, damped.shift
    small = factor.gram() + shift * torch.eye(5, dtype=torch.float64)
    found = (v - factor @ torch.linalg.solve(small, factor.project(v))) / shift
    assert_exact(damped @ found, v)


def test_what_is_no_factor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[N, k\], found \(3,\)"):
        DenseFactor(torch.ones(3))
    with pytest.raises(ValueError, match="float32 or float64 entries"):
        DenseFactor(torch.ones(3, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"number of columns, found \[1, 2\]"):
        StackedFactor([DenseFactor(torch.ones(3, 1)), DenseFactor(torch.ones(3, 2))])
    with pytest.raises(ValueError, match="shift is -1"):
        LowRankOperator(DenseFactor(torch.ones(3, 1)), shift=-1.0)
    with pytest.raises(ValueError, match="cannot multiply"):
        _ = LowRankOperator(DenseFactor(torch.ones(3, 1))) @ torch.ones(2)
