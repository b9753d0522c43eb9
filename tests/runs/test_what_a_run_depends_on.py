"""A resume depends on a checkpoint, the configuration and the logs: all of them are covered."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qnewton.records import MetricRecord, StepRecord
from qnewton.runs import (
    CorruptRunError,
    NewerSchemaError,
    NotARunError,
    RunConfig,
    RunStorageError,
    RunWriter,
    check_config,
    latest_checkpoint,
)

MakeStep = Callable[..., StepRecord]
MakeMetric = Callable[..., MetricRecord]
REFUSALS = (CorruptRunError, NewerSchemaError, NotARunError)


@pytest.fixture
def run(
    tmp_path: Path, config: RunConfig, step_record: MakeStep, metric_record: MakeMetric
) -> Path:
    folder = tmp_path / "run"
    with RunWriter.create(folder, config) as writer:
        writer.append_step(step_record(0))
        writer.append_metric(metric_record(0))
        writer.save_checkpoint(0, b"state")
        writer.append_step(step_record(1))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def gone_on(folder: Path) -> tuple[bytes | None, dict[str, bytes]]:
    """Return what a resume would go on from: the state, and what the folder then holds."""
    check_config(folder)
    checkpoint, _ = latest_checkpoint(folder)
    with RunWriter.resume(folder, checkpoint):
        pass
    return None if checkpoint is None else checkpoint.data, contents(folder)


def flips(data: bytes, stride: int) -> Iterator[tuple[int, bytes]]:
    for position in range(0, len(data), stride):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 7)
        yield position, bytes(damaged)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("checkpoints/step-00000000.ckpt", 1),
        ("config.json", 17),
        ("steps.jsonl", 23),
        ("metrics.jsonl", 5),
    ],
)
def test_a_flipped_byte_anywhere_is_named_or_changes_nothing(
    run: Path, name: str, stride: int
) -> None:
    whole, copy = contents(run), run.with_name("copy")
    expected = gone_on(shutil.copytree(run, copy))
    kept = len(expected[1][name])
    for position, damaged in flips(whole[name], stride):
        for path, data in whole.items():
            (copy / path).write_bytes(data)
        (copy / name).write_bytes(damaged)
        before = contents(copy)
        # What was logged after the checkpoint is taken again, so that it may say anything.
        if position >= kept:
            assert gone_on(copy) == expected
            continue
        with pytest.raises(REFUSALS) as refusal:
            gone_on(copy)
        assert "\n" not in str(refusal.value)
        assert contents(copy) == before


def test_every_field_of_the_configuration_is_covered_by_name(run: Path) -> None:
    path = run / "config.json"
    fields = json.loads(path.read_text())
    for name in fields.keys() - {"checks", "schema", "kind"}:
        changed = 7 if name in ("threads", "seed") else fields[name]
        if changed == fields[name]:
            changed = "other" if isinstance(fields[name], str) else None
        if name in ("options", "versions"):
            changed = {}
        if changed == fields[name]:
            continue
        path.write_text(json.dumps(fields | {name: changed}))
        with pytest.raises(CorruptRunError, match=f": {name} was changed|not a RunConfig"):
            check_config(run)
    path.write_text(json.dumps(fields | {"threads": 7}, indent=2))
    with pytest.raises(CorruptRunError, match="threads was changed since the run began"):
        RunWriter.resume(run, None)


def test_a_configuration_without_checks_is_that_of_an_older_version(run: Path) -> None:
    path = run / "config.json"
    fields = json.loads(path.read_text())
    del fields["checks"]
    path.write_text(json.dumps(fields))
    check_config(run)
    checkpoint, _ = latest_checkpoint(run)
    # Its checkpoint is not: it knows the file it was saved beside.
    with pytest.raises(CorruptRunError, match="not the file that the checkpoint of step 0"):
        RunWriter.resume(run, checkpoint)


def test_a_checkpoint_of_format_1_goes_on(run: Path) -> None:
    path = run / "checkpoints" / "step-00000000.ckpt"
    head, _, data = path.read_bytes().partition(b"\n")
    new = json.loads(head)

    old = {name: new[name] for name in ("step", "bytes", "log_lengths")}
    old["sha256"] = hashlib.sha256(data).hexdigest()
    path.write_bytes(json.dumps(old).encode() + b"\n" + data)
    assert gone_on(run)[0] == b"state"
    for lengths in ({"steps.json": 9, "metrics.jsonl": 0}, {"steps.jsonl": 9}):
        path.write_bytes(json.dumps(old | {"log_lengths": lengths}).encode() + b"\n" + data)
        before = contents(run)
        with pytest.raises(CorruptRunError, match="knows the logs"):
            gone_on(run)
        assert contents(run) == before


def test_the_digest_of_a_log_follows_what_is_appended(run: Path, step_record: MakeStep) -> None:
    checkpoint, _ = latest_checkpoint(run)
    with RunWriter.resume(run, checkpoint) as writer:
        for step in (1, 2, 3):
            writer.append_step(step_record(step))
            writer.save_checkpoint(step, b"later")
    for _ in range(2):
        newest, _ = latest_checkpoint(run)
        assert newest is not None
        with RunWriter.resume(run, newest):
            pass


def test_a_run_is_locked_while_it_is_written_and_free_afterwards(run: Path) -> None:
    checkpoint, _ = latest_checkpoint(run)
    with (
        RunWriter.resume(run, checkpoint),
        pytest.raises(RunStorageError, match="another process is writing"),
    ):
        RunWriter.resume(run, checkpoint)
    with RunWriter.resume(run, checkpoint):
        pass
