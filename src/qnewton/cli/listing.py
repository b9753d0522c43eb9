"""``qnewton list``: what there is to name, from the registries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tyro.conf import Positional

from qnewton import cost
from qnewton.cli.output import RESULTS, print_json, say
from qnewton.records import Calibration
from qnewton.records.messages import one_line
from qnewton.scheduler.policy import POLICIES

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class List:
    """List what options can name: workloads, machines, solvers, policies and calibrations.

    What others have registered through entry points is among them. A machine that nobody has built
    is marked as hypothetical. Recorded runs for replay are listed by qnewton replay recorded.

    Examples: qnewton list; qnewton list machines; qnewton list solvers --json

    Attributes:
        what: Which of them; all by default.
        json: Print one JSON object.
    """

    usual: ClassVar[tuple[str, ...]] = ("what", "json")

    what: Positional[
        Literal["all", "workloads", "machines", "solvers", "policies", "calibrations"]
    ] = "all"
    json: bool = False

    def run(self) -> None:
        """Print what there is."""
        chosen = {name: rows for name, rows in _KINDS.items() if self.what in ("all", name)}
        found = {name: rows() for name, rows in chosen.items()}
        if self.json:
            print_json(found)
            return
        for number, (name, rows) in enumerate(found.items()):
            if number:
                say("")
            _show(name, rows)


def _workloads() -> list[Row]:
    from qnewton.workloads import WORKLOADS

    return [
        {
            "name": source.name,
            "what": source.title,
            "local_data": None if source.data is None else source.data.what,
        }
        for source in WORKLOADS
    ]


def _machines() -> list[Row]:
    machines = map(cost.load_hardware, cost.available_hardware())
    return [
        {
            "name": machine.name,
            "what": machine.title,
            "hypothetical": machine.hypothetical,
            "gate_time_s": machine.gate_time_s.value,
        }
        for machine in machines
    ]


def _solvers() -> list[Row]:
    return [
        {"name": solver.name, "what": solver.title, "machine": solver.machine}
        for solver in cost.SOLVERS
    ]


def _policies() -> list[Row]:
    return [{"name": policy.name, "what": policy.summary} for policy in POLICIES]


def _calibrations() -> list[Row]:
    rows = [_calibration(name, cost.load_classical(name)) for name in cost.available_classical()]
    try:
        stored = cost.latest_calibration()
    except (OSError, ValueError) as error:
        return [
            {"name": "local", "what": f"cannot be read: {one_line(error)}", "date": None},
            *rows,
        ]
    own = {"name": "local", "what": "none yet: qnewton calibrate makes it", "date": None}
    return [own if stored is None else _calibration("local", stored), *rows]


def _calibration(name: str, found: Calibration) -> Row:
    return {"name": name, "what": found.machine, "date": found.date}


_KINDS: dict[str, Callable[[], list[Row]]] = {
    "workloads": _workloads,
    "machines": _machines,
    "solvers": _solvers,
    "policies": _policies,
    "calibrations": _calibrations,
}

_USES = {
    "workloads": "qnewton train WORKLOAD",
    "machines": "--hardware NAME, or a .toml file",
    "solvers": "qnewton replay --solvers NAME",
    "policies": "--policy NAME",
    "calibrations": "--calibration NAME, or a .toml file",
}


def _show(kind: str, rows: Sequence[Row]) -> None:
    from rich.table import Table

    table = Table(title=f"{kind} ({_USES[kind]})", title_justify="left", box=None, padding=(0, 1))
    table.add_column(overflow="fold", min_width=20)
    table.add_column()
    for row in rows:
        table.add_row(row["name"], _said(row))
    table.show_header = False
    RESULTS.print(table)


def _said(row: Row) -> str:
    """Return what a row is, with what a reader must know of it."""
    from qnewton.report.quantities import seconds_text

    said = row["what"]
    if "gate_time_s" in row:
        hypothetical = "hypothetical; " if row["hypothetical"] else ""
        said = f"{hypothetical}gate time {seconds_text(row['gate_time_s'])}; {said}"
    if row.get("local_data"):
        said += f"; --data-dir: {row['local_data']}"
    return said
