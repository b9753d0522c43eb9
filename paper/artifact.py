"""What a table or figure of the paper is once it has been made again: tables, pictures, checks."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from qnewton.records import Calibration
from qnewton.report import Picture
from qnewton.report.words import rendered

Verdict = Literal["holds", "holds under a named assumption", "does not hold", "not tested"]
S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True)
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
        short: The statement in a few words.
        why: What the verdict rests on, in one sentence with its numbers.
        measured: What came out here, with numbers and units, measured or modelled said.
        verdict: Whether the claim holds.
        assumption: The assumption it holds under, where it needs one.
        command: The command that shows it; its experiment fills it in.
    """

    claim: str
    short: str
    why: str
    measured: str
    verdict: Verdict
    assumption: str | None = None
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class ArtifactTable:
    """A table: headings with units, and rows of values as they are, not as text.

    Attributes:
        name: File name without its ending.
        title: Heading.
        columns: Column headings; a heading names its unit and, for seconds, its clock.
        rows: One tuple per row, as long as ``columns``; ``None`` where there is no value.
        note: What a reader must know.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    def column(self, heading: str) -> list[Any]:
        """Return the values below a heading."""
        return [row[self.columns.index(heading)] for row in self.rows]


class Texts:
    """The prose of some artifacts, apart from the code: every sentence is a Jinja template.

    ``texts/NAME.toml`` has title, columns and note of ``tables``, a pair of name and detail of
    ``checks``, claim, short, why, measured and assumption of ``findings``, and captions. They are
    read as :func:`qnewton.report.words.rendered` says.

    Args:
        name: The file's name without its ending.
        known: Values that its sentences may name wherever they stand.
    """

    def __init__(self, name: str, **known: Any) -> None:
        self._known = known
        path = Path(__file__).parent / "texts" / f"{name}.toml"
        self._found = tomllib.loads(path.read_text(encoding="utf-8"))

    def table(self, name: str, rows: Iterable[tuple[Any, ...]], **values: Any) -> ArtifactTable:
        """Return the table of some rows, each as long as the table has columns.

        Example:
            >>> rows = [("SGD", 6200, 0.1, 11.1, True)]
            >>> Texts("paper-rows").table("table-4-paper-sums", rows).column("steps")
            [6200]
        """
        found = self._found["tables"][name]
        title, note = (self._said(found.get(part, ""), values) for part in ("title", "note"))
        columns = tuple(self._said(heading, values) for heading in found["columns"])
        return ArtifactTable(name=name, title=title, columns=columns, rows=tuple(rows), note=note)

    def check(self, name: str, passed: bool, **values: Any) -> Check:
        """Return a check with its name and its detail in words."""
        claim, detail = self._found["checks"][name]
        return Check(self._said(claim, values), passed, self._said(detail, values))

    def finding(self, name: str, holds: bool, **values: Any) -> Finding:
        """Return a finding that holds, or holds under its assumption if it has one, or does not.

        Example:
            >>> words = {"texts": ["a number"], "where": "an assumption", "fell": [], "others": []}
            >>> Texts("fig-6").finding("sparsity", False, **words).verdict
            'holds under a named assumption'
        """
        found = self._found["findings"][name]
        said = {
            part: self._said(found[part], values) for part in ("claim", "short", "why", "measured")
        }
        if holds:
            return Finding(**said, verdict="holds")
        assumption = self._said(found.get("assumption", ""), values)
        if not assumption:
            return Finding(**said, verdict="does not hold")
        return Finding(**said, verdict="holds under a named assumption", assumption=assumption)

    def caption(self, name: str, **values: Any) -> str:
        """Return a picture's caption."""
        return self._said(self._found["captions"][name], values)

    def _said(self, template: str, values: Mapping[str, Any]) -> str:
        return rendered(template, {**self._known, **values})


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


@dataclass(frozen=True, kw_only=True)
class Experiment(Generic[S, R]):
    """How one artifact is made: a run of some setup, and what is read off its result.

    Attributes:
        name: Name on the command line.
        title: What it is, with its number in the paper; ``{0}`` stands for the result, as in
            :meth:`str.format`.
        quick: The setup that takes minutes.
        full: The setup as published.
        run: Measures, trains or prices.
        tables: Tables of the result.
        pictures: Pictures of the result by file name.
        checks: What must be true of the result.
        findings: The paper's claims beside the result.
        settings: What the result was made with.
    """

    name: str
    title: str
    quick: S
    full: S
    run: Callable[[PaperContext, S], R]
    tables: Callable[[R], Iterable[ArtifactTable]]
    pictures: Callable[[R], Mapping[str, Picture]] = lambda _: {}
    checks: Callable[[R], Iterable[Check]]
    findings: Callable[[R], Iterable[Finding]]
    settings: Callable[[PaperContext, R], Mapping[str, Any]]

    def make(self, context: PaperContext, setup: S | None = None) -> Artifact:
        """Run a setup, by default the one that the context asks for, and report on it."""
        chosen = self.full if context.full else self.quick
        found = self.run(context, chosen if setup is None else setup)
        command = f"qnewton paper {self.name}"
        return Artifact(
            name=self.name,
            title=self.title.format(found),
            tables=tuple(self.tables(found)),
            pictures=self.pictures(found),
            checks=tuple(self.checks(found)),
            findings=tuple(replace(f, command=command) for f in self.findings(found)),
            settings=self.settings(context, found),
        )
