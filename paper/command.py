"""What ``qnewton paper`` does: makes artifacts, writes and shows them, fails if a check fails."""

import time
from datetime import datetime

from rich.table import Table

from paper.artifact import Artifact, PaperContext
from paper.catalog import EXPERIMENTS
from paper.writing import artifact_summary, cell, findings_page, write_artifact
from qnewton.cli.calibrate import load_or_calibrate
from qnewton.cli.output import PROGRESS, RESULTS, print_json
from qnewton.cli.paper import Paper
from qnewton.runs import write_text

_WIDEST = 8
"""Columns of a table that still read well in a terminal."""


class FailedCheckError(RuntimeError):
    """An artifact contradicts itself or the records it was made from."""


def make_artifacts(request: Paper) -> None:
    """Make what was asked for, write it, show it, and fail if a check fails."""
    if request.name != "all" and request.name not in EXPERIMENTS:
        raise ValueError(
            f"no table or figure is called {request.name!r}; choose {', '.join(EXPERIMENTS)} or all"
        )
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
        summaries.append(
            artifact_summary(artifact)
            | {"measured_seconds": seconds, "files": [str(file) for file in files]}
        )
        PROGRESS.print(f"{name}: {seconds:.0f} s (measured), {files[0].parent}", highlight=False)
        if not request.json:
            _show(artifact)
    if request.findings is not None or request.name == "all":
        page = findings_page(artifacts, calibration.machine, request.full)
        write_text(request.findings or request.out / "findings.md", page)
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
            table.add_row(*line)
        RESULTS.print(table)
    for finding in artifact.findings:
        RESULTS.print(
            f"{finding.verdict}: {finding.claim}\n  found: {finding.measured}",
            highlight=False,
            markup=False,
        )
    for check in artifact.checks:
        if not check.passed:
            RESULTS.print(f"check failed: {check.name}: {check.detail}", markup=False)
