"""Commands where the extra ``report`` is not installed, as after ``pip install qnewton``."""

import sys
import tomllib
from pathlib import Path

import pytest

from qnewton.cli import main

INSTALL = "pip install 'qnewton[report]'"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder to work in, and neither of the libraries that draw."""
    for name in ("altair", "vl_convert"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def the_one_line(text: str) -> str:
    (line,) = [" ".join(text.split())]
    assert line.count(INSTALL) == 1
    return line


@pytest.mark.slow
def test_training_goes_on_and_says_in_one_line_why_there_is_no_page(
    without_report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "digits", "--steps", "1", "--out", "run[1]"]) == 0
    said = capsys.readouterr()
    assert said.out.rstrip().endswith("run folder run[1]")
    assert the_one_line(said.err[said.err.index("warning:") :]).startswith("warning: pictures")
    assert (without_report / "run[1]" / "steps.jsonl").is_file()
    assert not (without_report / "run[1]" / "report.html").exists()
    assert main(["report", "run[1]"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert the_one_line(said.err).startswith("qnewton: pictures and pages need ")


def test_a_map_leaves_its_tables(without_report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = ["--n", "64", "--kappa", "100", "--points", "3"]
    assert main(["map", *system, "--out", "found"]) == 0
    said = capsys.readouterr()
    the_one_line(said.err[said.err.index("warning:") :])
    assert "wrote found/map.csv" in said.out
    names = sorted(path.suffix for path in (without_report / "found").iterdir())
    assert set(names) == {".csv"}


def test_pictures_that_were_asked_for_are_refused(
    without_report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system = ["--n", "64", "--kappa", "100"]
    assert main(["price", *system, "--pictures", "drawn"]) == 2
    the_one_line(capsys.readouterr().err)
    assert not (without_report / "drawn").exists()


@pytest.mark.usefixtures("without_report")
def test_the_paper_s_figures_say_what_they_need(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "paper"]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["paper", "table-1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "need altair" in said.err
    assert "'.[report,text]'" in said.err


def test_who_works_on_the_project_gets_every_extra_that_its_tests_need() -> None:
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for name in ("docs", "dev"):
        (own,) = [wanted for wanted in extras[name] if wanted.startswith("qnewton[")]
        assert "report" in own.removeprefix("qnewton[").rstrip("]").split(",")
