"""Which pictures a run or a comparison has, and writing them as files."""

import os
from pathlib import Path

from qnewton.report.break_even import break_even, break_even_points
from qnewton.report.quantum_solves import quantum_solves
from qnewton.report.run_pictures import (
    Curve,
    drawable_steps,
    layers_of_run,
    loss_curves,
    stage_breakdown,
)
from qnewton.report.save import Picture, save_chart
from qnewton.report.style import method_look
from qnewton.report.tables import method_text
from qnewton.runs import Comparison, Run, read_comparison, read_config, read_run
from qnewton.scheduler.policy import POLICIES

PICTURES_FOLDER = "pictures"


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
        label = method_text(rows[0])
        if len(rows) > 1:
            label = f"Newton: {', '.join(row.label for row in rows)}"
        # The last one, Q-Newton, stands for the methods that share its steps.
        curves.append(Curve(read_run(Path(folder) / name), rows[-1].method, label))
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
    if read_config(folder).kind == "compare":
        pictures = pictures_of_comparison(read_comparison(folder), folder)
    else:
        pictures = pictures_of_run(read_run(folder))
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
    layers = layers_of_run(run)
    if layers is not None:
        pictures["Solver of each layer"] = layers
    if run.steps:
        pictures["Where the measured time went"] = stage_breakdown(run)
    return pictures
