import os
import stat
from pathlib import Path

import pytest

from qnewton.runs.atomic import is_leftover, remove_leftovers, write_atomically


def test_replaces_the_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_atomically(target, b"a long first version")
    write_atomically(target, b"second", b" version")
    assert target.read_bytes() == b"second version"
    assert os.listdir(tmp_path) == ["a.json"]


def test_honors_the_umask(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    write_atomically(tmp_path / "written", b"")
    ordinary, written = ((tmp_path / name).stat().st_mode for name in ("ordinary", "written"))
    assert stat.S_IMODE(written) == stat.S_IMODE(ordinary)


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    target = tmp_path / "a.json"
    write_atomically(target, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_leftovers_are_told_apart_from_files_of_the_run(tmp_path: Path) -> None:
    for name in (".config.json.17.tmp", "config.json", ".gitignore", "notes.tmp"):
        (tmp_path / name).touch()
    assert is_leftover(".config.json.17.tmp")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".gitignore", "config.json", "notes.tmp"]
