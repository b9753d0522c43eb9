"""Table III on the digits, to a low target so that it is quick."""

import dataclasses
import math
from pathlib import Path

import pytest

from paper import shared_run as shared_module
from paper import table_3, trials
from paper.artifact import Artifact, PaperContext
from paper.paper_rows import TABLE_3
from paper.repricing import (
    HERE,
    PAPER_H100,
    SURVEY_S,
    break_even_condition,
    calibrated,
    reprice,
    reprice_all,
)
from paper.shared_run import Setup, Tuning, shared_run
from paper.trials import reached
from qnewton.cost import Market, load_hardware, nominal_calibration
from qnewton.cost.queries import jennings_2023
from qnewton.experiments.replay import replay
from qnewton.records import Estimate, StepRecord
from qnewton.report import save_chart
from qnewton.runs import read_comparison
from qnewton.scheduler.offers import quotes as quotes_of
from qnewton.scheduler.policy import decide
from qnewton.scheduler.pricing import ReplaySettings

# The comparison that the module's tests read takes seconds.
pytestmark = pytest.mark.slow

TINY = Setup(
    name="tiny",
    workload="digits",
    target=0.6,
    newton_steps=10,
    first_order_steps=40,
    agreement_every=1000,
    sgd_rates=(0.1, 0.3),
    adam_rates=(1e-2, 3e-2),
)
ATTOSECOND = load_hardware("attosecond")
AS_RECORDED = ReplaySettings(
    calibration=nominal_calibration(), hardware=ATTOSECOND, keep=("classical", "quantum")
)


@pytest.fixture(scope="module")
def artifact(context: PaperContext) -> Artifact:
    return table_3.EXPERIMENT.make(context, TINY)


def column(artifact: Artifact, table: str, heading: str) -> list:
    found = next(t for t in artifact.tables if t.name == table)
    return [row[found.columns.index(heading)] for row in found.rows]


def test_its_checks_pass_and_every_row_fits_its_columns(artifact: Artifact) -> None:
    assert [check.name for check in artifact.checks if not check.passed] == []
    for table in artifact.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert not {table.name for table in artifact.tables} & set(artifact.pictures)


def test_its_newton_rows_are_the_run_s_steps_priced_under_each_policy(
    artifact: Artifact, context: PaperContext
) -> None:
    shared = shared_run(context, TINY)
    totals = column(artifact, "table-3", "total (modelled s, this machine)")[-3:]
    expected = [
        replay(shared.newton.steps, policy, AS_RECORDED).seconds
        for policy in ("classical-only", "quantum-only", "paper")
    ]
    assert totals == pytest.approx(expected, rel=1e-12)
    steps = column(artifact, "table-3", "steps")
    assert set(steps[2:]) == {len(shared.newton.steps)}
    assert steps[:2] == [len(shared.tunings[name].best.steps) for name in ("sgd", "adam")]


def test_paper_h100_is_an_sgd_step_a_survey_and_the_inversion(
    artifact: Artifact, context: PaperContext
) -> None:
    n_steps = len(shared_run(context, TINY).newton.steps)
    rows = column(artifact, "table-3", f"total (modelled s, {PAPER_H100})")
    inversion = (1.06 - 0.14) / 12_544**3 * 1482**3
    # 1e-3: the profile rounds C to four digits.
    assert rows[-3] == pytest.approx(n_steps * (0.14 + inversion), rel=1e-3)
    taken = column(artifact, "table-3", "steps")[0]
    assert rows[0] == pytest.approx(0.14 * taken)


def test_kappa_from_lanczos_is_priced_like_any_other(context: PaperContext) -> None:
    run = shared_run(context, TINY).newton
    found = reprice_all(run).of("quantum-only", PAPER_H100, "lanczos")
    for record, step in zip(run.steps, found.steps, strict=True):
        facts = record.blocks[0].facts
        assert facts.spectrum.condition is not None
        assert facts.spectrum.condition.value is not None
        assert facts.spectrum.row_sparsity is not None
        count = jennings_2023(
            alpha=float(facts.spectrum.row_sparsity),
            kappa=max(facts.spectrum.condition.value, math.sqrt(12)),
            epsilon=1e-12,
        )
        assert step.quantum_seconds == pytest.approx(1e-18 * count.expected, rel=1e-12)
        assert step.seconds == pytest.approx(0.14 + SURVEY_S + 1e-18 * count.expected, rel=1e-12)


