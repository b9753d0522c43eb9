"""One HTML page for a run or a comparison, complete in itself: it opens without a network."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from qnewton.report import tables
from qnewton.report.pictures import (
    curves_of,
    pictures_of_comparison,
    pictures_of_run,
    priced_curve,
)
from qnewton.report.quantities import UNKNOWN, number_text, seconds_text, share_text
from qnewton.report.quantum_solves import quantum_table
from qnewton.report.run_summary import measured_text, modelled_text, summary_texts
from qnewton.report.style import method_look, solver_look
from qnewton.report.table import Column, Table, table_of
from qnewton.runs import (
    Comparison,
    Run,
    RunConfig,
    read_comparison,
    read_config,
    read_run,
    write_text,
)

REPORT_FILE = "report.html"


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
    return write_text(folder / REPORT_FILE, page)


def _run_page(run: Run) -> str:
    return _render(
        run.config,
        title=f"{run.config.workload}, {method_look(run.config.policy).label}",
        tiles=_run_tiles(run),
        tables_first=(),
        figures=pictures_of_run(run),
        tables=[
            tables.step_table(run, "Steps"),
            quantum_table(run),
            *_background(run.config, [run]),
        ],
        warnings=run.warnings,
    )


def _comparison_page(config: RunConfig, comparison: Comparison, folder: Path) -> str:
    curves = curves_of(comparison, folder)
    runs = [curve.run for curve in curves]
    compared = table_of(
        f"Steps and time to {100 * comparison.target:g}% test accuracy",
        (*tables.COMPARISON_COLUMNS, Column("note", lambda row: row.note or "", words=True)),
        comparison.rows,
        note="" if all(row.reached for row in comparison.rows) else f"{tables.NOT_REACHED}.",
    )
    priced = priced_curve(curves)
    steps = [] if priced is None else [tables.step_table(priced.run, f"Steps of {priced.label}")]
    return _render(
        config,
        title=f"{comparison.workload}: methods compared",
        tiles=(),
        tables_first=(compared,),
        figures=pictures_of_comparison(comparison, folder),
        tables=[*steps, *_background(config, runs)],
        warnings=[warning for run in runs for warning in run.warnings],
    )


def _background(config: RunConfig, runs: Sequence[Run]) -> list[Table]:
    """Return the tables of what a page rests on: prices, machines and options."""
    machines = [m for m in dict.fromkeys((config.hardware, *config.profiles)) if m is not None]
    calibration = config.calibration
    return [
        tables.price_table(runs),
        *([] if calibration is None else [tables.calibration_table(calibration)]),
        tables.hardware_table(machines),
        tables.option_table(config),
    ]


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
        *summary_texts(run.config, run.steps).items(),
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


def _render(config: RunConfig, tables: Sequence[Table], **content: Any) -> str:
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            config=config,
            clocks=(measured_text(config), modelled_text(config)),
            vega=_vega(),
            tables=[table for table in tables if table.rows],
            **content,
        )
    )
