"""The inverse through its columns, and what it costs beside one solve."""

import pytest
import torch

from qnewton.solvers.quantum import Readout, emulate, invert_by_columns


@pytest.mark.parametrize("indefinite", [False, True])
def test_the_inverse_and_both_prices(indefinite, cases):
    matrix = cases.rotated(cases.spread(12, 9.0, indefinite=indefinite), 0, torch.float64)
    rhs = cases.vector(12, 1)
    asked: list[int] = []
    found = invert_by_columns(matrix, rhs, epsilon=1e-9, on_column=asked.append)
    assert asked == list(range(12))
    torch.testing.assert_close(found.inverse, torch.linalg.inv(matrix), rtol=0, atol=1e-7)
    torch.testing.assert_close(found.direction, found.single, rtol=0, atol=1e-6)
    assert found.single_queries == emulate(matrix, rhs, epsilon=1e-9).expected_queries
    # ‖A⁻¹‖_F² sums what the columns' success probabilities have in common, so that their expected
    # queries are N times those of a typical right-hand side, at least.
    assert found.queries > 12 * found.single_queries / 9.0
    assert found.shots is None
    assert found.queries_read is None


def test_shots_are_paid_for_every_column(cases):
    matrix = cases.rotated(cases.spread(8, 4.0), 0, torch.float64)
    rhs = cases.vector(8, 1)
    readout = Readout(shots=20_000)
    found = invert_by_columns(matrix, rhs, readout=readout)
    assert found.shots == 8 * 20_000
    assert found.single_shots == 20_000
    assert found.queries_read == pytest.approx(found.queries * 20_000)
    assert found.single_queries_read == pytest.approx(found.single_queries * 20_000)
    exact = torch.linalg.solve(matrix, rhs)
    for direction in (found.direction, found.single):
        assert float((direction - exact).norm() / exact.norm()) < 0.05
