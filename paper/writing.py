"""Keeping an artifact: CSV and JSON of its tables, its pictures, its checks and findings."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paper.artifact import Artifact, Verdict
from qnewton.records import encode
from qnewton.report import csv_text, save_chart
from qnewton.runs import write_text


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


def findings_page(artifacts: Sequence[Artifact], machine: str, full: bool) -> str:
    """Return the findings of all artifacts, in their order, as one Markdown page."""
    found = [finding for artifact in artifacts for finding in artifact.findings]
    counts = Counter(finding.verdict for finding in found)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True, undefined=StrictUndefined
    )
    environment.filters["cell"] = cell
    page = environment.get_template("findings.md.j2").render(
        artifacts=artifacts,
        findings=found,
        machine=machine,
        full=full,
        verdicts={verdict: counts[verdict] for verdict in get_args(Verdict) if counts[verdict]},
        row=_row,
    )
    return page.rstrip() + "\n"


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


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"
