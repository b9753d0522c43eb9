"""Where a machine's calibration is kept from one run to the next, and how runs correct it.

One JSON file per machine description in the user's cache folder, so that another processor, thread
count or torch version never borrows rates it does not have.
"""

import hashlib
import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from qnewton.cost.parts import FORMING
from qnewton.records import (
    Attempt,
    BlockRecord,
    Calibration,
    Drift,
    Outcome,
    StepRecord,
    decode,
    encode,
)
from qnewton.records.messages import check

CALIBRATION_SCHEMA = 1
"""Version of the file's layout; a newer one is refused."""


def calibration_path(machine: str, folder: Path | None = None) -> Path:
    """Return the file that stores the calibration of a machine.

    Args:
        machine: The machine in words: processor, threads, torch version.
        folder: Where to look; :func:`cache_folder` by default.

    Example:
        >>> calibration_path("cpu, 2 threads, torch 2.13.0", Path("cache")).name
        'calibration-e0474894dcfc.json'
    """
    digest = hashlib.sha256(machine.encode()).hexdigest()[:12]
    return _folder(folder) / f"calibration-{digest}.json"


def save_calibration(calibration: Calibration, folder: Path | None = None) -> Path:
    """Store a calibration under its own ``machine``, whole or not at all, and return its file.

    A reader sees the old file or the new one, and a full disk leaves the old one.

    Raises:
        ValueError: If a rate is negative or not finite.
        OSError: If the folder cannot be made or written.

    Cost:
        Writes a few kilobytes.
    """
    path = calibration_path(calibration.machine, folder)
    try:
        _check_figures(calibration)
    except ValueError as wrong:
        raise ValueError(f"calibration {calibration.name!r} cannot be kept: {wrong}") from None
    content = {"schema": CALIBRATION_SCHEMA, "calibration": encode(calibration)}
    path.parent.mkdir(parents=True, exist_ok=True)
    from qnewton.runs import write_atomically

    write_atomically(path, json.dumps(content, indent=1).encode())
    return path


def load_calibration(machine: str, folder: Path | None = None) -> Calibration | None:
    """Return the calibration stored for a machine, or ``None`` if there is none.

    Args:
        machine: The machine in words, as it was saved.
        folder: Where to look; :func:`cache_folder` by default.

    Raises:
        ValueError: If the file is damaged, of a newer layout, or of another machine; the line
            says to run ``qnewton calibrate --force``.
        OSError: If the file is there and cannot be read.

    Cost:
        Reads a few kilobytes.

    Example:
        >>> load_calibration("a machine nobody calibrated", Path("no-such-folder")) is None
        True
    """
    path = calibration_path(machine, folder)
    calibration = _read(path) if path.exists() else None
    if calibration is not None and calibration.machine != machine:
        raise ValueError(_unusable(path, f"it belongs to {calibration.machine!r}"))
    return calibration


def latest_calibration(folder: Path | None = None) -> Calibration | None:
    """Return the calibration stored last, of whatever machine, or ``None`` if there is none.

    For commands that price without loading torch, and so cannot name the machine they run on.

    Args:
        folder: Where to look; :func:`cache_folder` by default.

    Raises:
        ValueError: If the file is damaged or of a newer layout.
        OSError: If the file is there and cannot be read.

    Cost:
        Lists a folder and reads a few kilobytes.

    Example:
        >>> latest_calibration(Path("no-such-folder")) is None
        True
    """
    files = _folder(folder).glob("calibration-*.json")
    newest = max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    return None if newest is None else _read(newest)


def _read(path: Path) -> Calibration:
    text = path.read_bytes()
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        found = content.get("schema")
        if found != CALIBRATION_SCHEMA:
            raise ValueError(f"its schema is {found!r}, this version reads {CALIBRATION_SCHEMA}")
        calibration = decode(Calibration, content.get("calibration"))
        _check_figures(calibration)
    # decode meets a list where a number should be with a TypeError.
    except (ValueError, TypeError) as error:
        raise ValueError(_unusable(path, str(error))) from error
    return calibration


