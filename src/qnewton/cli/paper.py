"""``qnewton paper``: the paper's tables and figures, made again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.table import Table

from qnewton.cli.calibrate import load_or_calibrate
from qnewton.cli.output import PROGRESS, RESULTS, print_json

if TYPE_CHECKING:
    from qnewton.experiments.paper.artifact import Artifact


_WIDEST = 8
"""Columns of a table that still read well in a terminal."""


class FailedCheckError(RuntimeError):
    """An artifact contradicts itself or the records it was made from."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Make one table or figure of arXiv:2405.00252 again, beside the paper's own numbers, or all.

    Names: table-1 (parameter counts), table-2 (condition-number estimation), table-3 (SGD,
    classical-only, quantum-only, Q-Newton on MNIST), table-4 (the same on Mistral and BERT, each
    layer scheduled by itself), fig-2 (loss of Newton, SGD and Adam on both), fig-1 (accuracy
    against sparsity; who solves which step), fig-3 (where a step's time goes), fig-5 (cost against
    κ and d), fig-6 (sparsity of rows), fig-8 (accuracy and κ against λ), all.

    Each goes into its own folder: CSV and JSON of the tables, PNG, SVG and CSV of the pictures,
    checks, and what was found about the paper's claims. Quick by default; every caption says what
    was run. The exit code is 1 if an artifact fails one of its own checks.

    Examples: qnewton paper table-3 --data-dir data; qnewton paper all --full

    Attributes:
        name: Which one, or all.
        full: As published (hours on two cores) rather than quick.
        out: Folder for the results.
        runs: Folder whose runs are read again where they are there, and kept otherwise; the
            default is a new folder below OUT/runs.
        findings: Where to write the findings page; the default is OUT/findings.md, for all only.
        seed: Seed of every run.
        data_dir: Folder with MNIST and wikitext-2 (else QNEWTON_DATA, else the Hugging Face Hub).
        json: Print one JSON object with every artifact.
    """

    name: tyro.conf.Positional[str]
    full: bool = False
    out: Path = Path("paper-results")
    runs: Path | None = None
    findings: Path | None = None
    seed: int = 0
    data_dir: Path | None = None
    json: bool = False

    def run(self) -> None:
        """Make what was asked for, write it, show it, and fail if a check fails."""
        from qnewton.experiments.paper.artifact import PaperContext
        from qnewton.experiments.paper.catalog import EXPERIMENTS
        from qnewton.experiments.paper.writing import (
            artifact_summary,
            findings_page,
            write_artifact,
        )
        from qnewton.runs import write_text

        if self.name != "all" and self.name not in EXPERIMENTS:
            raise ValueError(
                f"no table or figure is called {self.name!r}; choose {', '.join(EXPERIMENTS)} "
                "or all"
            )
        calibration = load_or_calibrate()
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        names = list(EXPERIMENTS) if self.name == "all" else [self.name]
        artifacts, summaries = [], []
        for name in names:
            with PROGRESS.status(f"{name}: starting") as status:
                context = PaperContext(
                    folder=self.runs or self.out / "runs" / stamp,
                    full=self.full,
                    seed=self.seed,
                    data_dir=self.data_dir,
                    calibration=calibration,
                    progress=lambda text, name=name, status=status: _say(name, text, status),
                )
                start = time.perf_counter()
                artifact = EXPERIMENTS[name].make(context)
                seconds = time.perf_counter() - start
            files = write_artifact(artifact, self.out)
            artifacts.append(artifact)
            summaries.append(
                artifact_summary(artifact)
                | {"measured_seconds": seconds, "files": [str(file) for file in files]}
            )
            PROGRESS.print(
                f"{name}: {seconds:.0f} s (measured), {files[0].parent}", highlight=False
            )
            if not self.json:
                _show(artifact)
        if self.findings is not None or self.name == "all":
            page = findings_page(artifacts, calibration.machine, self.full)
            write_text(self.findings or self.out / "findings.md", page)
        if self.json:
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
    from qnewton.experiments.paper.writing import cell

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
