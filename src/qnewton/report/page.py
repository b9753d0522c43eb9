"""One HTML page of a run, a comparison or several runs, which opens without a network."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qnewton import runs
from qnewton.report import what_if_panel
from qnewton.report.figures import drawn_by_script
from qnewton.report.glossary import Explainer, terms
from qnewton.report.look import style_sheet
from qnewton.report.page_runs import PageRuns, page_runs
from qnewton.report.page_script import page_script, vega_script
from qnewton.report.page_story import story_of
from qnewton.report.run_files import steps_csv
from qnewton.report.style import dark_colors
from qnewton.report.template_files import page_templates, script_data
from qnewton.report.vega import check_installed, unchecked
from qnewton.runs.recorded import RECORDED

REPORT_FILE = "report.html"

Folder = str | os.PathLike[str]


def write_report(
    folder: Folder, *more: Folder, out: Folder | None = None, live: str | None = None
) -> Path:
    """Write one page of what folders hold: a run, a comparison, or several runs side by side.

    Everything on it comes from the folders. Its charts are drawn by the page's own script, so that
    they answer to pointer and keyboard; nothing is fetched.

    Args:
        folder: What ``qnewton train`` or ``qnewton compare`` has written, a folder of such runs, or
            ``recorded/NAME`` for a run that comes with the package.
        more: Other runs for the same page.
        out: The page; by default ``report.html`` in the folder, and of several folders in the
            working directory.
        live: What a run that goes on says of itself, such as ``training, step 3 of 10``: the page
            then loads itself again every few seconds. ``None`` for one that is finished.

    Returns:
        Path of the page.

    Raises:
        NotARunError: If a folder holds neither, or comparisons are among several.
        CorruptRunError: If a file in it is damaged.
        RunStorageError: If the page cannot be written.
        ValueError: If a run that comes with the package is shown and ``out`` is not given.

    Cost:
        Some 10 ms per chart, and some ms per system for prices, of at most
        :data:`qnewton.report.step_prices.MOST_SYSTEMS`.
    """
    told = replace(page_runs((folder, *more)), live=live)
    return runs.write_text(_place((folder, *more), out), page_of(told))


def page_of(told: PageRuns) -> str:
    """Return the page of some runs, as HTML."""
    check_installed()
    # Pictures are checked against Vega-Lite's schema where they become files; a page need not wait.
    with unchecked():
        story = story_of(told)
    figures = [figure for section in story.sections for figure in section.figures]
    data = drawn_by_script(figures) | {
        "dark": dark_colors(),
        "files": {f"{c.label}.csv": steps_csv(c.run) for c in told.curves if c.run.steps},
    }
    return (
        page_templates()
        .get_template("page.html.j2")
        .render(
            story=story,
            explain=Explainer(),
            terms=terms(),
            style=style_sheet() + what_if_panel.style(),
            vega=vega_script() if figures else "",
            script=page_script() + what_if_panel.script(),
            data=script_data(data),
        )
    )


def _place(folders: Sequence[Folder], out: Folder | None) -> Path:
    if out is not None:
        return Path(out)
    first = Path(folders[0])
    if len(folders) > 1:
        return Path(REPORT_FILE)
    if first.parts[:1] == (RECORDED,) and not first.exists():
        raise ValueError(
            f"{first} comes with the package, whose folder is no place for a page; name the page, "
            "such as --out page.html"
        )
    return first / REPORT_FILE
