"""The pictures of a run or a comparison as files, and a run's steps as a table for programs."""

import os
from pathlib import Path
from typing import Any

from qnewton.records import StepRecord
from qnewton.report.break_even import break_even, has_quantum_quotes
from qnewton.report.loss_curves import loss_curve, loss_curves
from qnewton.report.page_runs import PageRuns, page_runs
from qnewton.report.quantum_solves import quantum_solves
from qnewton.report.run_pictures import layers_of_run, stage_breakdown
from qnewton.report.save import Picture, csv_text, save_chart
from qnewton.runs import Run
from qnewton.scheduler.policy import POLICIES

PICTURES_FOLDER = "pictures"


def write_pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """Write every picture of a run or a comparison as PNG, SVG and CSV into ``pictures/``.

    Args:
        folder: What ``qnewton train`` or ``qnewton compare`` has written.

    Returns:
        The files.

    Raises:
        NotARunError: If the folder holds neither.
        RunStorageError: If a file cannot be written.

    Cost:
        Half a second per picture.
    """
    pictures = pictures_of(page_runs([folder]))
    into = Path(folder) / PICTURES_FOLDER
    return [
        path
        for heading, picture in pictures.items()
        for path in save_chart(picture, into, heading.lower().replace(" ", "-"))
    ]


def pictures_of(told: PageRuns) -> dict[str, Picture]:
    """Return the pictures of a run or a comparison by heading; solves are those of one run."""
    target = None if told.comparison is None else told.comparison.target
    pictures: dict[str, Picture] = {}
    if loss_curve(told.curves) is not None:
        pictures["Loss and accuracy"] = loss_curves(told.curves, target)
    run = None if told.told is None else told.told.run
    if run is None or (told.comparison is not None and not has_quantum_quotes(run)):
        return pictures
    drawn = {
        "Break-even gate time": break_even_of(told, run),
        "Quantum solves": quantum_solves(run),
        "Solver of each layer": layers_of_run(run),
        "Where the measured time went": stage_breakdown(run) if run.steps else None,
    }
    return pictures | {heading: found for heading, found in drawn.items() if found is not None}


def break_even_of(told: PageRuns, run: Run) -> Picture | None:
    """Return the break-even picture of a run; ``None`` where no step has a quantum quote."""
    if not has_quantum_quotes(run):
        return None
    machine = run.config.hardware
    machines = run.config.profiles or (() if machine is None else (machine,))
    # A comparison's run is solved by whatever is fastest; the choice to show is Q-Newton's.
    own = POLICIES.find(run.config.policy)
    shared = told.comparison is not None and own is not None and not own.needs_entries
    return break_even(run, machines, "paper" if shared else None)


def steps_csv(run: Run) -> str:
    """Return all steps of a run as CSV, one line each, times in seconds and clocks apart."""
    return csv_text([_cells(step) for step in run.steps])


def _cells(step: StepRecord) -> dict[str, Any]:
    modelled = step.modelled
    lambdas = [block.treatment.damping for block in step.blocks]
    return {
        "step": step.step,
        "phase": step.phase,
        "loss": step.loss,
        "gradient_norm": step.gradient_norm,
        "step_norm": step.step_norm,
        "cosine": step.cosine,
        "damping": max(lambdas, default=None),
        "systems": len(step.blocks),
        "solvers": " ".join(f"{name}:{count}" for name, count in step.solvers.items()),
        "skipped": step.skipped,
        "reason": step.reason,
        "measured_seconds": step.measured.total,
        "measured_solve_seconds": step.measured.solve,
        "modelled_seconds": None if modelled is None else modelled.total,
        "modelled_solve_seconds": None if modelled is None else modelled.solve,
    }