def test_a_bound_that_overflows_leaves_the_step_to_lu_inversion(context: PaperContext) -> None:
    def overflowing(record: StepRecord) -> StepRecord:
        (block,) = record.blocks
        bound = Estimate(
            value=None, low=1.0, high=None, method="determinant", products=0, log_value=993.0
        )
        facts = dataclasses.replace(
            block.facts, spectrum=dataclasses.replace(block.facts.spectrum, bounds=(bound,))
        )
        return dataclasses.replace(record, blocks=(dataclasses.replace(block, facts=facts),))

    records = [overflowing(record) for record in shared_run(context, TINY).newton.steps]
    machine = calibrated(nominal_calibration())
    hybrid = reprice(records, "paper", machine, ATTOSECOND)
    assert {step.chosen for step in hybrid.steps} == {"lu_inverse"}
    assert hybrid.quantum_share == 0.0
    assert hybrid.steps[0].log_condition == 993.0
    assert reprice(records, "quantum-only", machine, ATTOSECOND).seconds is None


def test_a_skipped_step_cannot_be_priced_and_the_line_says_why(context: PaperContext) -> None:
    step = shared_run(context, TINY).newton.steps[0]
    skipped = dataclasses.replace(step, blocks=(), skipped="the loss is nan")
    with pytest.raises(ValueError, match=r"step 0 has 0 systems \(the loss is nan\)"):
        reprice([skipped], "paper", calibrated(nominal_calibration()), ATTOSECOND)


