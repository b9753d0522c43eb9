"""The page in a browser: no barriers in both colors, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qnewton.report import write_report
from qnewton.runs import Run
from tests.browsing import PHONE, Reader, sideways, violations
from tests.report.test_quantum_solves import through_qsvt

if TYPE_CHECKING:
    from playwright.sync_api import Page

WriteRun = Callable[..., Run]

pytestmark = pytest.mark.slow


def opened(reader: Reader, folder: Path) -> Page:
    page = reader.open(write_report(folder))
    page.wait_for_function("document.documentElement.dataset.ready")
    return page


_OPENED = """
() => {
  for (const part of document.querySelectorAll("details")) part.open = true;
  // Rows are alike, and axe looks at each: three of a table stand for all.
  for (const row of document.querySelectorAll("tbody tr:nth-child(n + 4)")) row.remove();
}
"""


def without_barriers(page: Page) -> None:
    """Check the page with everything opened: light at a desk, and dark on a phone."""
    page.evaluate(_OPENED)
    assert violations(page) == []
    page.check("input[name=theme][value=dark]", force=True)
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert violations(page) == []
    assert sideways(page) == 0


_WALK = """
async () => {
  const settled = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const faults = [];
  for (const term of document.querySelectorAll(".term")) {
    const meaning = document.getElementById(term.getAttribute("aria-controls"));
    if (!meaning.hidden) faults.push(`open at first: ${term.textContent}`);
    term.click();
    if (meaning.hidden || term.ariaExpanded !== "true") faults.push(`shut: ${term.textContent}`);
  }
  const figures = [...document.querySelectorAll("figure")];
  for (const figure of figures) {
    const chart = figure.querySelector(".chart");
    const title = figure.querySelector("h3").textContent;
    for (const choice of figure.querySelectorAll("input[type=radio]")) {
      choice.click();
      await settled();
      const axis = choice.value === "step" ? "step" : "seconds since the start";
      const shown = chart.querySelector("svg").textContent;
      if (!shown.includes(axis)) faults.push(`${title}: ${choice.value}`);
    }
    chart.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    const read = figure.querySelector(".reading").textContent;
    if (!read.startsWith("1 of ")) faults.push(`${title}: keys`);
    const share = chart.querySelector("svg").getBoundingClientRect().width / chart.clientWidth;
    if (share > 1.01 || share < 0.9) faults.push(`${title}: ${share} of its card`);
    figure.querySelector("details").open = true;
    await settled();
    if (!figure.querySelector("details td")) faults.push(`${title}: no table`);
  }
  return [figures.length, faults];
}
"""


def clicked_through(page: Page) -> int:
    """Move every control, ask every chart, and return how many charts there are."""
    figures, faults = page.evaluate(_WALK)
    assert faults == []
    return figures


def test_a_comparison(reader: Reader, comparison_folder: Path) -> None:
    page = opened(reader, comparison_folder)
    term = page.locator(".term").first
    meaning = page.locator(".meaning").first
    for visible in (True, False):
        term.press("Enter")
        assert meaning.is_visible() is visible
    page.locator(".chart").first.press("End")
    assert "94 of 94: " in page.locator(".reading").first.inner_text()
    assert clicked_through(page) >= 6
    page.hover("#figure-stages-measured .chart path[d^='M1']", force=True)
    assert "stage: " in page.locator(".tooltip").inner_text()
    with page.expect_download() as saved:
        page.click("#figure-loss .button")
    lines = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "method,quantity,step,measured_s,modelled_s,value"
    assert len(lines) == 1 + 24 + 70
    without_barriers(page)


def test_a_run_with_quantum_solves(
    reader: Reader, tmp_path: Path, newton_run: Run, write_run: WriteRun
) -> None:
    first, second, *rest = newton_run.steps
    steps = [through_qsvt(first), through_qsvt(second, success_probability=0.01), *rest]
    steps[5] = replace(steps[5], skipped="loss is NaN", loss=float("nan"))
    page = opened(reader, write_run(tmp_path / "quantum", steps, list(newton_run.metrics)).folder)
    assert clicked_through(page) >= 8
    without_barriers(page)


def test_first_order_steps_alone(reader: Reader, sgd_run: Run) -> None:
    page = opened(reader, sgd_run.folder)
    assert clicked_through(page) == 4
    with page.expect_download() as saved:
        page.click("#files summary")
        page.click("#files .button")
    lines = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 71
    without_barriers(page)


def test_a_run_without_steps(reader: Reader, tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "run", [], [], calibration=None, hardware=None, profiles=())
    page = opened(reader, run.folder)
    assert clicked_through(page) == 0
    without_barriers(page)
