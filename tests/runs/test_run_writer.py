import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qnewton.records import MetricRecord, StepRecord
from qnewton.runs import (
    CorruptRunError,
    NotARunError,
    RunConfig,
    RunExistsError,
    RunStorageError,
    RunWriter,
    latest_checkpoint,
    read_config,
    read_run,
)

MakeStep = Callable[..., StepRecord]
MakeMetric = Callable[..., MetricRecord]


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_what_is_appended_is_read(
    tmp_path: Path, config: RunConfig, step_record: MakeStep, metric_record: MakeMetric
) -> None:
    steps = tuple(step_record(step, loss) for step, loss in enumerate((2.0, float("nan"), 1e-9)))
    metrics = (metric_record(0), metric_record(3, 0.25))
    with RunWriter.create(tmp_path / "deep" / "run", config) as writer:
        for step in steps:
            writer.append_step(step)
        for metric in metrics:
            writer.append_metric(metric)
        run = read_run(writer.folder)
    assert run.config == config
    # NaN differs from itself, so the records are compared as they print.
    assert repr(run.steps) == repr(steps)
    assert run.metrics == metrics
    assert run.warnings == ()


@pytest.mark.parametrize("name", ["config.json", "holiday.jpg"])
def test_a_folder_with_files_is_refused(tmp_path: Path, config: RunConfig, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunExistsError) as error:
        RunWriter.create(tmp_path, config)
    assert "--resume" in one_line(error)
    assert "--out" in one_line(error)
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_of_a_process_killed_before_its_configuration_is_new(
    tmp_path: Path, config: RunConfig
) -> None:
    (tmp_path / ".config.json.4711.tmp").write_text("{")
    RunWriter.create(tmp_path, config).close()
    assert read_config(tmp_path) == config


def test_resume_goes_back_to_the_checkpoint_exactly(
    tmp_path: Path, config: RunConfig, step_record: MakeStep, metric_record: MakeMetric
) -> None:
    folder = tmp_path / "run"
    with RunWriter.create(folder, config) as writer:
        for step in range(10):
            writer.append_step(step_record(step))
            writer.append_metric(metric_record(step + 1))
            if step in (2, 5):
                writer.save_checkpoint(step, b"state")
    with (folder / "steps.jsonl").open("ab") as log:
        log.write(b'{"schema":1,"step":10,"pha')
    assert "has no end" in read_run(folder).warnings[0]

    checkpoint, _ = latest_checkpoint(folder)
    for _ in range(2):  # resuming twice is resuming once
        with RunWriter.resume(folder, checkpoint) as writer:
            assert writer.config == config
        run = read_run(folder)
        assert [step.step for step in run.steps] == [0, 1, 2, 3, 4, 5]
        # The evaluation after step 5, of the state the checkpoint holds, stays.
        assert [metric.step for metric in run.metrics] == [1, 2, 3, 4, 5, 6]
        assert run.warnings == ()


def test_resume_from_an_older_checkpoint_removes_the_newer(
    tmp_path: Path, config: RunConfig, step_record: MakeStep
) -> None:
    with RunWriter.create(tmp_path / "run", config) as writer:
        older = None
        for step in range(2):
            writer.append_step(step_record(step))
            writer.save_checkpoint(step, b"state %d" % step)
            older = older or latest_checkpoint(writer.folder)[0]
    RunWriter.resume(tmp_path / "run", older).close()
    found, _ = latest_checkpoint(tmp_path / "run")
    assert found == older
    assert len(read_run(tmp_path / "run").steps) == 1


def test_resume_without_checkpoint_begins_again(
    tmp_path: Path, config: RunConfig, step_record: MakeStep
) -> None:
    with RunWriter.create(tmp_path / "run", config) as writer:
        writer.append_step(step_record(0))
    (tmp_path / "run" / "metrics.jsonl").unlink()
    with RunWriter.resume(tmp_path / "run", None) as writer:
        writer.append_step(step_record(0, 5.0))
    assert [step.loss for step in read_run(tmp_path / "run").steps] == [5.0]


def test_resume_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(NotARunError) as error:
        RunWriter.resume(tmp_path, None)
    assert "qnewton train" in one_line(error)


def test_a_log_shorter_than_its_checkpoint_saw_is_refused(
    tmp_path: Path, config: RunConfig, step_record: MakeStep
) -> None:
    with RunWriter.create(tmp_path / "run", config) as writer:
        writer.append_step(step_record(0))
        writer.save_checkpoint(0, b"state")
    (tmp_path / "run" / "steps.jsonl").write_bytes(b"")
    checkpoint, _ = latest_checkpoint(tmp_path / "run")
    with pytest.raises(CorruptRunError, match="begin again with another --out") as error:
        RunWriter.resume(tmp_path / "run", checkpoint)
    one_line(error)


