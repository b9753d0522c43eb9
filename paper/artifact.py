"""What a table or figure of the paper is once it has been made again: tables, pictures, checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qnewton.records import Calibration
from qnewton.report import Picture

Verdict = Literal["holds", "holds under a named assumption", "does not hold", "not tested"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something an artifact says of itself that has to be true.

    Attributes:
        name: What must hold, in a few words.
        passed: Whether it does.
        detail: The numbers behind it.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim of the paper beside what was measured here.

    Attributes:
        claim: The paper's statement, with its section.
        measured: What came out here, with numbers and units, measured or modelled said.
        verdict: Whether the claim holds.
        assumption: The assumption it holds under, where it needs one.
        command: The command that shows it.
    """

    claim: str
    measured: str
    verdict: Verdict
    command: str
    assumption: str | None = None


@dataclass(frozen=True, kw_only=True)
class ArtifactTable:
    """A table: headings with units, and rows of values as they are, not as text.

    Attributes:
        name: File name without its ending.
        title: Heading.
        columns: Column headings; a heading names its unit and, for seconds, its clock.
        rows: One tuple a row, as long as ``columns``; ``None`` where there is no value.
        note: What a reader must know.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One table or figure of the paper, made again.

    Attributes:
        name: Name on the command line.
        title: What it is, with its number in the paper.
        tables: Its tables.
        pictures: Its pictures by file name.
        checks: What must be true of it; one that fails makes the command fail.
        findings: The paper's claims it speaks to.
        settings: What it was made with: sizes, seeds, steps, quick or full.
    """

    name: str
    title: str
    tables: tuple[ArtifactTable, ...] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PaperContext:
    """What every artifact is made with.

    Attributes:
        folder: Where run folders an artifact needs are kept.
        full: As published, rather than the quick version.
        seed: Seed of every run.
        data_dir: Local data; ``None`` for QNEWTON_DATA or the Hub.
        calibration: This machine's classical constants.
        progress: Told in a few words what is being done.
    """

    folder: Path
    full: bool
    seed: int
    data_dir: Path | None
    calibration: Calibration
    progress: Callable[[str], None]


@dataclass(frozen=True)
class PaperExperiment:
    """How one artifact is made.

    Attributes:
        name: Name on the command line.
        title: One line for ``--help``.
        make: Makes it.
    """

    name: str
    title: str
    make: Callable[[PaperContext], Artifact]
