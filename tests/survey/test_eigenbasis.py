"""Matrices held by eigenvalues and Kronecker eigenvectors, beside their entries."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import EigenbasisOperator
from qnewton.records import Treatment
from qnewton.solvers import solve
from qnewton.survey import survey, survey_eigenbasis
from tests.cases import draw, orthogonal

DAMPING = 0.2


def operator(rows: int, columns: int, left: bool, right: bool, seed: int = 0) -> EigenbasisOperator:
    values = draw(rows, columns, seed=seed).abs() + DAMPING
    bases = (orthogonal(rows, seed) if left else None, orthogonal(columns, seed) if right else None)
    return EigenbasisOperator(values, *bases, treatment=Treatment(damping=DAMPING))


@pytest.mark.parametrize(("left", "right"), [*itertools.product((True, False), repeat=2)])
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=10)
def test_products_solves_and_facts_are_those_of_the_entries(
    left: bool, right: bool, rows: int, columns: int, seed: int
) -> None:
    found = operator(rows, columns, left, right, seed)
    eye = torch.eye(found.n).double()
    q = [eye[:n, :n] if b is None else b for n, b in ((rows, found.left), (columns, found.right))]
    basis = torch.kron(*(b.contiguous() for b in q))
    matrix = (basis * found.values.flatten()) @ basis.mT
    torch.testing.assert_close(found.dense(), matrix)
    assert torch.equal(found.dense(), found.dense().mT)
    several = draw(found.n, 3, seed=seed)
    torch.testing.assert_close(found @ several, matrix @ several)
    torch.testing.assert_close(found @ several[:, 0], matrix @ several[:, 0])
    torch.testing.assert_close(matrix @ found.solved(several), several)
    facts, formed = survey_eigenbasis(found), survey(matrix, bounds=("determinant", "trace"))
    assert (facts.n, facts.semidefinite) == (found.n, True)
    assert facts.spectrum.definiteness == formed.spectrum.definiteness == "positive"
    for name in ("norm", "frobenius", "max_abs"):
        measured, known = getattr(formed.spectrum, name), getattr(facts.spectrum, name)
        assert known == pytest.approx(measured), name
    estimates = ((s.condition, s.bound("trace")) for s in (facts.spectrum, formed.spectrum))
    for mine, theirs in zip(*estimates, strict=True):
        assert mine is not None
        assert theirs is not None
        assert mine.value == pytest.approx(theirs.value)
    determinants = (s.bound("determinant") for s in (facts.spectrum, formed.spectrum))
    mine, theirs = (bound and bound.log_value for bound in determinants)
    assert mine == pytest.approx(theirs, abs=1e-6)
    most = int((matrix.abs() > 1e-12).sum(1).max())
    assert facts.spectrum.row_sparsity is not None
    assert facts.spectrum.row_sparsity >= most
    undamped = torch.linalg.eigvalsh(matrix) - DAMPING
    dimension = float((undamped / (undamped + DAMPING)).sum())
    assert facts.spectrum.effective_dimension == pytest.approx(dimension, abs=1e-9)


def test_only_what_eigenvectors_mix_is_dense() -> None:
    sizes = [
        survey_eigenbasis(operator(3, 5, left, right)).spectrum.row_sparsity
        for left, right in ((False, False), (True, False), (False, True), (True, True))
    ]
    assert sizes == [1, 3, 5, 15]


@pytest.mark.parametrize("solver", ["eigenbasis", "cholesky", "cg", "qsvt"])
def test_every_solver_takes_it(solver: str) -> None:
    found = operator(3, 4, True, True)
    rhs = draw(12, seed=5)
    solution = solve((found, rhs), solver)
    assert solution.solved
    torch.testing.assert_close(solution.direction, found.solved(rhs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_eigenvalues_that_are_none_of_a_definite_matrix_are_refused(value: float) -> None:
    with pytest.raises(FloatingPointError, match="the eigenvalues lie between"):
        survey_eigenbasis(EigenbasisOperator(torch.tensor([[1.0, value]])))


def test_a_large_matrix_in_units_of_its_own_has_facts_that_no_square_overflows() -> None:
    values = torch.full((2, 3), 1e300, dtype=torch.float64)
    found = survey_eigenbasis(EigenbasisOperator(values)).spectrum
    assert found.frobenius == pytest.approx(6**0.5 * 1e300)


def test_eigenvectors_of_another_size_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"shape \[3, 3\] do not fit eigenvalues of shape \[2, 4\]"
    ):
        EigenbasisOperator(torch.ones(2, 4), left=torch.eye(3))
