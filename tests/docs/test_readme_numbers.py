"""README's numbers about quantum solvers are those that the commands beside them print."""

import json
import shlex
from pathlib import Path

import pytest

from qnewton.cli import main

README = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
REPLAY = "qnewton replay recorded"
PAPERS = f"{REPLAY} --cost-model paper --hardware photonic-thz"
PRICE = "qnewton price --n 12544 --kappa 100 --sparsity 64 --verbose"


def printed(command: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert f"`{command}`" in README
    assert main([*shlex.split(command)[1:], *more]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_wins_on_recorded_runs(capsys: pytest.CaptureFixture[str]) -> None:
    said = " ".join(json.loads(printed(REPLAY, capsys, "--json"))["verdict"].split())
    assert "cheaper in 0 of 301 solves" in said
    assert "cheaper in 0 of their 301 solves" in README
    assert "all its times are 1.71e+10 times shorter" in said
    assert "1.7·10¹⁰ times shorter" in README
    said = json.loads(printed(PAPERS, capsys, "--json"))["verdict"]
    assert "cheaper in 233 of 286 solves" in said
    assert "win 233 of 286" in README


@pytest.mark.slow
def test_the_price_of_one_step(capsys: pytest.CaptureFixture[str]) -> None:
    # README names no machine of its reader's: nominal rates stand for it.
    said = printed(PRICE, capsys, "--calibration", "nominal")
    for of_the_command, of_readme in (
        ("CG on h100 takes 3.59 ms", "modelled H100 takes 3.6 ms"),
        ("takes 8444 years", "takes 8,444 years"),
        ("36.6 h", "37 hours for one state"),
        ("States that are read: 2.01·10⁶", "takes two million"),
    ):
        assert of_the_command in said
        assert of_readme in README
