"""Surveys, and the prices made of them, of matrices at both ends of the range of numbers."""

import math

import pytest
import torch

from qnewton.cost import (
    Scenario,
    audited_quote,
    classical_quotes,
    deflation_quote,
    load_hardware,
    nominal_calibration,
    paper_quote,
)
from qnewton.operators import DenseFactor, DenseOperator, LowRankOperator, MatrixFreeOperator
from qnewton.operators.scaling import scaled
from qnewton.survey import condition_number, row_sparsity, survey, survey_low_rank
from qnewton.survey.lowest import lowest_pair
from tests.cases import with_spectrum

N = 20
ENDS = {torch.float64: (-1000, -700, -512, 512, 700, 1000), torch.float32: (-90, -64, 64, 100)}
EVERY_END = [(dtype, end) for dtype, ends in ENDS.items() for end in ends]
SIGNS = pytest.mark.parametrize("indefinite", [False, True], ids=["definite", "indefinite"])
ENDED = pytest.mark.parametrize(("dtype", "end"), EVERY_END, ids=str)


def matrix(dtype, indefinite):
    values = torch.logspace(0.0, -1.0, N, dtype=torch.float64)
    values[3] *= -1.0 if indefinite else 1.0
    return with_spectrum(values, dtype=dtype)


def kappa(facts):
    assert facts.spectrum.condition is not None
    return facts.spectrum.condition.value


@ENDED
@SIGNS
def test_facts_of_a_matrix_near_the_end_of_its_range(dtype, end, indefinite):
    middle = matrix(dtype, indefinite)
    expected = survey(middle, bounds=("determinant", "trace"))
    facts = survey(scaled(middle, end), bounds=("determinant", "trace"))
    assert kappa(facts) == pytest.approx(kappa(expected), rel=1e-6)
    assert [b.method for b in facts.spectrum.bounds] == [b.method for b in expected.spectrum.bounds]
    for found, bound in zip(facts.spectrum.bounds, expected.spectrum.bounds, strict=True):
        assert found.log_value == pytest.approx(bound.log_value, rel=1e-6)
    for name in ("norm", "max_abs", "frobenius"):
        back = math.ldexp(getattr(facts.spectrum, name), -end)
        assert back == pytest.approx(getattr(expected.spectrum, name), rel=1e-6)
    assert facts.spectrum.definiteness == expected.spectrum.definiteness
    assert facts.spectrum.row_sparsity == expected.spectrum.row_sparsity


@ENDED
@SIGNS
@pytest.mark.parametrize("method", ["lanczos", "exact", "determinant"])
def test_the_condition_number_has_no_unit(method, dtype, end, indefinite):
    middle = matrix(dtype, indefinite)
    expected = condition_number(middle, method).value
    far = scaled(middle, end)
    free = MatrixFreeOperator(N, lambda v: far @ v, dtype=dtype)
    for operator in (far, free):
        assert condition_number(operator, method).value == pytest.approx(expected, rel=1e-5)


@ENDED
@SIGNS
def test_the_lowest_eigenpair_near_the_end_of_the_range(dtype, end, indefinite):
    middle = matrix(dtype, indefinite)
    expected = lowest_pair(DenseOperator(middle), seed=0)
    far = scaled(middle, end)
    for operator in (DenseOperator(far), MatrixFreeOperator(N, lambda v: far @ v, dtype=dtype)):
        found = lowest_pair(operator, seed=0)
        assert math.ldexp(found.value, -end) == pytest.approx(expected.value, rel=1e-4)
        assert math.ldexp(found.norm, -end) == pytest.approx(expected.norm, rel=1e-4)
        assert found.negative == expected.negative == indefinite


@ENDED
def test_prices_do_not_change_with_the_unit_of_the_loss(dtype, end):
    middle = matrix(dtype, indefinite=False)
    calibration, largest = nominal_calibration(), torch.logspace(0.0, -0.5, 5)

    def prices(exponent):
        facts = survey(scaled(middle, exponent), bounds=("determinant", "trace"))
        machine = load_hardware("attosecond")
        top = [math.ldexp(float(value), exponent) for value in largest]
        quotes = (
            *classical_quotes(calibration, facts, "float32"),
            paper_quote(facts, machine),
            audited_quote(calibration, facts, machine),
            deflation_quote(
                Scenario(facts=facts, calibration=calibration, hardware=machine), top, 9
            ),
        )
        return [quote.seconds for quote in quotes]

    far, near = prices(end), prices(0)
    assert [price is None for price in far] == [price is None for price in near]
    assert [p for p in far if p] == pytest.approx([p for p in near if p], rel=1e-6)


@ENDED
def test_a_low_rank_matrix_near_the_end_of_its_range(dtype, end):
    factor = torch.randn(N, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    factor = factor.to(dtype)
    expected = survey_low_rank(LowRankOperator(DenseFactor(factor), 0.5))
    far = LowRankOperator(DenseFactor(scaled(factor, end // 2)), math.ldexp(0.5, end))
    facts = survey_low_rank(far)
    assert kappa(facts) == pytest.approx(kappa(expected), rel=1e-5)
    for name in ("norm", "max_abs", "frobenius"):
        back = math.ldexp(getattr(facts.spectrum, name), -end)
        assert back == pytest.approx(getattr(expected.spectrum, name), rel=1e-5)


def test_a_norm_that_no_number_holds_is_not_known():
    facts = survey(torch.full((9, 9), 1.7e308, dtype=torch.float64), condition=None)
    assert (facts.spectrum.max_abs, facts.spectrum.frobenius) == (1.7e308, None)


def test_row_sparsity_of_rows_whose_sum_is_no_number():
    rows = torch.full((6, 6), 1.5e308, dtype=torch.float64)
    assert row_sparsity(rows, 0.5).tolist() == [3] * 6
    assert row_sparsity(scaled(rows, -2000), 0.5).tolist() == [3] * 6
