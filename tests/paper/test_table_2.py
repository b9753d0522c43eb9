"""Table II: matrices of known κ, and what is measured on them."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paper import table_2
from paper.estimator_timing import Measurement, damped_spectrum, known_matrix, measure
from paper.table_2 import estimator_picture

SIZES = (8, 40)
REPEATS = {8: (5, 4), 40: (5, 4)}


@pytest.fixture(scope="module")
def found() -> list[Measurement]:
    return measure(table_2.CONDITION_NUMBERS, REPEATS, 0, lambda _: None)


def timed(found: list[Measurement]) -> table_2.Timings:
    return table_2.Timings(REPEATS, tuple(found))


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(2, 60),
    kappa=st.floats(1.0, 1e4),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_a_known_matrix_has_its_spectrum(n: int, kappa: float, seed: int, dtype) -> None:
    spectrum = damped_spectrum(n, kappa)
    known = known_matrix(spectrum, torch.Generator().manual_seed(seed), dtype)
    assert torch.equal(known.matrix, known.matrix.mT)
    values = torch.linalg.eigvalsh(known.matrix.double())
    # Rounding the entries moves eigenvalues by u·‖A‖_F; forming them and eigvalsh, in float64,
    # by some N ulp more.
    allowed = (torch.finfo(dtype).eps / 2 + 1e-14) * float(spectrum.norm())
    assert torch.allclose(values.flip(0), spectrum, rtol=0, atol=1.01 * allowed)
    assert known.condition_number == pytest.approx(kappa, rel=1e-12)
    relative = abs(float(values[-1] / values[0]) / kappa - 1)
    assert relative <= 1.01 * known.rounding + 1e-13 * kappa


def test_known_matrices_are_dense() -> None:
    known = known_matrix(damped_spectrum(30, 10.0), torch.Generator().manual_seed(1))
    assert int(known.matrix.count_nonzero()) == 900


def test_every_method_is_measured(found: list[Measurement]) -> None:
    for n in SIZES:
        methods = [m.method for m in found if m.n == n]
        assert sorted(methods) == sorted(
            2 * ["determinant", "trace", "lanczos", "exact"] + ["lu_inverse"]
        )
    assert all(len(m.runs) in (4, 5) for m in found if m.method != "exact")


def test_bounds_against_the_formulas(found: list[Measurement]) -> None:
    for m in found:
        values = damped_spectrum(m.n, m.condition_number)
        if m.method == "determinant":
            log_y = float(2 * values.log().sum() - m.n * (values.square().mean()).log())
            # √((1+x)/(1-x)) with 1-x = y/(1+x).
            log_bound = math.log(1 + math.sqrt(-math.expm1(log_y))) - log_y / 2
        elif m.method == "trace":
            log_y = float(values.log().sum() - m.n * values.mean().log())
            log_bound = 2 * math.log(1 + math.sqrt(-math.expm1(log_y))) - log_y
        else:
            continue
        digits = (log_bound - math.log(m.condition_number)) / math.log(10)
        assert m.digits_off == pytest.approx(digits, abs=1e-3)


def test_the_summary_agrees_with_the_measurements(found: list[Measurement]) -> None:
    timings = timed(found)
    table = table_2._summary(timings)
    assert [row[:2] for row in table.rows] == [(n, k) for n in SIZES for k in (10.0, 1000.0)]
    for row in table.rows:
        trace = next(m for m in found if (m.n, m.condition_number, m.method) == (*row[:2], "trace"))
        assert row[4] == 1e3 * sorted(trace.runs)[len(trace.runs) // 2] or len(trace.runs) == 4
        assert row[8] == trace.digits_off
        assert abs(row[9]) <= 1.0
    assert all(check.passed for check in table_2._checks(timings))


def test_a_bound_below_kappa_fails_its_check(found: list[Measurement]) -> None:
    low = [
        dataclasses.replace(m, condition_number=1e9) if m.condition_number == 10.0 else m
        for m in found
    ]
    checks = list(table_2._checks(timed(low)))
    assert not checks[0].passed


def test_verdicts_follow_the_numbers(found: list[Measurement], paper_context) -> None:
    overhead, robust = table_2._overhead(timed(found)), table_2._robustness(timed(found))
    assert robust.verdict == "does not hold"
    assert "Lanczos is off by at most" in robust.measured
    slow = [dataclasses.replace(m, runs=(1e3,)) if m.method == "lu_inverse" else m for m in found]
    assert table_2._overhead(timed(slow)).verdict == "holds"
    quick = [dataclasses.replace(m, runs=(1e-9,)) if m.method == "lu_inverse" else m for m in found]
    assert table_2._overhead(timed(quick)).verdict == "does not hold"
    artifact = table_2.EXPERIMENT.make(paper_context, REPEATS)
    assert artifact.findings[0].claim == overhead.claim
    assert artifact.findings[0].command == "qnewton paper table-2"


def test_the_papers_point_is_drawn_beside_ours(tmp_path) -> None:
    found = measure((10.0,), {10: (2, 2)}, 0, lambda _: None)
    picture = estimator_picture(found, {10: (2, 2)}, table_2.PAPER_MS)
    paper = [row for row in picture.rows if row["method"].startswith("paper")]
    assert [(row["n"], row["value"]) for row in paper] == [(10, 0.1)]
    picture.chart.save(tmp_path / "table-2.png", format="png")
    assert "The paper's 0.1 ms" in table_2._overhead(timed(found)).measured
