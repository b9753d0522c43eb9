"""``qnewton calibrate``: this machine's classical constants."""

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import ClassVar, Literal

from qnewton import cost
from qnewton.cli.output import RESULTS, Verbose, note, print_json, say, warn
from qnewton.cli.progress import Progress
from qnewton.records import Calibration, encode


@dataclass(frozen=True, kw_only=True)
class ClassicalOptions:
    """The classical machine that prices are made for.

    Attributes:
        calibration: The classical machine's constants: local (what qnewton calibrate stored last),
            nominal, or a profile's name or TOML file, such as paper-h100. What is measured stays
            this machine's.
    """

    calibration: str | None = None

    def chosen(self) -> Calibration | None:
        """Return the constants that are named; ``None`` where none are."""
        return None if self.calibration is None else self.named()

    def named(self) -> Calibration:
        """Return the constants that are named, by default what was stored last, else nominal."""
        match self.calibration:
            case None | "local":
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

    @property
    def precision(self) -> str:
        """The precision that prices are made for."""
        return self.dtype or "float32"

    @property
    def residual(self) -> float:
        """The relative residual that prices are made for."""
        return self.tolerance or 1e-6


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Time this machine's matrix kernels and fit the constants its classical prices use.

    Takes one to two minutes, once: the result is stored, shown again by later calls, and frozen
    into every run that uses it. Without it prices rest on nominal rates and say so.

    Examples: qnewton calibrate; qnewton calibrate --force; qnewton calibrate --drift runs/digits

    Attributes:
        force: Measure again even if a calibration is stored.
        drift: Folder of a finished run: how much longer its solves took than their prices said is
            stored with the calibration and multiplies the prices of later runs.
        verbose: Show every rate, and how well it fits the timings.
        json: Print the calibration as one JSON object.
    """

    usual: ClassVar[tuple[str, ...]] = ("force", "drift", "verbose", "json")

    force: bool = False
    drift: Path | None = None
    verbose: Verbose = False
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
        _show(calibration, verbose=self.verbose)


def load_or_calibrate(*, force: bool = False) -> Calibration:
    """Return this machine's stored calibration, measuring and storing one if there is none.

    Where the cache folder cannot be written the calibration is used all the same, with a warning.
    """
    from qnewton.optimizer import describe_machine

    machine = describe_machine()
    stored = None if force else cost.load_calibration(machine)
    if stored is not None:
        return stored
    from qnewton.experiments.calibrate import TIMINGS, calibrate

    done = count()
    with Progress("calibrating this machine, once", TIMINGS) as shown:
        measured = calibrate(
            on_timing=lambda timing: shown.update(next(done), f"{timing.kernel} {timing.dtype}")
        )
    try:
        path = cost.save_calibration(measured)
    except OSError as error:
        warn(
            f"the calibration could not be stored in {cost.calibration_path(machine).parent} "
            f"({error.strerror}); set QNEWTON_CACHE to a folder that can be written"
        )
    else:
        note(f"calibrated this machine, stored in {path}")
    return measured


def keep_drifts(folder: Path) -> Calibration:
    """Store what a finished run found of its prices in this machine's calibration; return that.

    Raises:
        ValueError: If the folder is no run, this machine has no calibration, or the run's prices
            rest on another.
    """
    from qnewton.runs import read_run

    run = read_run(folder)
    # Loaded after the folder is read: torch takes seconds that a wrong one need not.
    from qnewton.optimizer import describe_machine

    machine = describe_machine()
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


def _show(calibration: Calibration, *, verbose: bool) -> None:
    say(
        f"{calibration.name}: {calibration.machine}, {calibration.date}, "
        f"{len(calibration.fits)} rates; runs that begin now are priced with it."
    )
    for drift in calibration.drifts:
        say(
            f"{drift.solver}: {drift.solves} solves of training runs took {drift.ratio:.2f}× "
            "their price, which prices now include"
        )
    if not verbose:
        say("-v shows every rate and how well it fits.")
        return
    from qnewton.report.tables import calibration_table

    RESULTS.print(calibration_table(calibration).rich())
    say("Prices are overhead + rate · work, and follow the timings themselves.")
