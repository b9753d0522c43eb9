"""What ``qnewton paper`` does: makes artifacts, writes and shows them, fails if a check fails."""

import json
import time
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from paper import ARTIFACTS
from paper.artifact import Artifact, Experiment, PaperContext
from paper.findings import cell, write_findings
from qnewton.cli.calibrate import load_or_calibrate
from qnewton.cli.output import PROGRESS, RESULTS, print_json
from qnewton.cli.paper import Paper
from qnewton.records import encode
from qnewton.report import csv_text, save_chart
from qnewton.runs import write_text

EXPERIMENTS: Mapping[str, Experiment] = {
    name: import_module(f"paper.{name.replace('-', '_')}").EXPERIMENT for name in ARTIFACTS
}
"""What makes each artifact: every one is a module's."""

_WIDEST = 8
"""Columns of a table that still read well in a terminal."""


class FailedCheckError(RuntimeError):
    """An artifact contradicts itself or the records it was made from."""


def make_artifacts(request: Paper) -> None:
    """Make what was asked for, write it, show it, and fail if a check fails."""
    calibration = load_or_calibrate()
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    names = list(EXPERIMENTS) if request.name == "all" else [request.name]
    artifacts, summaries = [], []
    for name in names:
        with PROGRESS.status(f"{name}: starting") as status:
            context = PaperContext(
                folder=request.runs or request.out / "runs" / stamp,
                full=request.full,
                seed=request.seed,
                data_dir=request.data_dir,
                calibration=calibration,
                progress=lambda text, name=name, status=status: _say(name, text, status),
            )
            start = time.perf_counter()
            artifact = EXPERIMENTS[name].make(context)
            seconds = time.perf_counter() - start
        files = write_artifact(artifact, request.out)
        artifacts.append(artifact)
        made = {"measured_seconds": seconds, "files": [str(file) for file in files]}
        summaries.append(artifact_summary(artifact) | made)
        PROGRESS.print(f"{name}: {seconds:.0f} s (measured), {files[0].parent}", highlight=False)
        if not request.json:
            _show(artifact)
    if request.findings is not None or request.name == "all":
        page = request.findings or request.out / "findings.md"
        write_findings(artifacts, page, calibration.machine, request.full)
    if request.json:
        print_json({"artifacts": summaries})
    failed = [(a.name, check) for a in artifacts for check in a.checks if not check.passed]
    if failed:
        name, check = failed[0]
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise FailedCheckError(f"{name} fails its check {check.name!r}: {check.detail}{more}")


def _say(name: str, text: str, status: object) -> None:
    if PROGRESS.is_terminal:
        status.update(f"{name}: {text}")  # type: ignore[attr-defined]
    else:
        PROGRESS.print(f"{name}: {text}", highlight=False)


def _show(artifact: Artifact) -> None:
    for described in artifact.tables:
        lines = [described.columns, *([cell(v) for v in row] for row in described.rows)]
        # More columns than rows: one line a quantity reads better than thirteen narrow columns.
        if len(described.columns) > max(_WIDEST, len(described.rows) + 1):
            lines = list(zip(*lines, strict=True))
        table = Table(title=described.title, caption=described.note or None)
        for heading in lines[0]:
            table.add_column(heading, overflow="fold")
        for line in lines[1:]:
            table.add_row(*map(Text, line))
        RESULTS.print(table)
    for finding in artifact.findings:
        said = f"{finding.verdict}: {finding.claim}\n  found: {finding.measured}"
        RESULTS.print(said, highlight=False, markup=False)
    for check in artifact.checks:
        if not check.passed:
            RESULTS.print(f"check failed: {check.name}: {check.detail}", markup=False)


def write_artifact(artifact: Artifact, folder: Path) -> list[Path]:
    """Write an artifact into ``folder/NAME`` and return the files, the summary first."""
    folder = folder / artifact.name
    paths = [write_text(folder / "artifact.json", json.dumps(artifact_summary(artifact), indent=2))]
    for table in artifact.tables:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        paths.append(write_text(folder / f"{table.name}.csv", csv_text(rows)))
    for name, picture in artifact.pictures.items():
        paths += save_chart(picture, folder, name)
    return paths


def artifact_summary(artifact: Artifact) -> dict[str, Any]:
    """Return everything an artifact says, but for its pictures' points, as plain JSON values."""
    return {
        "name": artifact.name,
        "title": artifact.title,
        "settings": encode(dict(artifact.settings)),
        "tables": encode(artifact.tables),
        "captions": {name: picture.caption for name, picture in artifact.pictures.items()},
        "checks": encode(artifact.checks),
        "findings": encode(artifact.findings),
    }