def test_only_one_process_writes(tmp_path: Path, config: RunConfig) -> None:
    writer = RunWriter.create(tmp_path / "run", config)
    with pytest.raises(RunStorageError, match="another process is writing"):
        RunWriter.resume(tmp_path / "run", None)
    writer.close()
    RunWriter.resume(tmp_path / "run", None).close()


@pytest.fixture
def limit_file_size() -> Iterator[Callable[[int | None], None]]:
    """A file-size limit fails as a full disk does: a short write, then an error; None lifts it."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    own, most = before
    yield lambda size: resource.setrlimit(
        resource.RLIMIT_FSIZE, (own if size is None else size, most)
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_loses_no_record(
    tmp_path: Path,
    config: RunConfig,
    step_record: MakeStep,
    limit_file_size: Callable[[int | None], None],
) -> None:
    with RunWriter.create(tmp_path / "run", config) as writer:
        writer.append_step(step_record(0))
        log = tmp_path / "run" / "steps.jsonl"
        line = log.stat().st_size
        limit_file_size(line + line // 2)
        with pytest.raises(RunStorageError) as error:
            writer.append_step(step_record(1))
        assert log.stat().st_size == line
        assert "steps.jsonl: File too large" in one_line(error)
        assert "free space there, then go on with --resume" in one_line(error)
        limit_file_size(None)
        writer.append_step(step_record(2))
    assert [step.step for step in read_run(tmp_path / "run").steps] == [0, 2]


def test_a_disk_too_full_for_a_checkpoint_keeps_the_earlier_ones(
    tmp_path: Path, config: RunConfig, limit_file_size: Callable[[int | None], None]
) -> None:
    with RunWriter.create(tmp_path / "run", config) as writer:
        writer.save_checkpoint(0, b"state")
        limit_file_size(5000)
        with pytest.raises(RunStorageError, match="go on with --resume"):
            writer.save_checkpoint(1, bytes(10_000))
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["step-00000000.ckpt"]
    checkpoint, warnings = latest_checkpoint(tmp_path / "run")
    assert checkpoint is not None
    assert warnings == ()


def test_a_disk_too_full_to_begin(
    tmp_path: Path, config: RunConfig, limit_file_size: Callable[[int | None], None]
) -> None:
    limit_file_size(10)
    with pytest.raises(RunStorageError, match="or choose another folder with --out"):
        RunWriter.create(tmp_path / "run", config)
    limit_file_size(None)
    RunWriter.create(tmp_path / "run", config).close()


@pytest.mark.parametrize("inside", ["", "run"])
def test_a_file_in_the_way(tmp_path: Path, config: RunConfig, inside: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunStorageError) as error:
        RunWriter.create(tmp_path / "file" / inside, config)
    assert "choose a writable folder with --out" in one_line(error)


@pytest.mark.usefixtures("ordinary_user")
def test_a_read_only_parent(open_folder: Path, config: RunConfig) -> None:
    os_error = os.strerror(errno.EACCES)
    if os.geteuid() == open_folder.stat().st_uid:
        open_folder.chmod(0o555)
    with pytest.raises(RunStorageError) as error:
        RunWriter.create(open_folder / "run", config)
    assert one_line(error) == (
        f"cannot create {open_folder / 'run'}: {os_error}; choose a writable folder with --out"
    )


def test_a_run_that_became_read_only(
    open_folder: Path, config: RunConfig, request: pytest.FixtureRequest
) -> None:
    RunWriter.create(open_folder / "run", config).close()
    (open_folder / "run" / "steps.jsonl").chmod(0o444)
    request.getfixturevalue("ordinary_user")
    with pytest.raises(RunStorageError) as error:
        RunWriter.resume(open_folder / "run", None)
    assert "make it writable, then go on with --resume" in one_line(error)


def test_a_log_line_that_json_cannot_hold_is_refused_whole(
    tmp_path: Path, config: RunConfig, step_record: MakeStep
) -> None:
    writer = RunWriter.create(tmp_path / "run", config)
    with writer, pytest.raises(TypeError, match="cannot store"):
        writer.append_step(replace(step_record(0), loss=b"raw"))  # type: ignore[arg-type]
    assert read_run(tmp_path / "run").steps == ()
