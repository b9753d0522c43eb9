"""Fig. 3 on the digits."""

import dataclasses
from pathlib import Path

import pytest

from paper import fig_3
from paper.artifact import Artifact, PaperContext
from qnewton.report import save_chart
from qnewton.runs import read_run

DIGITS = dataclasses.replace(fig_3.EXPERIMENT.quick, workload="digits")


@pytest.fixture(scope="module")
def artifact(context: PaperContext) -> Artifact:
    return fig_3.EXPERIMENT.make(context, DIGITS)


def test_its_rows_are_the_stages_of_the_recorded_steps(
    artifact: Artifact, context: PaperContext
) -> None:
    assert [check.name for check in artifact.checks if not check.passed] == []
    (table,) = artifact.tables
    expected = []
    for scene, steps in zip(fig_3.SCENES, DIGITS.steps, strict=True):
        run = read_run(context.folder / "fig-3" / "quick-seed0" / scene.name)
        assert len(run.steps) == steps
        expected += [(step.measured.solve, step.measured.total) for step in run.steps]
    solve, total = (
        table.columns.index("solve (measured s)"),
        table.columns.index("total (measured s)"),
    )
    assert [(row[solve], row[total]) for row in table.rows] == expected


def test_only_the_last_scene_surveys(artifact: Artifact) -> None:
    (table,) = artifact.tables
    survey = table.columns.index("survey (measured s)")
    *plain, surveyed = [row[survey] for row in table.rows]
    assert surveyed > 100 * max(plain)


def test_its_verdict_is_that_of_the_largest_stage(artifact: Artifact) -> None:
    (finding,), (table,) = artifact.findings, artifact.tables
    rows = [row for row in table.rows if row[0] == "LU inversion"]
    first, last = 2, 2 + 6
    totals = [sum(row[k] for row in rows) for k in range(first, last)]
    solve = totals[4]
    holds = solve == max(totals) and solve >= fig_3.BOTTLENECK * sum(totals)
    assert finding.verdict == ("holds" if holds else "does not hold")


def test_made_again_it_reads_the_runs_back(artifact: Artifact, context: PaperContext) -> None:
    assert fig_3.EXPERIMENT.make(context, DIGITS).tables == artifact.tables


def test_its_picture_can_be_drawn(artifact: Artifact, tmp_path: Path) -> None:
    paths = save_chart(artifact.pictures["fig-3"], tmp_path, "fig-3")
    assert all(path.stat().st_size > 0 for path in paths)
    shares: dict[str, float] = {}
    for row in artifact.pictures["fig-3"].rows:
        shares[row["bar"]] = shares.get(row["bar"], 0.0) + row["share"]
    assert list(shares.values()) == pytest.approx([1.0] * len(shares))