def _unusable(path: Path, why: str) -> str:
    return f"{path} is not a usable calibration ({why}); run `qnewton calibrate --force`"


def _check_figures(calibration: Calibration) -> None:
    for fit in calibration.fits:
        for field in ("seconds_per_unit", "overhead_s"):
            value = getattr(fit, field)
            check(f"{field} of {fit.kernel}", value, "must be finite and 0 or more", value >= 0)
    memory = calibration.memory_bytes
    if memory is not None:
        check("memory_bytes", memory, "must be finite and above 0", memory > 0)
    for drift in calibration.drifts:
        name = f"the drift of {drift.solver}"
        check(name, drift.ratio, "must be finite and above 0", drift.ratio > 0)


def _folder(folder: Path | None) -> Path:
    # Loaded when a file is asked for: whoever only prices needs no run folders.
    from qnewton.runs import cache_folder

    return cache_folder() if folder is None else folder


FEWEST_SOLVES = 5
"""Solves below which a run says nothing about a solver's price."""

_MOST_REMEMBERED = 200  # solves an old drift counts for, so that a machine may change


def measured_drifts(steps: Iterable[StepRecord], calibration: Calibration) -> tuple[Drift, ...]:
    """Return, for each classical solver, the median of measured over priced seconds.

    Prices are those before any drift was known, without forming. An iterative solver's price is
    taken at the products it spent, so that the ratio is the machine's and not that of a guess.

    Args:
        steps: A finished run.
        calibration: What its prices were made with.

    Returns:
        One drift a solver with at least :data:`FEWEST_SOLVES` solves, by name.

    Cost: some microseconds per step.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> measured_drifts([], nominal_calibration())
        ()
    """
    ratios: dict[str, list[float]] = {}
    for step in steps:
        for block in step.blocks:
            for attempt in block.attempts:
                ratio = _ratio(attempt, block, calibration)
                if ratio is not None:
                    ratios.setdefault(attempt.solver, []).append(ratio)
    return tuple(
        Drift(solver=solver, ratio=statistics.median(found), solves=len(found))
        for solver, found in sorted(ratios.items())
        if len(found) >= FEWEST_SOLVES
    )


def with_drifts(calibration: Calibration, found: Iterable[Drift]) -> Calibration:
    """Return the calibration with what one more run found of its prices.

    Ratios are averaged geometrically, each weighing its solves; what is old weighs 200 at most.

    Args:
        calibration: What the run's prices were made with, or what was stored since.
        found: From :func:`measured_drifts`.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> once = with_drifts(nominal_calibration(), [Drift(solver="lu", ratio=4.0, solves=10)])
        >>> twice = with_drifts(once, [Drift(solver="lu", ratio=1.0, solves=10)])
        >>> twice.drift("lu")
        Drift(solver='lu', ratio=2.0, solves=20)
    """
    drifts = {drift.solver: drift for drift in calibration.drifts}
    for new in found:
        old = drifts.get(new.solver)
        if old is not None:
            weight = min(old.solves, _MOST_REMEMBERED)
            solves = weight + new.solves
            mean = (weight * math.log(old.ratio) + new.solves * math.log(new.ratio)) / solves
            new = Drift(solver=new.solver, ratio=math.exp(mean), solves=solves)
        drifts[new.solver] = new
    return replace(calibration, drifts=tuple(drifts[solver] for solver in sorted(drifts)))


def _ratio(attempt: Attempt, block: BlockRecord, calibration: Calibration) -> float | None:
    offer = block.decision.quote(attempt.solver)
    if (
        offer is None
        or offer.machine != "classical"
        or offer.seconds is None
        or attempt.outcome is not Outcome.SOLVED
        or not attempt.measured_seconds
    ):
        return None
    priced = math.fsum(term.seconds for term in offer.terms if term.name != FORMING)
    if offer.products is not None:
        priced *= attempt.products / offer.products
    known = calibration.drift(attempt.solver)
    if known is not None:
        priced /= known.ratio
    return attempt.measured_seconds / priced if priced > 0 else None
