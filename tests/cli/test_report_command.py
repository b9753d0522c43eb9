"""``qnewton report``: one page of one run, or of several."""

import json
from pathlib import Path

import pytest

from qnewton.cli import main


def test_runs_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "both.html"
    runs = ["recorded/digits", "recorded/pinn"]
    assert main(["report", *runs, "--out", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": str(place), "pictures": []}
    assert "2 runs side by side: digits, pinn" in place.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recorded/digits"], "name the page, such as --out page.html"),
        (["recorded/none", "--out", "page.html"], "no recorded run is called 'none'"),
        (["a", "b", "--pictures"], "--pictures takes one folder, not 2"),
        ([], "no folder is named and there is no run below runs/"),
    ],
)
def test_what_cannot_be_shown(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
