"""The literal procedure of one benchmark and the matrices of the other are what they say."""

import numpy as np
import pytest
import torch

from benchmarks.known_spectra import known_spectra
from benchmarks.pruning import literal_mask, upper_triangle
from qnewton.treatment.matching import greedy_mask


@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("d", [1, 7, 40])
def test_the_literal_procedure_equals_ours_ties_included(decimals: int | None, d: int) -> None:
    matrix = torch.randn(60, 60, generator=torch.Generator().manual_seed(d))
    matrix = matrix + matrix.mT
    if decimals is not None:
        matrix = matrix.round(decimals=decimals)
    assert np.array_equal(literal_mask(matrix, d), greedy_mask(matrix, d).numpy())


def test_the_upper_triangle_is_read_row_by_row() -> None:
    matrix = torch.tensor([[1.0, -2.0], [-2.0, 3.0]])
    assert upper_triangle(matrix).tolist() == [1.0, 2.0, 3.0]


def test_known_spectra_are_known() -> None:
    for case in known_spectra((256,)):
        sizes = torch.linalg.eigvalsh(case.matrix.double()).abs()
        # Entries rounded to float32: half an ulp times √N, against the smallest |λ|.
        rounding = case.condition * 6e-8 * 16
        assert float(sizes.max() / sizes.min()) == pytest.approx(case.condition, rel=rounding)
        assert torch.equal(case.matrix, case.matrix.mT)
