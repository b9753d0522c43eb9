"""Runs that ended, a line each, so that a campaign that was killed goes on where it was."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import qnewton
from benchmarks.minibatch.runs import Limits, Point, Run
from benchmarks.minibatch.settings import OURS


def remembered(log: Path, wanted: Run, make: Callable[[], Run]) -> Run:
    """Return the run that a log holds of what is wanted, or make it and add it.

    Args:
        log: Its lines are runs and the source code that they ran.
        wanted: What is wanted of the run: all but curve and error.
        make: Makes it.
    """
    source = source_code(wanted.setting)
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        found = _read(line, source)
        if found is not None and _wanted(found) == _wanted(wanted):
            return found
    made = make()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as lines:
        # A line that a kill cut short must not swallow this one.
        lines.write(f"\n{json.dumps({'source': source, 'run': dataclasses.asdict(made)})}\n")
    return made


@functools.cache
def source_code(setting: str) -> str:
    """Return a digest of what a run depends on: workloads and runs, and the package for ours."""
    digest = hashlib.sha256(torch.__version__.encode())
    folders = [Path(__file__).parent / "workloads"]
    if setting == OURS.name:
        folders.append(Path(qnewton.__file__).parent)
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    for path in [*paths, *(Path(__file__).parent / name for name in ("runs.py", "settings.py"))]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _wanted(run: Run) -> Run:
    return dataclasses.replace(run, curve=(), error=None)


def _read(line: str, source: str) -> Run | None:
    try:
        content: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    if content["source"] != source:
        return None
    fields = content["run"]
    curve = tuple(Point(**point) for point in fields["curve"])
    return Run(**{**fields, "limits": Limits(**fields["limits"]), "curve": curve})
