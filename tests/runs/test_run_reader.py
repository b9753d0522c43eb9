import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qnewton.records import SCHEMA_VERSION, MetricRecord, StepRecord
from qnewton.runs import (
    Comparison,
    ComparisonRow,
    CorruptRunError,
    NewerSchemaError,
    NotARunError,
    RunConfig,
    RunWriter,
    create_folder,
    read_comparison,
    read_run,
    write_comparison,
)

MakeStep = Callable[..., StepRecord]
MakeMetric = Callable[..., MetricRecord]


@pytest.fixture
def run_folder(
    tmp_path: Path, config: RunConfig, step_record: MakeStep, metric_record: MakeMetric
) -> Path:
    with RunWriter.create(tmp_path / "run", config) as writer:
        for step in range(3):
            writer.append_step(step_record(step))
        writer.append_metric(metric_record(1))
    return writer.folder


def change(path: Path, line: int, text: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[line - 1] = text
    path.write_text("".join(lines))


def refused(folder: Path, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        read_run(folder)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "does not exist" in refused(tmp_path / "nothing", NotARunError)
    assert "has no config.json" in refused(tmp_path, NotARunError)
    assert "is a file" in refused(tmp_path / "file", NotARunError)


def test_a_corrupt_line_is_named_with_its_file(run_folder: Path) -> None:
    change(run_folder / "steps.jsonl", 2, "{]\n")
    message = refused(run_folder, CorruptRunError)
    assert f"{run_folder / 'steps.jsonl'}, line 2, is not valid JSON" in message


def test_a_last_line_that_is_whole_but_corrupt_is_an_error_too(run_folder: Path) -> None:
    change(run_folder / "metrics.jsonl", 1, "\x00\x00\n")
    assert "metrics.jsonl, line 1," in refused(run_folder, CorruptRunError)


def test_bytes_that_are_no_text(run_folder: Path) -> None:
    (run_folder / "steps.jsonl").write_bytes(b"\xff\xfe\xfd\n")
    assert "line 1" in refused(run_folder, CorruptRunError)
    (run_folder / "config.json").write_bytes(b"\xff\xfe\xfd")
    assert "config.json" in refused(run_folder, CorruptRunError)


def test_a_line_of_something_else_is_an_error(run_folder: Path) -> None:
    change(run_folder / "steps.jsonl", 1, '{"schema": 1, "step": 0}\n')
    assert "line 1, is not a StepRecord" in refused(run_folder, CorruptRunError)
    change(run_folder / "steps.jsonl", 1, "[]\n")
    assert "line 1, is not a StepRecord" in refused(run_folder, CorruptRunError)


@pytest.mark.parametrize("kept", [1, 40])
def test_a_torn_last_line_is_left_out_and_said(run_folder: Path, kept: int) -> None:
    path = run_folder / "steps.jsonl"
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    path.write_bytes(whole[: last + kept])
    run = read_run(run_folder)
    assert [step.step for step in run.steps] == [0, 1]
    assert run.warnings == (f"{path}, line 3, has no end: left out",)


@pytest.mark.parametrize("schema", [0, -1, True, 2.0, "2", None, []])
def test_a_schema_that_is_no_version_is_refused(run_folder: Path, schema: Any) -> None:
    path = run_folder / "steps.jsonl"
    data = json.loads(path.read_text().splitlines()[1])
    change(path, 2, json.dumps(data | {"schema": schema}) + "\n")
    assert "line 2, has schema" in refused(run_folder, CorruptRunError)


@pytest.mark.parametrize("schema", [{"schema": 1}, {}])
def test_facts_of_another_schema_than_said_are_refused(
    run_folder: Path, schema: dict[str, int]
) -> None:
    path = run_folder / "steps.jsonl"
    data = json.loads(path.read_text().splitlines()[1])
    del data["schema"]
    blocks = [{"facts": {"n": 3, "held": {"kind": "formed"}}}]
    change(path, 2, json.dumps(data | {"blocks": blocks} | schema) + "\n")
    assert "facts of schema 2" in refused(run_folder, CorruptRunError)


@pytest.mark.parametrize("name", ["config.json", "steps.jsonl"])
def test_a_newer_schema_is_refused(run_folder: Path, name: str) -> None:
    path = run_folder / name
    data = json.loads(path.read_text().splitlines()[0]) if name != "config.json" else {}
    path.write_text(json.dumps(data | {"schema": SCHEMA_VERSION + 1}) + "\n")
    assert "upgrade qnewton" in refused(run_folder, NewerSchemaError)


def test_records_that_lack_newer_fields_and_have_older_ones_are_read(run_folder: Path) -> None:
    path = run_folder / "config.json"
    data = json.loads(path.read_text())
    del data["profiles"], data["schema"]
    path.write_text(json.dumps(data | {"once": "known"}))
    assert read_run(run_folder).config.profiles == ()


def test_a_run_without_logs_is_a_run_without_steps(tmp_path: Path, config: RunConfig) -> None:
    create_folder(tmp_path / "run", config)
    run = read_run(tmp_path / "run")
    assert (run.steps, run.metrics, run.warnings) == ((), (), ())


@pytest.fixture
def comparison() -> Comparison:
    row = ComparisonRow(
        method="sgd",
        steps=40,
        reached=True,
        test_accuracy=0.951,
        measured_seconds=0.4,
        modelled_seconds=None,
        modelled_seconds_per_step=None,
        quantum_share=None,
        run="sgd",
        label="SGD",
        learning_rate=0.3,
    )
    return Comparison(workload="digits", target=0.95, seed=0, run="out", rows=(row,))


def compare_config(config: RunConfig) -> RunConfig:
    return replace(config, kind="compare")


def test_a_comparison_comes_back(tmp_path: Path, config: RunConfig, comparison: Comparison) -> None:
    folder = create_folder(tmp_path / "compare", compare_config(config))
    with pytest.raises(NotARunError, match="did not finish"):
        read_comparison(folder)
    write_comparison(folder, comparison)
    assert read_comparison(folder) == comparison
    with pytest.raises(NotARunError, match="name one of its subfolders"):
        read_run(folder)


def test_a_run_is_no_comparison(run_folder: Path) -> None:
    with pytest.raises(NotARunError, match="not a comparison"):
        read_comparison(run_folder)


def test_the_summary_is_what_the_command_prints(comparison: Comparison) -> None:
    assert json.loads(json.dumps(comparison.summary())) == {
        "workload": "digits",
        "target": 0.95,
        "seed": 0,
        "run": "out",
        "rows": [
            {
                "method": "sgd",
                "steps": 40,
                "reached": True,
                "test_accuracy": 0.951,
                "measured_seconds": 0.4,
                "modelled_seconds": None,
                "modelled_seconds_per_step": None,
                "quantum_share": None,
                "modelled_survey_seconds": None,
            }
        ],
    }


def test_reading_runs_loads_no_torch() -> None:
    program = "import sys, qnewton.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
