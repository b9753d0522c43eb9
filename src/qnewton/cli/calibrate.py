"""``qnewton calibrate``: this machine's classical constants."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from qnewton import cost
from qnewton.cli.output import PROGRESS, RESULTS, print_json, warn
from qnewton.records import Calibration, encode


@dataclass(frozen=True, kw_only=True)
class ClassicalOptions:
    """The classical machine that prices are made for.

    Attributes:
        calibration: Its constants: local (what qnewton calibrate stored last), nominal, or a
            profile's name or TOML file, such as paper-h100. What is measured stays this machine's.
    """

    calibration: str | None = None

    def chosen(self) -> Calibration | None:
        """Return the constants that are named; ``None`` where none are."""
        match self.calibration:
            case None:
                return None
            case "local":
                return cost.latest_calibration() or cost.nominal_calibration()
            case "nominal":
                return cost.nominal_calibration()
            case name:
                return cost.load_classical(name)


@dataclass(frozen=True, kw_only=True)
class SolverOptions(ClassicalOptions):
    """The classical machine that prices are made for, and how exactly its solvers solve.

    Attributes:
        tolerance: Relative residual of the iterative classical solvers.
        dtype: Precision of the classical solvers.
    """

    tolerance: float | None = None
    dtype: Literal["float32", "float64"] | None = None


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
        drift, force = self.drift, self.force
        calibration = load_or_calibrate(force=force) if drift is None else keep_drifts(drift)
        if self.json:
            print_json(encode(calibration))
            return
        _show(calibration)


def load_or_calibrate(*, force: bool = False) -> Calibration:
    """Return this machine's stored calibration, measuring and storing one if there is none.

    Where the cache folder cannot be written the calibration is used all the same, with a warning.
    """
    from qnewton.optimizer import describe_machine

    machine = describe_machine()
    stored = None if force else cost.load_calibration(machine)
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
        path = cost.save_calibration(measured)
    except OSError as error:
        warn(
            f"the calibration could not be stored in {cost.calibration_path(machine).parent} "
            f"({error.strerror}); set QNEWTON_CACHE to a folder that can be written"
        )
    else:
        PROGRESS.print(f"calibrated this machine, stored in {path}", markup=False)
    return measured


def keep_drifts(folder: Path) -> Calibration:
    """Store what a finished run found of its prices in this machine's calibration; return that.

    Raises:
        ValueError: If the folder is no run, this machine has no calibration, or the run's prices
            rest on another.
    """
    from qnewton.optimizer import describe_machine
    from qnewton.runs import read_run

    run, machine = read_run(folder), describe_machine()
    stored = cost.load_calibration(machine)
    if stored is None:
        raise ValueError("this machine has no calibration to correct; run `qnewton calibrate`")
    priced = run.config.calibration
    if priced is None or replace(priced, drifts=()) != replace(stored, drifts=()):
        other = f"its prices do not rest on the calibration stored for {machine!r}"
        raise ValueError(f"--drift {folder}: {other}; train again with that, and take the new run")
    corrected = cost.with_drifts(stored, cost.measured_drifts(run.steps, priced))
    cost.save_calibration(corrected)
    return corrected


def _show(calibration: Calibration) -> None:
    from qnewton.report.tables import calibration_table

    RESULTS.print(calibration_table(calibration).rich())
    RESULTS.print("Prices are overhead + rate · work, and follow the timings themselves.")
    for drift in calibration.drifts:
        RESULTS.print(
            f"{drift.solver}: {drift.solves} solves of training runs took {drift.ratio:.2f}× "
            "their price, which prices now include"
        )
