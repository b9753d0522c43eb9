"""The lowest eigenpair, of small entries and by Lanczos."""

import pytest
import torch

from qnewton.operators import DenseOperator, MatrixFreeOperator
from qnewton.survey.lowest import PRODUCTS, SMALL, lowest_pair
from tests.cases import with_spectrum


@pytest.mark.parametrize("n", [2, 30, SMALL])
@pytest.mark.parametrize("lowest", [-0.5, 1e-3])
def test_small_entries_are_decomposed_and_agree_with_products(n: int, lowest: float) -> None:
    values = torch.linspace(1.0, 3.0, n, dtype=torch.float64)
    values[0] = lowest
    entries = with_spectrum(values)
    whole = lowest_pair(DenseOperator(entries), seed=0)
    free = MatrixFreeOperator(n, lambda v: entries @ v, torch.float64, torch.device("cpu"))
    by_products = lowest_pair(free, seed=0)
    assert whole.products == 0
    assert 0 < by_products.products <= PRODUCTS
    assert whole.value == pytest.approx(lowest, abs=1e-12)
    assert whole.value <= by_products.value + 1e-12
    assert whole.negative == by_products.negative == (lowest < 0)
    assert whole.norm == pytest.approx(by_products.norm, rel=0.05)
    residual = entries @ whole.vector - lowest * whole.vector
    assert float(residual.norm()) < 1e-12
    if lowest < 0:
        assert abs(float(whole.vector @ by_products.vector)) == pytest.approx(1.0, abs=1e-6)


def test_rounding_is_no_negative_curvature() -> None:
    entries = torch.diag(torch.tensor([1e-9, 1.0, 2.0])) - 1e-8 * torch.eye(3)
    assert not lowest_pair(DenseOperator(entries), seed=0).negative
    assert lowest_pair(DenseOperator(entries.double()), seed=0).negative


def test_entries_that_are_not_finite_are_refused() -> None:
    entries = torch.eye(3)
    entries[1, 1] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        lowest_pair(DenseOperator(entries), seed=0)


def test_of_an_eigenspace_a_vector_off_its_axes_is_taken() -> None:
    entries = torch.diag(torch.tensor([2.0, -2.0, -2.0, 1.0]).double())
    vector = lowest_pair(DenseOperator(entries), seed=3).vector
    assert float(vector.norm()) == pytest.approx(1.0)
    assert all(abs(float(vector[k])) > 1e-3 for k in (1, 2))
    assert torch.equal(vector, lowest_pair(DenseOperator(entries), seed=3).vector)
