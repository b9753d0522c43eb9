import math

import pytest
import torch

from qnewton.operators import DenseOperator, MatrixFreeOperator
from qnewton.survey import condition_number, determinant, row_sparsity, survey
from qnewton.treatment import damp, prune
from tests.cases import definite


def test_entries_are_measured():
    matrix = definite(30, 0)
    matrix[3, 7] = matrix[7, 3] = 0.0
    facts = survey(matrix, condition=None, batch=12, rank=4)
    assert (facts.n, facts.batch, facts.rank) == (30, 12, 4)
    assert facts.spectrum.row_sparsity == 30
    assert facts.spectrum.max_abs == float(matrix.abs().max())
    assert facts.spectrum.frobenius == pytest.approx(float(matrix.double().norm()), rel=1e-12)
    assert (
        facts.spectrum.condition,
        facts.spectrum.norm,
        facts.spectrum.definiteness,
        facts.notes,
    ) == (None, None, None, ())


def test_pruned_matrix_has_the_sparsity_it_was_pruned_to():
    pruned = prune(damp(definite(30, 1), 1.0), max_per_row=6)
    assert survey(pruned, condition=None).spectrum.row_sparsity == 6


@pytest.mark.parametrize("method", ["lanczos", "exact"])
def test_norm_and_definiteness_come_with_the_condition_number(method):
    matrix = definite(40, 2)
    facts = survey(matrix, condition=method)
    assert facts.spectrum.condition == condition_number(matrix, method)
    assert facts.spectrum.norm == pytest.approx(
        float(torch.linalg.matrix_norm(matrix, 2)), rel=0.01
    )
    assert facts.spectrum.definiteness == "positive"
    assert (
        survey(matrix - 2 * torch.eye(40), condition=method).spectrum.definiteness == "indefinite"
    )


def test_definiteness_is_claimed_only_when_certified():
    semidefinite = torch.diag(torch.tensor([0.0, 1.0, 2.0]))
    for method in ("lanczos", "exact"):
        facts = survey(semidefinite, condition=method, bounds=("determinant", "trace"))
        assert facts.spectrum.definiteness is None
        assert any("zero to rounding" in note for note in facts.notes)
        assert any("trace: refused" in note for note in facts.notes)
        assert any("determinant: det A = 0" in note for note in facts.notes)


def test_bounds_share_one_factorization(monkeypatch):
    calls = []
    for name in ("cholesky_ex", "lu_factor_ex"):
        original = getattr(torch.linalg, name)
        counted = lambda *a, name=name, original=original: calls.append(name) or original(*a)  # noqa: E731
        monkeypatch.setattr(determinant.torch.linalg, name, counted)
    matrix = definite(20, 3)
    facts = survey(matrix, condition="determinant", bounds=("determinant", "trace"))
    assert calls == ["cholesky_ex"]
    assert facts.spectrum.definiteness == "positive"
    assert (
        facts.spectrum.condition
        == facts.spectrum.bound("determinant")
        == condition_number(matrix, "determinant")
    )
    assert facts.spectrum.bound("trace") == condition_number(matrix, "trace")
    calls.clear()
    # Lanczos has already seen a negative Ritz value: no Cholesky is tried.
    survey(matrix - torch.eye(20), bounds=("determinant", "trace"))
    assert calls == ["lu_factor_ex"]


def test_a_large_float32_matrix_is_factored_without_a_copy_before(monkeypatch):
    monkeypatch.setattr(determinant, "_FLOAT64_ROWS", 0)
    seen = []
    for name in ("cholesky_ex", "lu_factor_ex"):
        original = getattr(torch.linalg, name)

        def spied(a, original=original):
            seen.append(a.data_ptr())
            return original(a)

        monkeypatch.setattr(determinant.torch.linalg, name, spied)
    matrix = definite(20, 3)
    matrix.diagonal().sub_(1.0)
    before = matrix.clone()
    bound = condition_number(DenseOperator(matrix), "determinant")
    assert seen == [matrix.data_ptr()] * 2
    assert torch.equal(matrix, before)
    assert bound.value is not None


def test_a_refused_trace_bound_leaves_a_note():
    facts = survey(torch.diag(torch.tensor([1.0, -2.0])), condition="trace", bounds=("trace",))
    assert facts.spectrum.condition is None
    assert facts.spectrum.bounds == ()
    assert len(facts.notes) == 1
    assert "trace: refused" in facts.notes[0]


def test_matrix_free_operators_are_only_multiplied_unless_entries_are_needed():
    matrix = definite(25, 4)
    formed = []
    operator = MatrixFreeOperator(25, lambda v: matrix @ v)
    operator.dense = lambda: formed.append(1) or matrix
    facts = survey(operator)
    assert not formed
    assert facts.spectrum.condition is not None
    assert (facts.spectrum.row_sparsity, facts.spectrum.max_abs, facts.spectrum.frobenius) == (
        None,
        None,
        None,
    )
    assert "entries not formed" in facts.notes[0]
    facts = survey(operator, bounds=("determinant",))
    assert formed == [1]


def test_large_float32_matrix_gets_its_certificate_from_lanczos(monkeypatch):
    monkeypatch.setattr(determinant, "_FLOAT64_ROWS", 0)
    matrix = definite(60, 5)
    assert survey(matrix, condition=None, bounds=("trace",)).spectrum.definiteness is None
    facts = survey(matrix, bounds=("trace",))
    assert facts.spectrum.definiteness == "positive"
    bound = facts.spectrum.bound("trace")
    assert bound is not None
    assert bound.high is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"condition": "guess"}, "unknown condition method 'guess'"),
        ({"bounds": ("norm",)}, "unknown bound 'norm'"),
        ({"tolerance": 2.0}, r"outside \(0, 1\)"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        survey(torch.eye(2), **arguments)
    assert "\n" not in str(caught.value)


def test_matrices_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        survey(DenseOperator(torch.full((2, 2), math.nan)))


def test_row_sparsity_takes_operators_and_tensors():
    matrix = definite(10, 6)
    assert torch.equal(row_sparsity(matrix), row_sparsity(DenseOperator(matrix)))
    assert row_sparsity(matrix).dtype == torch.int64
    assert row_sparsity(torch.zeros(3, 3)).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="not finite"):
        row_sparsity(DenseOperator(torch.full((2, 2), math.inf)))


def test_row_sparsity_of_h_and_of_the_damped_matrix_differ():
    # The scheduler's d is that of H + λI: which matrix must be said.
    matrix = definite(60, 7)
    damped = damp(matrix, 1.0)
    assert int(row_sparsity(damped).max()) < int(row_sparsity(matrix).max())
