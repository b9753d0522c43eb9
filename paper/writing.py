"""Keeping an artifact: CSV and JSON of its tables, its pictures, its checks and findings."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from paper.artifact import Artifact, ArtifactTable, Finding, Verdict
from qnewton.records import encode
from qnewton.report import csv_text, save_chart
from qnewton.runs import write_text

FINDINGS_HEADING = """# Findings

What *Hybrid Quantum-Classical Scheduling for Accelerating Neural Network Training with Newton's
Gradient Descent* (arXiv:2405.00252) claims, and what came out here. This page is written by
`qnewton paper all`; nothing on it is typed by hand. Measured seconds are wall clock on the machine
named below, modelled ones come from the price model named beside them, and a machine that does not
exist is called hypothetical.
"""


def write_artifact(artifact: Artifact, folder: Path) -> list[Path]:
    """Write an artifact into ``folder/NAME`` and return the files, the summary first.

    Raises:
        RunStorageError: If a file cannot be written.
    """
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


def findings_page(artifacts: Sequence[Artifact], machine: str, full: bool) -> str:
    """Return the findings of all artifacts as one Markdown page.

    Args:
        artifacts: In the order to show them.
        machine: This machine in words.
        full: Whether they were made as published rather than quickly.
    """
    found = [finding for artifact in artifacts for finding in artifact.findings]
    counts = Counter(finding.verdict for finding in found)
    parts = [
        FINDINGS_HEADING,
        f"Machine: {machine}. Made with `qnewton paper all{' --full' if full else ''}`.\n",
        "Verdicts: "
        + "; ".join(f"{v} {counts[v]}" for v in get_args(Verdict) if counts[v])
        + ".\n",
        "| claim | verdict |\n|---|---|\n"
        + "\n".join(_line((finding.claim, finding.verdict)) for finding in found),
    ]
    for artifact in artifacts:
        parts.append(f"\n## {artifact.title}\n")
        parts += [_finding(finding) for finding in artifact.findings]
        parts += [_table(table) for table in artifact.tables]
        parts += [f"*{name}: {p.caption}*\n" for name, p in artifact.pictures.items()]
    return "\n".join(parts).rstrip() + "\n"


def cell(value: Any) -> str:
    """Return a table's value in a few characters; ``None`` is a dash.

    Example:
        >>> [cell(value) for value in (None, 13002, 0.000123456, True, "SGD")]
        ['–', '13,002', '0.000123', 'yes', 'SGD']
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def _table(table: ArtifactTable) -> str:
    head = _line(table.columns) + "\n|" + "---|" * len(table.columns)
    rows = [_line([cell(value) for value in row]) for row in table.rows]
    note = f"\n\n{table.note}" if table.note else ""
    return f"**{table.title}**\n\n" + "\n".join((head, *rows)) + note + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def _finding(finding: Finding) -> str:
    verdict = f"**{finding.verdict}**"
    if finding.assumption is not None:
        verdict += f" ({finding.assumption})"
    return (
        f"**{finding.claim}**\n\n{finding.measured}\n\nVerdict: {verdict}. "
        f"Command: `{finding.command}`\n"
    )
