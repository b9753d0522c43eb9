"""The inverse through its columns, and what it costs beside one solve."""

import pytest
import torch

from qnewton.solvers.quantum import (
    Emulator,
    InversePolynomial,
    Readout,
    emulate,
    invert_by_columns,
)
from tests.cases import draw, geometric, with_spectrum


@pytest.mark.parametrize("indefinite", [False, True])
def test_the_inverse_and_both_prices(indefinite):
    matrix = with_spectrum(geometric(12, 9.0, indefinite=indefinite), 0)
    rhs = draw(12, seed=1)
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


def test_shots_are_paid_for_every_column():
    matrix = with_spectrum(geometric(8, 4.0), 0)
    rhs = draw(8, seed=1)
    readout = Readout(shots=20_000)
    found = invert_by_columns(matrix, rhs, readout=readout)
    assert found.shots == 8 * 20_000
    assert found.single_shots == 20_000
    assert found.queries_read == pytest.approx(found.queries * 20_000)
    assert found.single_queries_read == pytest.approx(found.single_queries * 20_000)
    exact = torch.linalg.solve(matrix, rhs)
    for direction in (found.direction, found.single):
        assert float((direction - exact).norm() / exact.norm()) < 0.05


@pytest.mark.parametrize(
    "algorithm", ["qsvt", pytest.param("hhl", marks=pytest.mark.slow), "dalzell"]
)
@pytest.mark.parametrize("mode", ["products", "eigen", "krylov"])
def test_a_prepared_solver_gives_what_one_made_anew_does(algorithm, mode):
    matrix = with_spectrum(geometric(10, 5.0, indefinite=True), 0)
    emulator = Emulator(matrix, algorithm, 1e-2, mode=mode)
    for seed in (1, 2):
        rhs = draw(10, seed=seed)
        alone = emulate(matrix, rhs, algorithm, 1e-2, mode=mode)
        again = emulator.solve(rhs)
        assert torch.equal(again.direction, alone.direction)
        assert again.success_probability == alone.success_probability
        assert (again.queries, again.alpha, again.kappa) == (
            alone.queries,
            alone.alpha,
            alone.kappa,
        )


def test_the_polynomial_is_evaluated_once_for_all_columns(monkeypatch):
    calls: list[int] = []
    evaluate = InversePolynomial.evaluate

    def counted(self, x):
        calls.append(len(x))
        return evaluate(self, x)

    monkeypatch.setattr(InversePolynomial, "evaluate", counted)
    matrix = with_spectrum(geometric(12, 9.0), 0)
    invert_by_columns(matrix, draw(12, seed=1), epsilon=1e-6, mode="eigen")
    assert calls == [12]
