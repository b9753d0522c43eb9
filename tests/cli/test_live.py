"""A run's page while it trains."""

import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from qnewton.cli import main
from qnewton.cli.live import LivePage
from qnewton.runs import recorded


def seen(page: LivePage) -> str:
    with urllib.request.urlopen(page.address, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    [run] = recorded("pinn")
    return Path(shutil.copytree(run.folder, tmp_path / "run"))


def test_the_page_says_how_far_it_is_and_stops_with_the_run(folder: Path) -> None:
    page = LivePage(folder)
    assert page.address.startswith("http://127.0.0.1:")
    assert "The training begins." in seen(page)
    page.tell("training", 3, 16)
    assert "training, step 3 of 16" in seen(page)
    page.tell("training", 4, 16)  # a moment later
    assert "training, step 3 of 16" in seen(page)
    page._looked = None  # nobody looks any longer: nobody is waited for
    page.close()
    assert "data-live" not in (folder / "report.html").read_text(encoding="utf-8")
    with pytest.raises(urllib.error.URLError):
        seen(page)


def test_a_page_that_cannot_be_written_ends_no_training(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "report.html").mkdir()
    page = LivePage(folder)
    page.tell("training", 1, 16)
    page.tell("training", 2, 16)
    page.close()
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("the page is no longer live: cannot write") == 2  # once more at the end


@pytest.mark.slow
def test_training_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "digits", "--steps", "2", "--live", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert re.search(r"the page is live at http://127\.0\.0\.1:\d+/ until the run ends", said.err)
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "data-live" not in html
    assert "It took 2 steps" in html
