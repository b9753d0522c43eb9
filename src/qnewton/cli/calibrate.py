"""``qnewton calibrate``: this machine's classical constants."""

from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from qnewton.cli.output import PROGRESS, RESULTS, print_json, warn
from qnewton.records import Calibration, encode


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Time this machine's matrix kernels and fit the constants its classical prices use.

    Takes one to two minutes, once: the result is stored, shown again by later calls, and frozen
    into every run that uses it. Without it prices rest on nominal rates and say so.

    Attributes:
        force: Measure again even if a calibration is stored.
        drift: Folder of a finished run: how much longer its solves took than their prices said is
            stored with the calibration and multiplies the prices of later runs.
        json: Print the calibration as one JSON object.
    """

    force: bool = False
    drift: Path | None = None
    json: bool = False

    def run(self) -> None:
        """Measure or load the calibration, and show it."""
        if self.drift is not None and self.force:
            raise ValueError("--force measures anew and --drift corrects; give one of them")
        if self.drift is not None:
            calibration = keep_drifts(self.drift)
        else:
            calibration = load_or_calibrate(force=self.force)
        if self.json:
            print_json(encode(calibration))
            return
        RESULTS.print(_table(calibration))
        for drift in calibration.drifts:
            RESULTS.print(
                f"{drift.solver}: {drift.solves} solves of training runs took {drift.ratio:.2f}× "
                "their price, which prices now include",
                highlight=False,
            )


def load_or_calibrate(*, force: bool = False) -> Calibration:
    """Return this machine's stored calibration, measuring and storing one if there is none.

    Where the cache folder cannot be written the calibration is used all the same, with a warning.
    """
    from qnewton.cost import calibration_path, load_calibration, save_calibration
    from qnewton.optimizer import describe_machine

    machine = describe_machine()
    stored = None if force else load_calibration(machine)
    if stored is not None:
        return stored
    from qnewton.experiments.calibrate import calibrate, timings

    total = sum(1 for _ in timings(seed=0))
    columns = (TextColumn("calibrating this machine: {task.description}"), BarColumn())
    with Progress(*columns, TimeElapsedColumn(), console=PROGRESS, transient=True) as progress:
        task = progress.add_task("", total=total)
        measured = calibrate(
            on_timing=lambda timing: progress.update(
                task, advance=1, description=f"{timing.kernel} {timing.dtype}"
            )
        )
    try:
        path = save_calibration(measured)
    except OSError as error:
        warn(
            f"the calibration could not be stored in {calibration_path(machine).parent} "
            f"({error.strerror}); set QNEWTON_CACHE to a folder that can be written"
        )
    else:
        PROGRESS.print(f"calibrated this machine, stored in {path}", highlight=False)
    return measured


def keep_drifts(folder: Path) -> Calibration:
    """Store what a finished run found of its prices in this machine's calibration; return that.

    Raises:
        ValueError: If the folder is no run, this machine has no calibration, or the run's prices
            rest on another.
    """
    from qnewton.cost import load_calibration, measured_drifts, save_calibration, with_drifts
    from qnewton.optimizer import describe_machine
    from qnewton.runs import read_run

    run, machine = read_run(folder), describe_machine()
    stored = load_calibration(machine)
    if stored is None:
        raise ValueError("this machine has no calibration to correct; run `qnewton calibrate`")
    priced = run.config.calibration
    if priced is None or replace(priced, drifts=()) != replace(stored, drifts=()):
        raise ValueError(
            f"--drift {folder}: its prices do not rest on the calibration stored for {machine!r}; "
            "train again with that, and take the new run"
        )
    corrected = with_drifts(stored, measured_drifts(run.steps, priced))
    save_calibration(corrected)
    return corrected


def _table(calibration: Calibration) -> Table:
    table = Table(
        title=f"Calibration of this machine, {calibration.date}",
        caption=f"{calibration.machine}\n{calibration.source}\nseconds = overhead + rate · work, "
        "and prices follow the timings themselves",
    )
    for heading, side in (
        ("kernel", "left"),
        ("dtype", "left"),
        ("unit of work", "left"),
        ("rate (s a unit)", "right"),
        ("overhead (s)", "right"),
        ("median error of the fit", "right"),
    ):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    for fit in calibration.fits:
        error = "" if fit.median_error is None else f"{fit.median_error:.0%}"
        table.add_row(
            fit.kernel,
            fit.dtype,
            fit.work,
            f"{fit.seconds_per_unit:.3g}",
            f"{fit.overhead_s:.2g}",
            error,
        )
    return table
