"""The pictures of a run or a comparison, and one HTML page that opens without a network."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from qnewton import runs
from qnewton.report import run_pictures, tables
from qnewton.report.break_even import break_even, break_even_points
from qnewton.report.quantities import UNKNOWN, number_text, seconds_text, share_text
from qnewton.report.quantum_solves import quantum_solves, quantum_table
from qnewton.report.run_pictures import Curve, drawable_steps, loss_curves
from qnewton.report.run_summary import measured_text, modelled_text, summary_texts
from qnewton.report.save import Picture, save_chart
from qnewton.report.style import method_look, solver_look
from qnewton.report.table import Column, Table, table_of
from qnewton.report.vega import vl_convert
from qnewton.runs import Comparison, Run, RunConfig
from qnewton.scheduler.policy import POLICIES

PICTURES_FOLDER = "pictures"
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
    config = runs.read_config(folder)
    if config.kind == "compare":
        page = _comparison_page(config, runs.read_comparison(folder), folder)
    else:
        page = _run_page(runs.read_run(folder))
    return runs.write_text(folder / REPORT_FILE, page)


def _run_page(run: Run) -> str:
    steps = (tables.step_table(run, "Steps"), quantum_table(run))
    return _render(
        run.config,
        title=f"{run.config.workload}, {method_look(run.config.policy).label}",
        tiles=_run_tiles(run),
        tables_first=(),
        figures=pictures_of_run(run),
        tables=[*steps, *_background(run.config, [run])],
        warnings=run.warnings,
    )


def _comparison_page(config: RunConfig, comparison: Comparison, folder: Path) -> str:
    curves = curves_of(comparison, folder)
    trained = [curve.run for curve in curves]
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
        tables=[*steps, *_background(config, trained)],
        warnings=[warning for run in trained for warning in run.warnings],
    )


def _background(config: RunConfig, trained: Sequence[Run]) -> list[Table]:
    """Return the tables of what a page rests on: prices, machines and options."""
    machines = [m for m in dict.fromkeys((config.hardware, *config.profiles)) if m is not None]
    prices = [tables.price_table(trained)]
    if config.calibration is not None:
        prices.append(tables.calibration_table(config.calibration))
    return [*prices, tables.hardware_table(machines), tables.option_table(config)]


def _run_tiles(run: Run) -> list[tuple[str, str]]:
    modelled = [step.modelled.total for step in run.steps if step.modelled is not None]
    whole = len(modelled) == len(run.steps) > 0
    decisions = [f"{solver_look(name).label} {count}" for name, count in run.decisions().items()]
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


def pictures_of_run(run: Run) -> dict[str, Picture]:
    """Return a run's pictures by heading: loss, break-even gate time, solves, measured stages."""
    pictures = {}
    if drawable_steps(run):
        policy = run.config.policy
        curve = Curve(run, policy, method_look(policy).label)
        pictures["Loss and accuracy"] = loss_curves([curve])
    return pictures | _pictures_of_solves(run)


def pictures_of_comparison(
    comparison: Comparison, folder: str | os.PathLike[str]
) -> dict[str, Picture]:
    """Return a comparison's pictures by heading; the solves are those of its Newton run."""
    curves = curves_of(comparison, folder)
    pictures = {}
    if any(drawable_steps(curve.run) for curve in curves):
        pictures["Loss and accuracy"] = loss_curves(curves, comparison.target)
    priced = priced_curve(curves)
    if priced is None:
        return pictures
    # A run that stands for all policies was solved by whatever is fastest; the choice to show
    # is Q-Newton's.
    own = POLICIES.find(priced.run.config.policy)
    policy = "paper" if own is not None and not own.needs_entries else None
    return pictures | _pictures_of_solves(priced.run, policy)


def curves_of(comparison: Comparison, folder: str | os.PathLike[str]) -> list[Curve]:
    """Return the curves of a comparison, methods that took the same steps as one.

    Args:
        comparison: What was compared.
        folder: Its folder, which holds the runs as subfolders.
    """
    curves = []
    for name in dict.fromkeys(row.run for row in comparison.rows):
        rows = [row for row in comparison.rows if row.run == name]
        label = tables.method_text(rows[0])
        if len(rows) > 1:
            label = f"Newton: {', '.join(row.label for row in rows)}"
        # Q-Newton stands for the methods that share its steps.
        shown = next((row for row in rows if row.method == "q-newton"), rows[-1])
        curves.append(Curve(runs.read_run(Path(folder) / name), shown.method, label))
    return curves


def priced_curve(curves: list[Curve]) -> Curve | None:
    """Return the first curve whose steps have quantum prices, or ``None``."""
    return next((curve for curve in curves if break_even_points(curve.run)), None)


def write_pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """Write every picture of a run or a comparison as PNG, SVG and CSV into ``pictures/``.

    Args:
        folder: What ``qnewton train`` or ``qnewton compare`` has written.

    Returns:
        The files.

    Raises:
        NotARunError: If the folder holds neither.
        RunStorageError: If a file cannot be written.
    """
    folder = Path(folder)
    if runs.read_config(folder).kind == "compare":
        pictures = pictures_of_comparison(runs.read_comparison(folder), folder)
    else:
        pictures = pictures_of_run(runs.read_run(folder))
    return [
        path
        for heading, picture in pictures.items()
        for path in save_chart(picture, folder / PICTURES_FOLDER, heading.lower().replace(" ", "-"))
    ]


def _pictures_of_solves(run: Run, policy: str | None = None) -> dict[str, Picture]:
    pictures = {}
    if break_even_points(run):
        machines = run.config.profiles or (
            () if run.config.hardware is None else (run.config.hardware,)
        )
        pictures["Break-even gate time"] = break_even(run, machines, policy)
    quantum = quantum_solves(run)
    if quantum is not None:
        pictures["Quantum solves"] = quantum
    layers = run_pictures.layers_of_run(run)
    if layers is not None:
        pictures["Solver of each layer"] = layers
    if run.steps:
        pictures["Where the measured time went"] = run_pictures.stage_breakdown(run)
    return pictures
