"""``qnewton list``: names from the registries, as options take them."""

import json

import pytest

from qnewton import cost
from qnewton.cli import main
from qnewton.scheduler.policy import POLICIES
from qnewton.workloads import WORKLOADS, Source


def listed(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["list", *words.split()]) == 0
    return capsys.readouterr().out


def test_everything_that_can_be_named(capsys) -> None:
    found = json.loads(listed("--json", capsys))
    names = {kind: [row["name"] for row in rows] for kind, rows in found.items()}
    assert names == {
        "workloads": list(WORKLOADS.names),
        "machines": list(cost.available_hardware()),
        "solvers": list(cost.SOLVERS.names),
        "policies": list(POLICIES.names),
        "calibrations": ["local", *cost.available_classical()],
    }
    assert all(row["what"] for rows in found.values() for row in rows)
    said = listed("", capsys)
    assert max(map(len, said.splitlines())) <= 80
    for kind, known in names.items():
        assert f"{kind} (" in said
        assert all(f"\n {name} " in said for name in known)


def test_a_machine_that_does_not_exist_is_marked(capsys) -> None:
    found = json.loads(listed("machines --json", capsys))["machines"]
    hypothetical = {row["name"]: row["hypothetical"] for row in found}
    assert hypothetical["attosecond"] is True
    assert hypothetical["ibm_sherbrooke"] is False
    lines = [line for line in listed("machines", capsys).splitlines() if "gate time" in line]
    assert {line.split()[0] for line in lines if "hypothetical" in line} == {
        name for name, marked in hypothetical.items() if marked
    }


def test_what_others_register_is_listed(capsys) -> None:
    WORKLOADS.register(Source("ours", lambda seed, data_dir: None, "our own"))  # type: ignore[arg-type]
    try:
        assert " ours                  our own" in listed("workloads", capsys)
    finally:
        WORKLOADS.unregister("ours")


def test_a_calibration_that_cannot_be_read_is_said(capsys, tmp_path, monkeypatch) -> None:
    (tmp_path / "calibration-1.json").write_text("{")
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path))
    assert "local" in listed("calibrations", capsys)
    first = json.loads(listed("calibrations --json", capsys))["calibrations"][0]
    assert first["what"].startswith("cannot be read: ")


def test_without_a_calibration_its_command_is_named(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path))
    assert "none yet: qnewton calibrate makes it" in listed("calibrations", capsys)
