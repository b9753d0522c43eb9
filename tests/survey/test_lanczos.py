import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.operators import DenseOperator
from qnewton.operators.lanczos import Lanczos
from qnewton.operators.ritz import extreme_singular_values, ritz_ends, ritz_values
from qnewton.survey.iterative import spectrum_bounds
from tests.cases import with_spectrum


def run(matrix: torch.Tensor, products: int, seed: int = 0) -> Lanczos:
    process = Lanczos(DenseOperator(matrix), seed)
    while process.products < products and not process.exhausted:
        process.advance()
    return process


def tridiagonal(process: Lanczos) -> np.ndarray:
    """Return the (k+1) × k matrix [T_k; β_k e_kᵀ] entry by entry."""
    k = process.products
    matrix = np.zeros((k + 1, k))
    for i, (alpha, beta) in enumerate(zip(process.alphas, process.betas, strict=True)):
        matrix[i, i] = alpha
        matrix[i + 1, i] = beta
        if i + 1 < k:
            matrix[i, i + 1] = beta
    return matrix


@pytest.mark.parametrize("products", [1, 2, 5, 40])
def test_ritz_quantities_equal_the_dense_ones(products):
    eigenvalues = torch.linspace(-1, 3, 60, dtype=torch.float64) + 0.01
    process = run(with_spectrum(eigenvalues, 0), products)
    matrix = tridiagonal(process)
    k = process.products
    values, vectors = np.linalg.eigh(matrix[:k])
    np.testing.assert_allclose(ritz_values(process.tridiagonal()), values, atol=1e-13)
    ends = ritz_ends(process.tridiagonal())
    residuals = process.betas[-1] * np.abs(vectors[-1])
    assert ends.highest.value == pytest.approx(values[-1])
    assert ends.highest.residual == pytest.approx(residuals[-1], abs=1e-12)
    assert ends.nearest.reach == pytest.approx(np.hypot(values, residuals).min(), rel=1e-9)
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert extreme_singular_values(process.tridiagonal()) == pytest.approx(
        (singular[0], singular[-1]), rel=1e-9
    )


def test_full_run_finds_the_whole_spectrum_across_basis_blocks():
    eigenvalues = torch.linspace(-1, 3, 150, dtype=torch.float64)
    process = run(with_spectrum(eigenvalues, 1), 150)
    assert process.exhausted
    # Backward stable with full reorthogonalisation: a few ulp times √n.
    np.testing.assert_allclose(ritz_values(process.tridiagonal()), eigenvalues.numpy(), atol=1e-12)


def test_stops_at_an_invariant_subspace():
    eigenvalues = torch.tensor([1.0, 2.0, 5.0]).repeat_interleave(20)
    process = run(with_spectrum(eigenvalues, 2), 60)
    assert process.products == 3
    assert process.exhausted


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6), st.integers(2, 60), st.integers(1, 60), st.sampled_from([0.0, 0.5, 3.0])
)
def test_bounds_hold_after_any_number_of_products(seed, n, products, shift):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(n, n, generator=generator, dtype=torch.float64)
    matrix = matrix @ matrix.mT / n if shift else (matrix + matrix.mT) / 2
    matrix = matrix + shift * torch.eye(n, dtype=torch.float64)
    values = torch.linalg.eigvalsh(matrix)
    process = run(matrix, products, seed + 1)
    bounds = spectrum_bounds(process.tridiagonal())
    # Wrong once in a million by its theorem; the slack is the reference's own rounding.
    assert bounds.lowest <= float(values[0]) + 1e-12
    assert bounds.highest >= float(values[-1]) - 1e-12
    if bounds.smallest is not None:
        assert bounds.smallest <= float(values.abs().min()) + 1e-12
    largest, smallest = extreme_singular_values(process.tridiagonal())
    assert largest <= float(values.abs().max()) + 1e-12
    assert smallest >= float(values.abs().min()) - 1e-12


def test_products_err_by_less_than_the_rounding_allowance():
    exact = with_spectrum(torch.linspace(-1, 1, 800), 3)
    matrix = exact.float()
    process = run(matrix, 5)
    vector = torch.nn.functional.normalize(
        torch.randn(800, generator=torch.Generator().manual_seed(0)), dim=0
    )
    error = float((matrix @ vector - matrix.double() @ vector.double()).norm())
    assert error < process.tridiagonal().rounding / 2
