"""Training runs that several artifacts read: trained once, then read back from their folders."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from paper.artifact import PaperContext
from qnewton.runs import Run, read_run
from qnewton.training.loop import Progress
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare
from qnewton.workloads import Workload

K = TypeVar("K")


def kept_runs(
    context: PaperContext,
    workload: Workload,
    folder: Path,
    grid: Mapping[K, tuple[str, TrainingRequest]],
    text: Callable[[str], str] = str,
) -> dict[K, Run]:
    """Return the run of every case of a grid, each in the folder that the case names."""
    found = {}
    for case, (name, request) in grid.items():
        context.progress(text(name))
        found[case] = kept_run(context, request, workload, folder / name)
    return found


def first_order_runs(
    context: PaperContext,
    workload: Workload,
    folder: Path,
    request: TrainingRequest,
    rates: Iterable[float],
    text: Callable[[str], str] = str,
) -> dict[float, Run]:
    """Return the run of a first-order optimizer at every learning rate."""
    grid = {rate: (f"{request.optimizer}-lr{rate:g}", replace(request, lr=rate)) for rate in rates}
    return kept_runs(context, workload, folder, grid, text)


def kept_run(
    context: PaperContext,
    request: TrainingRequest,
    workload: Workload,
    folder: Path,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Return the training run in ``folder``, trained now unless it is there and whole."""
    session = prepare(request, workload, context.calibration)
    if folder.exists():
        run = read_run(folder)
        if run.config.options != session.config.options:
            raise other_settings(folder)
        if len(run.steps) == request.steps or reached(run, request.target):
            return run
        shutil.rmtree(folder)
    begin(session, folder, on_step)
    return read_run(folder)


def reached(run: Run, target: float | None) -> bool:
    """Return whether the run's last evaluation met the target."""
    return target is not None and bool(run.metrics) and run.metrics[-1].test_accuracy >= target


def other_settings(folder: Path) -> ValueError:
    """Return the error of a folder whose run is another one."""
    return ValueError(
        f"{folder} holds a run made with other settings; choose another folder with --runs, or "
        "remove it"
    )
