"""The comparison end to end on the digits, to a low target so that it is quick."""

import json

import pytest

from qnewton.cost import nominal_calibration, survey_seconds
from qnewton.experiments.compare import CompareRequest, DisagreementError, compare
from qnewton.runs import read_comparison, read_run
from qnewton.training.request import TrainingRequest
from qnewton.workloads import load_workload

CALIBRATION = nominal_calibration()
DIGITS = load_workload("digits", seed=0)


def request(**training) -> CompareRequest:
    return CompareRequest(
        training=TrainingRequest(target=0.6, steps=20, **training),
        sgd_learning_rates=(0.3, 1.0),
        max_sgd_steps=60,
        agreement_every=5,
    )


@pytest.mark.slow
def test_a_comparison_has_the_paper_s_rows_and_its_records_agree_with_them(tmp_path) -> None:
    folder = tmp_path / "compare"
    table = compare(request(), folder, DIGITS, CALIBRATION)
    assert [row.method for row in table.rows] == [
        "sgd",
        "classical-only",
        "quantum-only",
        "q-newton",
        "best-classical",
    ]
    assert read_comparison(folder) == table
    for row in table.rows:
        run = read_run(folder / row.run)
        assert len(run.steps) == row.steps
        assert run.metrics[-1].test_accuracy == row.test_accuracy
        assert row.reached == (row.test_accuracy >= 0.6)
        assert row.modelled_seconds is not None
        assert row.modelled_seconds_per_step is not None
        assert row.modelled_seconds_per_step * row.steps == pytest.approx(row.modelled_seconds)
        assert row.modelled_survey_seconds is not None
        assert 0 <= row.modelled_survey_seconds < row.modelled_seconds
    newton = [row for row in table.rows if row.method != "sgd"]
    assert len({row.steps for row in newton}) == 1
    rows = {row.method: row for row in table.rows}
    assert rows["sgd"].modelled_survey_seconds == 0
    assert rows["classical-only"].modelled_survey_seconds == 0
    paid = rows["q-newton"].modelled_survey_seconds
    assert paid == rows["quantum-only"].modelled_survey_seconds
    steps = read_run(folder / "newton").steps
    assert paid == pytest.approx(
        sum(
            survey_seconds(fact, block.facts, CALIBRATION) or 0.0
            for fact in ("determinant", "row_sparsity")
            for step in steps
            for block in step.blocks
        )
    )
    checks = json.loads((folder / "agreement.json").read_text())
    assert {check["solver"] for check in checks} == {"lu_inverse", "qsvt"}
    for check in checks:
        assert check["relative_difference"] < 1e-3


@pytest.mark.slow
def test_a_warmup_that_depends_on_prices_trains_every_policy_itself(tmp_path) -> None:
    table = compare(request(warmup="auto"), tmp_path / "compare", DIGITS, CALIBRATION)
    newton = [row for row in table.rows if row.method != "sgd"]
    assert {row.run for row in newton} == {
        "classical-only",
        "quantum-only",
        "paper",
        "classical",
    }
    assert all((row.measured_seconds or 0) > 0 for row in newton)


def test_a_solver_that_disagrees_fails_the_comparison(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("qnewton.experiments.agreement.TOLERANCE", 0.0)
    with pytest.raises(DisagreementError, match="another direction"):
        compare(request(), tmp_path / "compare", DIGITS, CALIBRATION)
    assert (tmp_path / "compare" / "comparison.json").exists()
