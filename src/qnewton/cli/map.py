"""``qnewton map``: a price over two assumptions, with the user's own system marked."""

from dataclasses import dataclass
from pathlib import Path

from qnewton import cost
from qnewton.cli.auditing import AuditOptions
from qnewton.cli.calibrate import SolverOptions
from qnewton.cli.output import PROGRESS, RESULTS, print_json, require, say_paths
from qnewton.cli.pages import optional_pictures
from qnewton.cli.system_options import SystemOptions
from qnewton.records.messages import check
from qnewton.runs import write_atomically
from qnewton.runs.errors import storage
from qnewton.training.request import MachineOptions

_DEFAULT_MACHINE = "qubit_gate_ns_e3"


@dataclass(frozen=True, kw_only=True)
class Map:
    """Price a system over two assumptions: who wins where, and how sure that is.

    Everything is modelled. The table has the seconds of the quantum solver with likely constants,
    with every constant at the end of its range that is kindest to it, and at the harshest end; the
    lines are where the prices of the quantum and of the cheapest classical solver are equal. The
    cross in the picture is the system that --n, --kappa and --sparsity describe.

    Axes: n (unknowns), kappa (condition number), sparsity (entries per row), epsilon (error of the
    vector), gate-time, machine-time (gates and measurements together), error-rate, classical-speed
    (how many times as slow the classical machine is). A range is LOW:HIGH.

    Examples: qnewton map --n 12544 --kappa 100 --sparsity 64;
    qnewton map --n 12544 --kappa 100 --sparsity 64 --x kappa --y error-rate --y-range 1e-6:1e-3;
    qnewton map --n 1000000 --kappa 1e4 --x n --x-range 1e3:1e15 --y machine-time --points 100

    Attributes:
        x: The assumption along the horizontal axis.
        y: The assumption along the vertical axis.
        x_range: Its ends, LOW:HIGH.
        y_range: Its ends, LOW:HIGH.
        points: Values along each axis.
        rivals: Stored classical machines that may solve the system, beside the calibration.
        out: Folder for the picture (PNG and SVG) and the tables (CSV).
        json: Print one JSON object with the table and the lines.
    """

    system: SystemOptions
    classical: SolverOptions
    quantum: MachineOptions
    price: AuditOptions
    x: str = "n"
    y: str = "machine-time"
    x_range: str | None = None
    y_range: str | None = None
    points: int = 60
    rivals: tuple[str, ...] = ()
    out: Path = Path("price-map")
    json: bool = False

    def __post_init__(self) -> None:
        for option in ("x", "y"):
            name = getattr(self, option)
            known = ", ".join(cost.AXES)
            require(name in cost.AXES, f"--{option} is {name!r}; choose {known}")
        require(self.x != self.y, f"--x and --y are both {self.x!r}; choose two assumptions")
        check("--points", self.points, "must lie between 2 and 400", 2 <= self.points <= 400)

    def run(self) -> None:
        """Price the grid, write the picture and the tables, and print who wins where."""
        scenario = self._scenario()
        x, y = (self._span(option, scenario) for option in ("x", "y"))
        with PROGRESS.status(f"pricing {self.points**2:,} points"):
            found = cost.price_map(scenario, x, y, self.points)
        rows, crossings = list(found.rows()), found.crossings()
        if self.json:
            print_json({"rows": rows, "equal_prices": crossings, "quantum_share": found.shares})
            return
        from qnewton.report import draw_price_map, save_chart
        from qnewton.report.quantities import share_text

        paths: list[Path] = []
        with optional_pictures():
            paths += save_chart(draw_price_map(found), self.out, "map")
        for name, table in (("prices", rows), ("equal-prices", crossings)):
            if table:
                paths.append(_write(self.out / f"{name}.csv", table))
        machine = scenario.hardware
        kind = " (hypothetical)" if machine.hypothetical else ""
        RESULTS.print(
            f"the quantum solver on {machine.name}{kind} is cheaper than the best classical solver "
            f"on {scenario.calibration.name} at {share_text(found.shares['likely'])} of "
            f"{len(rows):,} points (modelled); at {share_text(found.shares['kindest'])} with every "
            f"constant at its kindest, at {share_text(found.shares['harshest'])} at its harshest"
        )
        for path in paths:
            say_paths(f"wrote {path}")

    def _scenario(self) -> cost.Scenario:
        calibration = self.classical.chosen() or cost.latest_calibration()
        audit = self.price.over(cost.DEFAULT_AUDIT)
        _, facts = self.system.surveyed(audit.epsilon)
        return cost.Scenario(
            facts=facts,
            calibration=calibration or cost.nominal_calibration(),
            hardware=cost.load_hardware(self.quantum.hardware or _DEFAULT_MACHINE),
            audit=audit,
            dtype=self.classical.dtype or "float32",
            tolerance=self.classical.tolerance or 1e-6,
            rivals=tuple(cost.load_classical(name) for name in self.rivals),
        )

    def _span(self, option: str, scenario: cost.Scenario) -> tuple[cost.Axis, float, float]:
        name, given = getattr(self, option), getattr(self, f"{option}_range")
        axis = cost.AXES[name]
        if given is None:
            return axis.shown(scenario)
        try:
            low, high = (float(end) for end in given.split(":"))
        except ValueError:
            said = f"--{option}-range is {given!r}; give both ends as LOW:HIGH, such as 1e3:1e9"
            raise ValueError(said) from None
        limits = f"must rise, between {axis.low:g} and {axis.high:g}"
        holds = axis.low <= low < high <= axis.high
        check(f"--{option}-range", given, limits, holds)
        return axis, low, high


def _write(path: Path, rows: list[dict[str, float]]) -> Path:
    from qnewton.report import csv_text

    with storage("write", path, resumable=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, csv_text(rows).encode())
    return path
