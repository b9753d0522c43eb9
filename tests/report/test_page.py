import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from qnewton.records import SCHEMA_VERSION, encode
from qnewton.report import comparison_table, curves_of, write_report
from qnewton.runs import (
    NotARunError,
    Run,
    RunStorageError,
    read_comparison,
    read_config,
    write_comparison,
)

WriteRun = Callable[..., Run]


class Text(HTMLParser):
    """The page as a reader sees it, and what it would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden += tag in ("script", "style")
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.words.append(" ".join(data.split()))


def page_of(folder: Path) -> tuple[Text, str]:
    path = write_report(folder)
    assert path == folder / "report.html"
    html = path.read_text(encoding="utf-8")
    return Text(html), html


@pytest.mark.slow
def test_a_run(newton_run: Run) -> None:
    text, html = page_of(newton_run.folder)
    shown = "\n".join(text.words)
    assert "digits, Q-Newton" in shown
    assert "Measured: wall-clock time on x86_64, 2 cores, Linux 6.1, 2 threads." in shown
    assert "attosecond (hypothetical machine; gate time 1 as: Q-Newton paper" in shown
    assert "Quantum (QSVT) 149 ps †" in shown
    assert "† on a machine that does not exist." in shown
    assert "Quantum (QSVT) refused †" in shown
    assert "1 × the determinant bound e^1000 overflows" in shown
    assert "one gate a query" in shown
    assert html.count("vegaEmbed(") >= 3


def test_nothing_is_fetched(newton_run: Run, comparison_folder: Path) -> None:
    for folder in (newton_run.folder, comparison_folder):
        text, html = page_of(folder)
        assert text.fetched == []
        assert "link" not in text.tags
        assert len(html) < 1.5e6


def test_a_comparison(comparison_folder: Path) -> None:
    text, _ = page_of(comparison_folder)
    for words in ("SGD, lr 0.3", "> 70", "Classical-only", "4 of 19 steps have no finite quantum"):
        assert any(words in line for line in text.words), words
    curves = curves_of(read_comparison(comparison_folder), comparison_folder)
    assert [curve.label for curve in curves] == [
        "SGD, lr 0.3",
        "Newton: Classical-only, Quantum-only, Q-Newton",
    ]


def test_names_from_the_folder_cannot_become_markup(newton_run: Run) -> None:
    evil = "</script><script>alert(1)</script>"
    block = newton_run.steps[0].blocks[0]
    step = replace(newton_run.steps[0], step=24, blocks=(replace(block, name=evil),))
    with (newton_run.folder / "steps.jsonl").open("a") as log:
        log.write(json.dumps({"schema": SCHEMA_VERSION} | encode(step)) + "\n")
    text, html = page_of(newton_run.folder)
    assert "<script>alert" not in html
    assert text.tags.count("script") == 1
    assert any("alert(1)" in line for line in text.words)


def test_a_run_without_steps(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run", [], [], calibration=None, hardware=None, profiles=())
    text, _ = page_of(run.folder)
    assert "Modelled: nothing, no prices were in force." in text.words
    assert "script" not in text.tags


def test_first_order_and_skipped_steps_say_why(
    sgd_run: Run, tmp_path: Path, write_run: WriteRun, newton_run: Run
) -> None:
    text, _ = page_of(sgd_run.folder)
    assert "The first 15 and last 10 of 70 steps; all of them are in steps.jsonl." in text.words
    steps = [
        replace(newton_run.steps[0], phase="first-order", reason="warm-up", blocks=()),
        replace(newton_run.steps[1], skipped="loss is NaN", loss=float("nan")),
    ]
    text, _ = page_of(write_run(tmp_path / "odd", steps, []).folder)
    assert "first order: warm-up" in text.words
    assert "skipped: loss is NaN" in text.words


def test_a_torn_log_is_said_on_the_page(newton_run: Run) -> None:
    with (newton_run.folder / "steps.jsonl").open("a") as log:
        log.write('{"step": 2')
    text, _ = page_of(newton_run.folder)
    assert any("line 25, has no end: left out" in line for line in text.words)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(NotARunError):
        write_report(tmp_path)


def test_a_page_that_cannot_be_written(newton_run: Run) -> None:
    (newton_run.folder / "report.html").mkdir()
    with pytest.raises(RunStorageError, match=r"cannot write .*report\.html: Is a directory"):
        write_report(newton_run.folder)


def printed(folder: Path, width: int, models: tuple[str, ...] = ()) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(comparison_table(read_comparison(folder), read_config(folder), models))
    return captured.get()


def test_the_terminal_table_names_its_clocks(comparison_folder: Path) -> None:
    text = printed(comparison_folder, 80, ("C·N³ for LU inversion",))
    flat = " ".join(text.split())
    assert re.search(r"here, +modelled", text)
    assert re.search(r"κ and d +per step", text)
    assert "hypothetical machine; gate time 1 as" in flat
    assert "C·N³ for LU inversion" in flat
    assert "[2] 4 of 19 steps have no finite quantum price" in flat
    assert "the target was not reached" in flat
    for row in ("SGD, lr 0.3", "Classical-only", "Quantum-only", "Q-Newton"):
        assert row in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_markup_in_a_label_is_text(comparison_folder: Path) -> None:
    comparison = read_comparison(comparison_folder)
    row = replace(comparison.rows[0], label="SGD [bold]", note="[/red]")
    write_comparison(comparison_folder, replace(comparison, rows=(row,)))
    text = printed(comparison_folder, 100)
    assert "SGD [bold]" in text
    assert "[1] [/red]" in text


def test_reports_load_no_torch() -> None:
    program = "import sys, qnewton.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
