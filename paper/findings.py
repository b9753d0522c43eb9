"""The findings: a page of verdicts, and beside it a page of evidence per table or figure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paper.artifact import Artifact, Verdict
from qnewton.runs import write_text


def write_findings(
    artifacts: Sequence[Artifact], page: Path, machine: str, full: bool
) -> list[Path]:
    """Write the verdicts to ``page`` and the evidence into the folder of its name; return both."""
    folder = page.with_suffix("")
    first = write_text(page, verdicts(artifacts, folder.name, machine, full))
    pages = {artifact.name: evidence(artifact, page.name) for artifact in artifacts}
    return [first, *(write_text(folder / f"{name}.md", text) for name, text in pages.items())]


def verdicts(artifacts: Sequence[Artifact], folder: str, machine: str, full: bool) -> str:
    """Return the page of verdicts in Markdown: one row per claim, with a link to its evidence."""
    counts = Counter(finding.verdict for artifact in artifacts for finding in artifact.findings)
    return _rendered(
        "findings.md.j2",
        artifacts=artifacts,
        folder=folder,
        machine=machine,
        full=full,
        counts={verdict: counts[verdict] for verdict in get_args(Verdict) if counts[verdict]},
    )


def evidence(artifact: Artifact, page: str) -> str:
    """Return an artifact's page in Markdown: each claim with its numbers, and all tables."""
    return _rendered("evidence.md.j2", artifact=artifact, page=page)


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


def _rendered(template: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"cell": cell, "row": _row}
    return environment.get_template(template).render(values).rstrip() + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"
