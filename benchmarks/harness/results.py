"""One report a benchmark: rows for people, raw samples for whoever doubts them."""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from benchmarks.harness.timing import Timing, ratio
from qnewton.runs import write_atomically

FOLDER = Path(__file__).parents[1] / "results"

Verdict = Literal["met", "missed", "not measured", "failed", ""]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        question: What is compared.
        reach: What was set out to be reached; empty when the number only informs.
        measured: What was found, or why nothing was.
        verdict: Empty when there is no reach.
    """

    question: str
    reach: str
    measured: str
    verdict: Verdict


@dataclass(frozen=True)
class Report:
    """Everything one benchmark found.

    Attributes:
        name: The benchmark's.
        rows: For the table.
        machine: From :func:`~benchmarks.harness.describe_machine`; ``None`` when nothing in the
            benchmark depends on the machine.
        timings: Raw samples by contender.
        peak_bytes: Peak memory by contender.
        facts: Anything else worth keeping (settings, agreement, counts).
    """

    name: str
    rows: Sequence[Row]
    machine: Mapping[str, Any] | None = None
    timings: Mapping[str, Timing] = field(default_factory=dict)
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path = FOLDER) -> Path:
        """Write ``NAME.json`` into ``folder`` and return its path."""
        content = {
            "benchmark": self.name,
            "command": f"python -m benchmarks {self.name}",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "rows": [asdict(row) for row in self.rows],
            "machine": self.machine,
            "timings": {
                name: {**asdict(timing), "median": timing.median}
                for name, timing in self.timings.items()
            },
            "peak_bytes": dict(self.peak_bytes),
            "facts": dict(self.facts),
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        write_atomically(path, text.encode())
        return path


def read_rows(name: str, folder: Path = FOLDER) -> list[Row]:
    """Return the rows a benchmark wrote."""
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return [Row(**row) for row in content["rows"]]


def markdown(name: str, folder: Path = FOLDER) -> str:
    """Return what a benchmark wrote as a table for a page, or a line that says that it was not run.

    A verdict that is not met is bold. Date and load averages stand above the table.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return f"`{name}` has not been run on this checkout: `python -m benchmarks {name}`."
    content = json.loads(path.read_text(encoding="utf-8"))
    machine = content["machine"]
    load = "" if machine is None else f", load averages {machine['load_averages']}"
    lines = [f"`{name}`, {content['date']}{load}:", ""]
    lines += ["| question | reach | measured | verdict |", "|---|---|---|---|"]
    for row in read_rows(name, folder):
        verdict = row.verdict if row.verdict in ("met", "") else f"**{row.verdict}**"
        cells = (_escaped(row.question), _escaped(row.reach), _escaped(row.measured), verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Return text in which Markdown sees no markup."""
    return re.sub(r"([\\`*_<|\[\]])", r"\\\1", text)


def reached(question: str, reach: str, measured: str, met: bool) -> Row:
    """Return the row of a question that has an answer.

    Example:
        >>> reached("speed over a peer", "≥ 6×", "7.1×", met=7.1 >= 6).verdict
        'met'
    """
    return Row(question, reach, measured, "met" if met else "missed")


def speed(question: str, least: float | None, ours: Timing, peer: Timing) -> Row:
    """Return the row that says how many times faster ours is: the ratio of the medians.

    Args:
        question: What is compared; the peer's name is added.
        least: The reach, ``None`` when the number only informs.
        ours: Our timing.
        peer: The peer's.

    Example:
        >>> row = speed("Hessian", 6, Timing("ours", (2.0,)), Timing("theirs", (14.0,)))
        >>> row.question, row.measured, row.verdict
        ('Hessian: speed over theirs', '7.0× (2 s, 14 s)', 'met')
    """
    times = ratio(peer, ours)
    scaled = ", scaled from a part" if peer.scale != 1 else ""
    measured = f"{times:.1f}× ({ours.median:.3g} s, {peer.median:.3g} s{scaled})"
    question = f"{question}: speed over {peer.name}"
    if least is None:
        return Row(question, "", measured, "")
    return reached(question, f"≥ {least:g}×", measured, times >= least)


def table(rows: Sequence[Row]) -> Table:
    """Return rows as the table that is printed."""
    found = Table(show_lines=False)
    for column in ("question", "reach", "measured", "verdict"):
        found.add_column(column, overflow="fold")
    for row in rows:
        # As text: markup would take the extra out of pip install 'qnewton[text]'.
        found.add_row(*map(Text, (row.question, row.reach, row.measured, row.verdict)))
    return found