def test_an_overflowing_run_still_makes_its_tables_and_pictures(
    context: PaperContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared = shared_run(context, TINY)

    def overflowing(record: StepRecord) -> StepRecord:
        (block,) = record.blocks
        bounds = tuple(
            dataclasses.replace(bound, value=None, high=None, log_value=993.0)
            for bound in block.facts.spectrum.bounds
        )
        facts = dataclasses.replace(
            block.facts, spectrum=dataclasses.replace(block.facts.spectrum, bounds=bounds)
        )
        quotes = quotes_of(facts, market)
        decision = decide(block.decision.policy, quotes)
        block = dataclasses.replace(block, facts=facts, decision=decision)
        return dataclasses.replace(record, blocks=(block,))

    market = Market(
        calibration=nominal_calibration(),
        hardware=ATTOSECOND,
        epsilon=1e-12,
        tolerance=1e-6,
        dtype="float32",
    )
    records = tuple(overflowing(record) for record in shared.newton.steps)
    prices = {
        method: replay(records, policy, AS_RECORDED).seconds
        for policy, method in (
            ("classical-only", "classical-only"),
            ("quantum-only", "quantum-only"),
            ("paper", "q-newton"),
        )
    }
    assert prices["quantum-only"] is None
    rows = tuple(
        dataclasses.replace(row, modelled_seconds=prices.get(row.method, row.modelled_seconds))
        for row in shared.comparison.rows
    )
    changed = dataclasses.replace(
        shared,
        newton=dataclasses.replace(shared.newton, steps=records),
        comparison=dataclasses.replace(shared.comparison, rows=rows),
    )
    monkeypatch.setattr(table_3, "shared_run", lambda *_: changed)
    artifact = table_3.EXPERIMENT.make(context, TINY)
    assert [check.name for check in artifact.checks if not check.passed] == []
    for name, picture in artifact.pictures.items():
        save_chart(picture, tmp_path, name)
    finding = next(f for f in artifact.findings if f"({PAPER_H100})" in f.claim)
    assert "Quantum-Only without a finite price" in finding.measured


def test_made_again_it_reads_the_runs_back(
    artifact: Artifact, context: PaperContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_training(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(shared_module, "compare", no_training)
    monkeypatch.setattr(trials, "begin", no_training)
    assert table_3.EXPERIMENT.make(context, TINY).tables == artifact.tables


def test_runs_of_other_settings_are_refused(context: PaperContext, artifact: Artifact) -> None:
    with pytest.raises(ValueError, match="other settings"):
        table_3.EXPERIMENT.make(context, dataclasses.replace(TINY, target=0.5))
    with pytest.raises(ValueError, match="other settings"):
        table_3.EXPERIMENT.make(context, dataclasses.replace(TINY, newton_steps=11))


def test_an_unfinished_comparison_is_made_again(
    paper_context: PaperContext, tmp_path: Path
) -> None:
    small = dataclasses.replace(
        TINY, target=0.2, newton_steps=2, first_order_steps=5, sgd_rates=(0.3,), adam_rates=(1e-2,)
    )
    shared_run(paper_context, small)
    folder = tmp_path / "table-3" / "tiny-seed0" / "comparison"
    (folder / "comparison.json").unlink()
    again = shared_run(paper_context, small)
    assert read_comparison(folder) == again.comparison


def test_the_grid_grows_until_the_best_rate_is_inside(context: PaperContext) -> None:
    tuning = shared_run(context, TINY).tunings["sgd"]
    assert set(tuning.runs) > {0.1, 0.3}
    steps = {rate: len(run.steps) for rate, run in tuning.runs.items()}
    met = {rate for rate, run in tuning.runs.items() if reached(run, TINY.target)}
    assert steps[tuning.best_rate] == min(steps[rate] for rate in met)
    assert tuning.bracketed


def test_a_rate_that_reaches_the_target_beats_a_more_accurate_one(context: PaperContext) -> None:
    runs = shared_run(context, TINY).tunings["sgd"].runs
    low, high = min(runs), max(runs)
    one_sided = Tuning(optimizer="sgd", runs={low: runs[low], high: runs[high]}, target=2.0)
    assert not one_sided.bracketed
    accuracy = {rate: one_sided.runs[rate].metrics[-1].test_accuracy for rate in (low, high)}
    assert one_sided.best_rate == max(accuracy, key=accuracy.__getitem__)


def test_the_paper_s_rows_add_up_but_for_q_newton(artifact: Artifact) -> None:
    assert [name for name, row in TABLE_3.items() if not row.adds_up()] == ["paper"]
    finding = next(f for f in artifact.findings if "time per step" in f.claim)
    assert finding.verdict == "does not hold"
    assert "150 s, printed 123 s" in finding.measured


@pytest.mark.parametrize(("seconds", "sparsity"), [(1e-9, 10), (1.0, 1000), (85.0, 12_000)])
def test_at_the_break_even_condition_both_prices_are_equal(seconds: float, sparsity: int) -> None:
    kappa = break_even_condition(seconds, sparsity, ATTOSECOND, 1e-12)
    count = jennings_2023(alpha=float(sparsity), kappa=kappa, epsilon=1e-12)
    assert 1e-18 * count.expected == pytest.approx(seconds, rel=1e-9)


def test_a_verdict_follows_the_prices(artifact: Artifact) -> None:
    here = next(f for f in artifact.findings if f"({HERE})" in f.claim)
    totals = column(artifact, "table-3", "total (modelled s, this machine)")
    sgd, hybrid = totals[0], totals[-1]
    assert sgd < hybrid
    assert here.verdict == "does not hold"


def test_its_pictures_can_be_drawn(artifact: Artifact, tmp_path: Path) -> None:
    for name, picture in artifact.pictures.items():
        assert all(path.stat().st_size > 0 for path in save_chart(picture, tmp_path, name))
        assert "digits" in picture.caption


def test_leaders_join_the_labels_of_the_break_even_to_their_lines(artifact: Artifact) -> None:
    spec = artifact.pictures["table-3-bounds"].chart.to_dict()
    rules, *_, leaders, _ = spec["layer"]
    lines = rules["data"]["values"]
    rows = leaders["data"]["values"]
    assert len(lines) == 2
    top = rules["encoding"]["y"]["scale"]["domain"][1]
    for line, row in zip(lines, rows, strict=True):
        assert row["text"] == ["break-even,", line["machine"]]
        share = 1 - math.sqrt(line["log10_condition"] / top)
        assert row["line_px"] == pytest.approx(spec["height"] * share)
