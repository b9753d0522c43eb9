"""``qnewton map``: a price over two assumptions, with the user's own system marked."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from qnewton import cost
from qnewton.cli.auditing import AuditOptions
from qnewton.cli.calibrate import SolverOptions
from qnewton.cli.checks import check_place
from qnewton.cli.output import print_json, require, say, say_paths
from qnewton.cli.pages import optional_pictures
from qnewton.cli.progress import Progress
from qnewton.cli.system_options import SystemOptions
from qnewton.records.messages import check, choice_of
from qnewton.runs import write_text
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
        out: Folder for the picture (PNG and SVG), its prices (map.csv) and its lines
            (equal-prices.csv).
        json: Print one JSON object with the table and the lines.
    """

    usual: ClassVar[tuple[str, ...]] = (
        "n",
        "kappa",
        "sparsity",
        "x",
        "y",
        "hardware",
        "out",
        "json",
    )

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
            require(name in cost.AXES, f"--{option} is {name!r}; {choice_of(name, cost.AXES)}")
        require(self.x != self.y, f"--x and --y are both {self.x!r}; choose two assumptions")
        check_place("--out", self.out)
        check("--points", self.points, "must lie between 2 and 400", 2 <= self.points <= 400)

    def run(self) -> None:
        """Price the grid, write the picture and the tables, and print who wins where."""
        scenario = self._scenario()
        x, y = (self._span(option, scenario) for option in ("x", "y"))
        with Progress(f"pricing {self.points**2:,} points", quiet=self.json):
            found = cost.price_map(scenario, x, y, self.points)
        rows, crossings = list(found.rows()), found.crossings()
        if self.json:
            shares = {"priced_points": found.priced, "quantum_share": found.shares}
            print_json({"rows": rows, "equal_prices": crossings, **shares})
            return
        from qnewton.report import csv_text, draw_price_map, save_chart
        from qnewton.report.quantities import share_text
        from qnewton.report.words import machine_name

        paths = [write_text(self.out / "map.csv", csv_text(rows))]
        lines = self.out / "equal-prices.csv"
        if crossings:
            paths.append(write_text(lines, csv_text(crossings)))
        else:
            lines.unlink(missing_ok=True)  # of an earlier map in this folder
        with optional_pictures():
            paths = [*paths[1:], *save_chart(draw_price_map(found), self.out, "map")]
        kindest, likely, harshest = (
            share_text(found.shares[name]) for name in ("kindest", "likely", "harshest")
        )
        priced, left = found.priced, len(rows) - found.priced
        unpriced = f"; {left:,} more points have no price and are left blank" if left else ""
        say(
            f"the quantum solver on {machine_name(found.machine)} is cheaper than the best "
            f"classical solver on {scenario.calibration.name} at {likely} of {priced:,} points "
            f"(modelled); at {kindest} with every constant at its kindest, at {harshest} at its "
            f"harshest{unpriced}"
        )
        say_paths(*(f"wrote {path}" for path in paths))

    def _scenario(self) -> cost.Scenario:
        audit = self.price.over(cost.DEFAULT_AUDIT)
        _, facts = self.system.surveyed(audit.epsilon)
        return cost.Scenario(
            facts=facts,
            calibration=self.classical.named(),
            hardware=cost.load_hardware(self.quantum.hardware or _DEFAULT_MACHINE),
            audit=audit,
            dtype=self.classical.precision,
            tolerance=self.classical.residual,
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
