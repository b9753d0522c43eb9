"""One HTML page for a run or a comparison, complete in itself: it opens without a network."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from qnewton.report.break_even import break_even, break_even_points
from qnewton.report.clocks import measured_text, modelled_text
from qnewton.report.loss_curves import Curve, drawable_steps, loss_curves
from qnewton.report.page_tables import (
    PageTable,
    calibration_table,
    hardware_table,
    option_table,
    price_table,
    step_table,
)
from qnewton.report.quantities import UNKNOWN, number_text, seconds_text, share_text
from qnewton.report.save import Picture
from qnewton.report.stage_breakdown import stage_breakdown
from qnewton.report.style import method_look, solver_look
from qnewton.report.tables import COMPARISON_HEADERS, NOT_REACHED, comparison_cells
from qnewton.runs import (
    Comparison,
    Run,
    RunConfig,
    read_comparison,
    read_config,
    read_run,
    write_atomically,
)
from qnewton.runs.errors import storage

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Figure:
    """A picture on the page: heading, chart specification, caption."""

    title: str
    spec: dict[str, Any]
    caption: str


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` into the folder of a run or of a comparison.

    Everything on the page comes from the folder. Pictures are drawn by the page's own script,
    about 1 MB, so that they answer to the pointer; nothing is fetched.

    Args:
        folder: What ``qnewton train`` or ``qnewton compare`` has written.

    Returns:
        Path of the page.

    Raises:
        NotARunError: If the folder holds neither.
        CorruptRunError: If a file in it is damaged.
        RunStorageError: If the page cannot be written.
    """
    folder = Path(folder)
    config = read_config(folder)
    if config.kind == "compare":
        page = _comparison_page(config, read_comparison(folder), folder)
    else:
        page = _run_page(read_run(folder))
    path = folder / REPORT_FILE
    with storage("write", path, resumable=False):
        write_atomically(path, page.encode())
    return path


def curves_of(comparison: Comparison, folder: str | os.PathLike[str]) -> list[Curve]:
    """Return the curves of a comparison, methods that took the same steps as one.

    Args:
        comparison: What was compared.
        folder: Its folder, which holds the runs as subfolders.
    """
    curves = []
    for name in dict.fromkeys(row.run for row in comparison.rows):
        rows = [row for row in comparison.rows if row.run == name]
        label = comparison_cells(rows[0])[0]
        if len(rows) > 1:
            label = f"Newton: {', '.join(row.label for row in rows)}"
        # Q-Newton stands for the methods that share its steps.
        method = next((row.method for row in rows if row.method == "q-newton"), rows[0].method)
        curves.append(Curve(read_run(Path(folder) / name), method, label))
    return curves


def _run_page(run: Run) -> str:
    config = run.config
    look = method_look(config.policy)
    figures, tables = [], [step_table(run, "Steps")] if run.steps else []
    if drawable_steps(run):
        picture = loss_curves([Curve(run, config.policy, look.label)])
        figures.append(_figure("Loss and accuracy", picture))
    figures += _solve_figures(run)
    tables += _background_tables(config, [run])
    return _render(
        config,
        title=f"{config.workload}, {look.label}",
        tiles=_run_tiles(run),
        tables_first=(),
        figures=figures,
        tables=tables,
        warnings=run.warnings,
    )


def _comparison_page(config: RunConfig, comparison: Comparison, folder: Path) -> str:
    curves = curves_of(comparison, folder)
    runs = [curve.run for curve in curves]
    table = PageTable(
        f"Steps and time to {100 * comparison.target:g}% test accuracy",
        (*COMPARISON_HEADERS, "note"),
        [(*comparison_cells(row), row.note or "") for row in comparison.rows],
        note="" if all(row.reached for row in comparison.rows) else f"{NOT_REACHED}.",
        text_columns=frozenset({0, len(COMPARISON_HEADERS)}),
    )
    figures = []
    if any(drawable_steps(run) for run in runs):
        figures.append(_figure("Loss and accuracy", loss_curves(curves, comparison.target)))
    tables = []
    priced = next((curve for curve in curves if break_even_points(curve.run)), None)
    if priced is not None:
        figures += _solve_figures(priced.run)
        tables.append(step_table(priced.run, f"Steps of {priced.label}"))
    tables += _background_tables(config, runs)
    return _render(
        config,
        title=f"{comparison.workload}: methods compared",
        tiles=(),
        tables_first=(table,),
        figures=figures,
        tables=tables,
        warnings=[warning for run in runs for warning in run.warnings],
    )


def _solve_figures(run: Run) -> list[Figure]:
    figures = []
    if break_even_points(run):
        machines = run.config.profiles or (
            () if run.config.hardware is None else (run.config.hardware,)
        )
        figures.append(_figure("Break-even gate time", break_even(run, machines)))
    if run.steps:
        figures.append(_figure("Where the measured time went", stage_breakdown(run)))
    return figures


def _figure(title: str, picture: Picture) -> Figure:
    return Figure(title, picture.chart.to_dict(), picture.caption)


def _background_tables(config: RunConfig, runs: Sequence[Run]) -> list[PageTable]:
    tables = [price_table(runs)]
    if config.calibration is not None:
        tables.append(calibration_table(config.calibration))
    machines = dict.fromkeys((config.hardware, *config.profiles))
    known = [machine for machine in machines if machine is not None]
    if known:
        tables.append(hardware_table(known))
    tables.append(option_table(config))
    return [table for table in tables if table.rows]


def _run_tiles(run: Run) -> list[tuple[str, str]]:
    modelled = [step.modelled.total for step in run.steps if step.modelled is not None]
    whole = len(modelled) == len(run.steps) > 0
    decisions = [
        f"{solver_look(solver).label} {count}" for solver, count in run.decisions().items()
    ]
    return [
        ("steps", str(len(run.steps))),
        ("last loss", number_text(run.steps[-1].loss if run.steps else None)),
        ("test accuracy", share_text(run.metrics[-1].test_accuracy if run.metrics else None)),
        ("measured total", seconds_text(sum(step.measured.total for step in run.steps))),
        ("modelled total", seconds_text(sum(modelled) if whole else None)),
        ("solvers chosen", ", ".join(decisions) or UNKNOWN),
    ]


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("qnewton.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _vega() -> str:
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _render(config: RunConfig, **content: Any) -> str:
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            config=config,
            clocks=(measured_text(config), modelled_text(config)),
            vega=_vega(),
            **content,
        )
    )
