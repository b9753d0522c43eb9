import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from qnewton.cost import (
    calibration_path,
    fit,
    latest_calibration,
    load_calibration,
    nominal_calibration,
    save_calibration,
)
from qnewton.runs import cache_folder

MACHINE = "Some CPU, 2 threads, torch 2.13.0"
CALIBRATION = replace(
    nominal_calibration(),
    name="local",
    machine=MACHINE,
    fits=(fit("lu", "float32", [(1e6, 1e-3), (1e9, 0.3)]), *nominal_calibration().fits[2:]),
)


def spoil(folder, change):
    """Save the calibration, let ``change`` edit the parsed file, and return its path."""
    path = save_calibration(CALIBRATION, folder)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_what_was_saved_comes_back(tmp_path):
    folder = tmp_path / "not" / "there" / "yet"
    path = save_calibration(CALIBRATION, folder)
    assert path == calibration_path(MACHINE, folder)
    assert load_calibration(MACHINE, folder) == CALIBRATION
    assert [p.name for p in folder.iterdir()] == [path.name]


def test_saving_again_replaces(tmp_path):
    save_calibration(CALIBRATION, tmp_path)
    newer = replace(CALIBRATION, date="2030-01-01")
    save_calibration(newer, tmp_path)
    assert load_calibration(MACHINE, tmp_path) == newer


def test_another_machine_has_none(tmp_path):
    save_calibration(CALIBRATION, tmp_path)
    assert load_calibration(MACHINE.replace("2 threads", "4 threads"), tmp_path) is None
    assert load_calibration(MACHINE, tmp_path / "elsewhere") is None


def test_the_folder_follows_the_environment():
    everything = {"QNEWTON_CACHE": "/q", "XDG_CACHE_HOME": "/x"}
    assert cache_folder(everything) == Path("/q")
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/qnewton")
    assert cache_folder({}) == Path.home() / ".cache" / "qnewton"
    assert cache_folder({"QNEWTON_CACHE": "", "XDG_CACHE_HOME": ""}) == cache_folder({})


def test_the_folder_is_read_from_the_process_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path))
    save_calibration(CALIBRATION)
    assert calibration_path(MACHINE).parent == tmp_path
    assert load_calibration(MACHINE) == CALIBRATION


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": 1}', b'{"schema": 1, "calibration": 3}'],
)
def test_a_damaged_file_says_what_to_run(tmp_path, content):
    path = save_calibration(CALIBRATION, tmp_path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="run `qnewton calibrate --force`") as raised:
        load_calibration(MACHINE, tmp_path)
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [-1e-9, "NaN", "Infinity", "fast", [1], None])
def test_a_damaged_rate(tmp_path, value):
    spoil(tmp_path, lambda c: c["calibration"]["fits"][0].update(seconds_per_unit=value))
    with pytest.raises(ValueError, match="run `qnewton calibrate --force`"):
        load_calibration(MACHINE, tmp_path)


def test_a_newer_layout_is_refused(tmp_path):
    spoil(tmp_path, lambda c: c.update(schema=2))
    with pytest.raises(ValueError, match="its schema is 2, this version reads 1"):
        load_calibration(MACHINE, tmp_path)


def test_a_file_of_another_machine_is_refused(tmp_path):
    spoil(tmp_path, lambda c: c["calibration"].update(machine="a borrowed one"))
    with pytest.raises(ValueError, match="it belongs to 'a borrowed one'"):
        load_calibration(MACHINE, tmp_path)


def test_a_full_disk_keeps_the_old_calibration_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = save_calibration(CALIBRATION, tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_calibration(replace(CALIBRATION, date="2030-01-01"), tmp_path)
    monkeypatch.undo()
    assert load_calibration(MACHINE, tmp_path) == CALIBRATION
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_made(tmp_path):
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    with pytest.raises(OSError, match="a-file"):
        save_calibration(CALIBRATION, blocked)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="no permission binds this user"
)
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        save_calibration(CALIBRATION, tmp_path)


def test_a_rate_that_is_not_a_rate_is_not_kept(tmp_path):
    wrong = replace(CALIBRATION.fits[0], overhead_s=float("nan"))
    with pytest.raises(ValueError, match="overhead_s of lu is nan"):
        save_calibration(replace(CALIBRATION, fits=(wrong,)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_latest_is_the_one_saved_last_whatever_its_machine(tmp_path):
    assert latest_calibration(tmp_path) is None
    other = replace(CALIBRATION, machine="another machine")
    for time_s, calibration in enumerate((CALIBRATION, other, CALIBRATION), start=1):
        path = save_calibration(calibration, tmp_path)
        os.utime(path, (time_s, time_s))
        assert latest_calibration(tmp_path) == calibration
    (tmp_path / "notes.json").write_text("{}")
    assert latest_calibration(tmp_path) == CALIBRATION


def test_a_damaged_latest_is_not_passed_over(tmp_path):
    save_calibration(replace(CALIBRATION, machine="another machine"), tmp_path)
    path = save_calibration(CALIBRATION, tmp_path)
    path.write_text("{")
    os.utime(path, (2e9, 2e9))
    with pytest.raises(ValueError, match="run `qnewton calibrate --force`"):
        latest_calibration(tmp_path)
