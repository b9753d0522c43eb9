"""``qnewton train --execute circuit``: what a run keeps, and how it goes on."""

import sys
from pathlib import Path

import pytest

from qnewton.cli import main
from qnewton.runs import read_run

pytestmark = pytest.mark.slow

BY_CIRCUIT = ["projected-digits", "--policy", "quantum-only", "--execute", "circuit"]
READ = ["--readout", "amplitude", "--shots", "1000"]


def test_a_run_by_circuits_goes_on_to_the_same_numbers(calibrated_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--steps", "4", "--checkpoint-every", "2"]
    assert main(["train", *BY_CIRCUIT, *READ, *options, "--out", "run"]) == 0
    whole = read_run("run")
    assert whole.config.options["execute"] == "circuit"
    figures = [block.attempts[0].quantum for step in whole.steps for block in step.blocks]
    assert {found.execution for found in figures if found is not None} == {"circuit"}
    # The run as it was after its first checkpoint.
    Path("run/checkpoints/step-00000004.ckpt").unlink()
    assert main(["train", "--resume", "run"]) == 0
    again = read_run("run")
    assert [s.loss for s in again.steps] == [s.loss for s in whole.steps]
    assert [s.step_norm for s in again.steps] == [s.step_norm for s in whole.steps]
    assert main(["replay", "run"]) == 0


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_library_that_is_missing_is_one_line_before_training_begins(
    command, calibrated_cache, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("qnewton.solvers.quantum.circ")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "qiskit", None)
    asked = ["projected-digits", "--execute", "circuit", "--out", "run"]
    if command == "train":
        asked += ["--policy", "quantum-only"]
    assert main([command, *asked]) == 2
    error = capsys.readouterr().err
    assert error == "qnewton: circuits need qiskit; pip install 'qnewton[quantum]'\n"
    assert not Path("run").exists()


def test_a_block_that_is_too_large_is_one_line_before_training_begins(
    calibrated_cache, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    asked = ["digits", "--policy", "quantum-only", "--execute", "circuit", "--out", "run"]
    assert main(["train", *asked]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "1,482 unknowns; circuits encode at most 256" in error
    assert not Path("run").exists()
