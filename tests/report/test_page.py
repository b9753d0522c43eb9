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
from tests.report.test_quantum_solves import through_qsvt

WriteRun = Callable[..., Run]


class Text(HTMLParser):
    """The page as a reader sees it who opens nothing, and what it would fetch."""

    _INLINE = ("button", "span", "b", "strong", "dfn", "a", "small")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self._hidden: list[str] = []
        self._parts: list[str] = []
        self.feed(html)
        self.lines = [" ".join(line.split()) for line in "".join(self._parts).split("\0")]

    @property
    def shown(self) -> str:
        """All lines."""
        return "\n".join(line for line in self.lines if line)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("script", "style") or "hidden" in dict(attrs):
            self._hidden.append(tag)
        if tag not in self._INLINE:
            self._parts.append("\0")
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        if self._hidden[-1:] == [tag]:
            self._hidden.pop()
        if tag not in self._INLINE:
            self._parts.append("\0")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._parts.append(data)


def page_of(folder: Path) -> tuple[Text, str]:
    path = write_report(folder)
    assert path == folder / "report.html"
    html = path.read_text(encoding="utf-8")
    return Text(html), html


@pytest.mark.slow
def test_a_run(newton_run: Run) -> None:
    text, html = page_of(newton_run.folder)
    shown = text.shown
    assert "digits, Q-Newton" in shown
    assert "Measured: wall-clock time on x86_64, 2 cores, Linux 6.1, 2 threads." in shown
    assert "attosecond (hypothetical machine; gate time 1 as: Q-Newton paper" in shown
    assert "Quantum (Jennings) 149 ps †" in shown
    assert "† on a machine that does not exist." in shown
    assert "Quantum (QSVT) refused †" in shown
    assert "1 × the determinant bound e^1000 overflows" in shown
    assert "one gate a query" in shown
    assert html.count("<figure") >= 5


@pytest.mark.slow
def test_nothing_is_fetched(newton_run: Run, comparison_folder: Path) -> None:
    for folder in (newton_run.folder, comparison_folder):
        text, html = page_of(folder)
        assert set(text.fetched) <= {"#story"}
        assert "link" not in text.tags
        assert len(html) < 1.5e6


def test_a_comparison(comparison_folder: Path) -> None:
    text, _ = page_of(comparison_folder)
    for words in ("SGD, lr 0.3", "> 70", "Classical-only", "4 of 19 steps have no finite quantum"):
        assert any(words in line for line in text.lines), words
    curves = curves_of(read_comparison(comparison_folder), comparison_folder)
    assert [(curve.label, curve.method) for curve in curves] == [
        ("SGD, lr 0.3", "sgd"),
        ("Newton", "q-newton"),
    ]


def test_names_from_the_folder_cannot_become_markup(newton_run: Run) -> None:
    evil = "</script><script>alert(1)</script>"
    block = newton_run.steps[0].blocks[0]
    step = replace(newton_run.steps[0], step=24, blocks=(replace(block, name=evil),))
    with (newton_run.folder / "steps.jsonl").open("a") as log:
        log.write(json.dumps({"schema": SCHEMA_VERSION} | encode(step)) + "\n")
    text, html = page_of(newton_run.folder)
    assert "<script>alert" not in html
    # The page's data, the what-if panel's, and the page's own.
    assert text.tags.count("script") == 3
    assert any("alert(1)" in line for line in text.lines)


def test_a_run_without_steps(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run", [], [], calibration=None, hardware=None, profiles=())
    text, html = page_of(run.folder)
    assert "Modelled: nothing, no prices were in force." in text.lines
    assert "This run has taken no step yet." in text.lines
    assert "window.vega" not in html


def test_first_order_and_skipped_steps_say_why(
    sgd_run: Run, tmp_path: Path, write_run: WriteRun, newton_run: Run
) -> None:
    text, _ = page_of(sgd_run.folder)
    assert "The first 15 and last 10 of 70 steps; all of them are in steps.jsonl." in text.lines
    steps = [
        replace(newton_run.steps[0], phase="first-order", reason="warm-up", blocks=()),
        replace(newton_run.steps[1], skipped="loss is NaN", loss=float("nan")),
    ]
    text, _ = page_of(write_run(tmp_path / "odd", steps, []).folder)
    assert "first order: warm-up" in text.lines
    assert "skipped: loss is NaN" in text.lines


def test_numbers_without_end_are_left_out(
    tmp_path: Path, write_run: WriteRun, newton_run: Run
) -> None:
    nan, inf = float("nan"), float("inf")
    through = through_qsvt(newton_run.steps[0], expected_queries=inf, success_probability=nan)
    steps = [through, replace(newton_run.steps[1], loss=inf), *newton_run.steps[2:4]]
    evaluated = [replace(metric, test_accuracy=nan) for metric in newton_run.metrics[:2]]
    run = write_run(tmp_path / "odd", steps, [*evaluated, *newton_run.metrics[2:4]])
    text, html = page_of(run.folder)
    assert html.count("<figure") >= 5
    assert "digits, Q-Newton" in text.lines
    assert "NaN" not in html.split('id="data">')[1].split("</script>")[0].split('"files"')[0]


def test_a_torn_log_is_said_on_the_page(newton_run: Run) -> None:
    with (newton_run.folder / "steps.jsonl").open("a") as log:
        log.write('{"step": 2')
    text, _ = page_of(newton_run.folder)
    assert any("line 25, has no end: left out" in line for line in text.lines)


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


def test_several_runs_share_a_page(tmp_path: Path, newton_run: Run, sgd_run: Run) -> None:
    place = tmp_path / "both.html"
    assert write_report(newton_run.folder, sgd_run.folder, out=place) == place
    text = Text(place.read_text(encoding="utf-8"))
    assert "2 runs side by side: digits" in text.lines
    assert {"q-newton", "sgd"} <= set(text.lines)
    whole = Text(write_report(tmp_path, out=place).read_text(encoding="utf-8"))
    assert "2 runs side by side: digits" in whole.lines


def test_a_comparison_has_a_page_of_its_own(comparison_folder: Path, newton_run: Run) -> None:
    with pytest.raises(NotARunError, match="is a comparison, which has a page of its own"):
        write_report(comparison_folder, newton_run.folder)


def test_a_comparison_that_goes_on_shows_what_it_has(comparison_folder: Path) -> None:
    (comparison_folder / "comparison.json").unlink()
    text, _ = page_of(comparison_folder)
    assert "2 runs side by side: digits" in text.lines


def test_a_run_of_the_package_needs_a_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"such as --out page\.html"):
        write_report("recorded/digits")
    place = write_report("recorded/digits", out=tmp_path / "digits.html")
    text = Text(place.read_text(encoding="utf-8"))
    said = "The classical computer wins all 15 Newton steps: CG would solve their systems in "
    assert any(line.startswith(said) for line in text.lines)


@pytest.mark.slow
def test_a_thousand_steps_are_two_megabytes_at_most(newton_run: Run) -> None:
    line = (newton_run.folder / "steps.jsonl").read_text().splitlines()[3]
    record = json.loads(line)
    lines = [json.dumps(record | {"step": step}) for step in range(1000)]
    (newton_run.folder / "steps.jsonl").write_text("\n".join(lines) + "\n")
    text, html = page_of(newton_run.folder)
    assert len(html.encode()) < 2e6
    assert any("100 of 1000" in line for line in text.lines)
