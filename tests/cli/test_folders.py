"""Which run is meant: the one that is named, the newest, and which one of a comparison."""

import os

import pytest

from qnewton.cli.folders import named_or_newest, priced_folders
from qnewton.cli.main import main
from qnewton.runs import (
    Comparison,
    ComparisonRow,
    NotARunError,
    create_folder,
    write_comparison,
)
from tests import recorded


def row(label: str, run: str, share: float | None) -> ComparisonRow:
    return ComparisonRow(
        method=label.lower(),
        label=label,
        steps=1,
        reached=True,
        test_accuracy=0.9,
        measured_seconds=None,
        modelled_seconds=1.0,
        modelled_seconds_per_step=1.0,
        quantum_share=share,
        run=run,
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, (name, kind) in enumerate((("b", "train"), ("a", "compare"), ("c", "train"))):
        folder = create_folder(tmp_path / "runs" / name, recorded.run_config(kind=kind))
        os.utime(folder / "config.json", (number, number))
    rows = (row("SGD", "sgd", None), row("Q-Newton", "newton", 0.3), row("Best", "newton", 0.0))
    found = Comparison(workload="digits", target=0.9, seed=0, run="a", rows=rows)
    write_comparison(tmp_path / "runs" / "a", found)
    create_folder(tmp_path / "runs" / "a" / "newton", recorded.run_config(kind="train"))
    create_folder(tmp_path / "runs" / "a" / "sgd", recorded.run_config(kind="train"))
    return tmp_path


def test_the_newest_run_is_taken_and_said(here, capsys) -> None:
    assert named_or_newest(None).as_posix() == "runs/c"
    assert capsys.readouterr().err == "the newest run below runs/ is runs/c\n"
    os.utime("runs/b/config.json", (9, 9))
    assert named_or_newest(None).as_posix() == "runs/b"
    assert named_or_newest(here).as_posix() == here.as_posix()


def test_of_a_comparison_the_runs_that_solve_systems_are_priced(here, capsys) -> None:
    found = list(priced_folders(here / "runs" / "a"))
    assert found == [here / "runs" / "a" / "newton"]
    said = capsys.readouterr().err
    assert "is a comparison: priced are the steps of newton; SGD solves no system" in said
    assert [path.name for path in priced_folders(here / "runs")] == ["newton", "b", "c"]


def test_what_is_no_run(here) -> None:
    with pytest.raises(NotARunError, match="does not exist"):
        list(priced_folders(here / "none"))


@pytest.mark.parametrize("words", ["replay", "report"])
def test_without_any_run_the_way_out_is_said(words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([words]) == 2
    assert "or make one with qnewton train digits" in capsys.readouterr().err
