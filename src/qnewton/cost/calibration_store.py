"""Where a machine's calibration is kept from one run to the next: JSON in the user's cache folder.

One file per machine description, so that another processor, thread count or torch version never
borrows rates it does not have.
"""

import hashlib
import json
import math
from pathlib import Path

from qnewton.records import Calibration, decode, encode

CALIBRATION_SCHEMA = 1
"""Version of the file's layout; a newer one is refused."""


def calibration_path(machine: str, folder: Path | None = None) -> Path:
    """Return the file that keeps the calibration of a machine.

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
    """Keep a calibration under its own ``machine``, whole or not at all, and return its file.

    A reader sees the old file or the new one, and a full disk leaves the old one.

    Raises:
        ValueError: If a rate is negative or not finite.
        OSError: If the folder cannot be made or written.

    Cost:
        Writes a few kilobytes.
    """
    path = calibration_path(calibration.machine, folder)
    wrong = _wrong_figure(calibration)
    if wrong is not None:
        raise ValueError(f"calibration {calibration.name!r} cannot be kept: {wrong}")
    content = {"schema": CALIBRATION_SCHEMA, "calibration": encode(calibration)}
    path.parent.mkdir(parents=True, exist_ok=True)
    from qnewton.runs import write_atomically

    write_atomically(path, json.dumps(content, indent=1).encode())
    return path


def load_calibration(machine: str, folder: Path | None = None) -> Calibration | None:
    """Return the calibration kept for a machine, or ``None`` if there is none.

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
    """Return the calibration kept last, of whatever machine, or ``None`` if there is none.

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
        if content.get("schema") != CALIBRATION_SCHEMA:
            raise ValueError(
                f"its schema is {content.get('schema')!r}, this version reads {CALIBRATION_SCHEMA}"
            )
        calibration = decode(Calibration, content.get("calibration"))
        wrong = _wrong_figure(calibration)
        if wrong is not None:
            raise ValueError(wrong)
    # decode meets a list where a number should be with a TypeError.
    except (ValueError, TypeError) as error:
        raise ValueError(_unusable(path, str(error))) from error
    return calibration


def _unusable(path: Path, why: str) -> str:
    return f"{path} is not a usable calibration ({why}); run `qnewton calibrate --force`"


def _wrong_figure(calibration: Calibration) -> str | None:
    for fit in calibration.fits:
        for field in ("seconds_per_unit", "overhead_s"):
            value = getattr(fit, field)
            if not (math.isfinite(value) and value >= 0):
                return f"{field} of {fit.kernel} is {value!r}; it must be finite and 0 or more"
    for drift in calibration.drifts:
        if not (math.isfinite(drift.ratio) and drift.ratio > 0):
            return f"the drift of {drift.solver} is {drift.ratio!r}; it must be finite and above 0"
    return None


def _folder(folder: Path | None) -> Path:
    # Loaded when a file is asked for: whoever only prices needs no run folders.
    from qnewton.runs import cache_folder

    return cache_folder() if folder is None else folder
