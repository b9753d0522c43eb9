import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.runs import CorruptRunError, NewerSchemaError, latest_checkpoint, read_checkpoint
from qnewton.runs.checkpoints import Checkpoint, checkpoint_paths, write_checkpoint


def save(folder: Path, step: int, data: bytes) -> Path:
    lengths = {"steps.jsonl": 10 * step}
    return write_checkpoint(folder, Checkpoint(step=step, data=data, log_lengths=lengths))


@settings(deadline=None, max_examples=30)
@given(data=st.binary(max_size=400))
def test_any_bytes_come_back(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("run")
    path = save(folder, 7, data)
    assert read_checkpoint(path) == Checkpoint(step=7, data=data, log_lengths={"steps.jsonl": 70})


def test_keeps_the_two_newest_by_step_not_by_name(tmp_path: Path) -> None:
    for step in (9, 99_999_998, 99_999_999, 100_000_000):
        save(tmp_path, step, b"state")
    assert [path.name for path in checkpoint_paths(tmp_path)] == [
        "step-99999999.ckpt",
        "step-100000000.ckpt",
    ]


@pytest.mark.slow
def test_every_flipped_byte_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path, 7, b"\x00state\nof the run\xff")
    whole = path.read_bytes()
    header = whole.index(b"\n")
    for position in range(len(whole)):
        for bit in (1, 4, 32, 128):
            damaged = bytearray(whole)
            damaged[position] ^= bit
            path.write_bytes(damaged)
            said = "checksum does not match" if position > header else "step-00000007.ckpt"
            with pytest.raises(CorruptRunError, match=said):
                read_checkpoint(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptRunError, match=r"cut short|no readable checkpoint"):
            read_checkpoint(path)


def test_the_newest_intact_one_is_found_and_the_damaged_one_named(tmp_path: Path) -> None:
    save(tmp_path, 4, b"good")
    newest = save(tmp_path, 9, b"newer")
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    checkpoint, warnings = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.data) == (4, b"good")
    assert len(warnings) == 1
    assert "step-00000009.ckpt is damaged" in warnings[0]


def test_none_intact(tmp_path: Path) -> None:
    save(tmp_path, 4, b"good").write_bytes(b"")
    # To begin again would cut the logs, which are all that is left, to nothing.
    with pytest.raises(CorruptRunError, match=r"no other checkpoint .* is intact; its records are"):
        latest_checkpoint(tmp_path)


def test_a_file_of_format_1_is_read_as_it_was(tmp_path: Path) -> None:
    path, data = tmp_path / "step-00000007.ckpt", b"state\n"
    digest = hashlib.sha256(data).hexdigest()
    lengths = {"steps.jsonl": 70, "metrics.jsonl": 0}
    header = {"step": 7, "bytes": len(data), "sha256": digest, "log_lengths": lengths}
    path.write_bytes(json.dumps(header).encode() + b"\n" + data)
    assert read_checkpoint(path) == Checkpoint(step=7, data=data, log_lengths=lengths)
    path.write_bytes(json.dumps(header).encode() + b"\n" + data[:-1] + b"?")
    with pytest.raises(CorruptRunError, match="checksum"):
        read_checkpoint(path)


def test_a_renamed_file_and_a_newer_format_are_named(tmp_path: Path) -> None:
    path = save(tmp_path, 7, b"state")
    renamed = path.rename(path.with_name("step-00000009.ckpt"))
    with pytest.raises(CorruptRunError, match="holds step 7: it was renamed"):
        read_checkpoint(renamed)
    covered = b'{"format": 3, "step": 9, "bytes": 1, "log_lengths": {}, "sha256": "'
    digest = hashlib.sha256(covered + b"x").hexdigest().encode()
    renamed.write_bytes(covered + digest + b'"}\nx')
    with pytest.raises(NewerSchemaError, match="format 3"):
        read_checkpoint(renamed)


def test_a_header_that_is_json_but_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "step-00000001.ckpt"
    for header in (b"[1]\n", b"{}\n", b"7\n"):
        path.write_bytes(header)
        with pytest.raises(CorruptRunError, match="no readable checkpoint"):
            read_checkpoint(path)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for step in range(3):
        save(tmp_path, step, b"state")
    (tmp_path / "checkpoints" / "mine.ckpt").touch()
    save(tmp_path, 3, b"state")
    assert sorted(os.listdir(tmp_path / "checkpoints")) == [
        "mine.ckpt",
        "step-00000002.ckpt",
        "step-00000003.ckpt",
    ]
