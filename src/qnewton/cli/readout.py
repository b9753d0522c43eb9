"""``qnewton readout``: what shots and polynomial error do to training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from qnewton.cli.checks import check_machine, check_place, check_workload
from qnewton.cli.output import RESULTS, FolderOptions, print_json, say, say_paths
from qnewton.cli.pages import optional_pictures
from qnewton.cli.progress import Progress
from qnewton.records.messages import check
from qnewton.training import request

if TYPE_CHECKING:
    # Only named here, so that help loads no torch.
    from qnewton.experiments.kept_runs import KeptRuns
    from qnewton.experiments.readout_sweep import SweepPoint

_LOST = 0.01
"""Test accuracy that a read-out may cost and still counts as enough."""


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """How the coarsest read-out that trains is found.

    Attributes:
        find: Find the coarsest read-out that still trains, in place of the sweep, for the first of
            the methods.
        seeds: Seeds that all have to reach their target.
        target: Test accuracy (0 to 1) that they have to reach; the default is what the ideal
            read-out reaches in as many steps, less the margin.
        margin: Test accuracy that a coarse read-out may cost.
        hardware: The quantum machine that it is priced on: a profile's name or a TOML file.
    """

    find: bool = False
    seeds: int = 3
    target: float | None = None
    margin: float = 0.01
    hardware: str = "qubit_gate_ns_e3"


@dataclass(frozen=True, kw_only=True)
class ReadoutSweep:
    """Train through the emulated quantum solver at many numbers of shots and errors ε.

    Every run starts from the same weights and takes the same number of steps with policy
    quantum-only. Two pictures are written, test accuracy against shots and against ε, with their
    numbers. With --find the fewest shots and the largest ε that still train are found by bisection
    instead, and priced. Runs are stored as run folders, and those that exist are not made again.

    Examples: qnewton readout digits; qnewton readout digits --methods swap --shots 1000000;
    qnewton readout digits --find --seeds 2

    Attributes:
        methods: Read-outs to sweep over shots: amplitude, hadamard, swap.
        shots: Shots of every read-out.
        epsilons: Errors of the polynomial, read ideally.
        json: Print one JSON object with every run.
    """

    usual: ClassVar[tuple[str, ...]] = (
        "workload",
        "steps",
        "methods",
        "shots",
        "epsilons",
        "find",
        "out",
        "json",
    )

    training: request.WorkloadOptions = field(default=request.WorkloadOptions(steps=15))
    damping: request.DampingOptions = field(default=request.DampingOptions(damping=1.0))
    methods: tuple[str, ...] = ("amplitude", "swap")
    shots: tuple[int, ...] = (2_000, 10_000, 50_000, 250_000, 10_000_000)
    epsilons: tuple[float, ...] = (0.2, 0.1, 1e-2, 1e-4)
    limits: LimitOptions
    folders: FolderOptions = field(default=FolderOptions(out=Path("readout-results")))
    json: bool = False

    def __post_init__(self) -> None:
        request.read_methods(self.methods)
        for shots in self.shots:
            check("--shots", shots, "must be at least 1", shots >= 1)
        for epsilon in self.epsilons:
            check("--epsilons", epsilon, "must lie between 0 and 1", 0 < epsilon < 1)

    def run(self) -> None:
        """Make every run, and print what came of them."""
        check_workload(self.training.workload, self.folders.data_dir)
        check_machine(self.limits.hardware)
        check_place("--out", self.folders.out)
        # Loaded after the request is checked: torch takes seconds that a wrong word need not.
        from qnewton.cost import nominal_calibration
        from qnewton.experiments.kept_runs import KeptRuns

        folder = self.folders.new_folder(self.training.workload)
        # Nothing is decided by a price, so no machine needs to be calibrated for it.
        kept = KeptRuns(nominal_calibration(), folder / "runs", self.folders.data_dir)
        if self.limits.find:
            self._find(kept)
        else:
            self._sweep(kept, folder)

    def _find(self, kept: "KeptRuns") -> None:
        from qnewton.cli.readout_limits import print_limits
        from qnewton.experiments.readout_limits import LimitRequest, find_limits

        asked = LimitRequest(
            training=request.request_of(self, target=self.limits.target),
            method=request.read_methods(self.methods)[0],
            seeds=self.limits.seeds,
            margin=self.limits.margin,
            hardware=self.limits.hardware,
        )
        with Progress("starting", quiet=self.json) as shown:
            found = find_limits(asked, kept, shown.start)
        print_limits(found, self.training.workload, self.json)

    def _sweep(self, kept: "KeptRuns", folder: Path) -> None:
        """Write the pictures, and print the table."""
        from qnewton.experiments.readout_sweep import (
            SweepPoint,
            SweepRequest,
            sweep_readout,
            sweep_rows,
        )
        from qnewton.report import save_chart
        from qnewton.report.quantities import UNKNOWN, number_text
        from qnewton.report.readout_curves import accuracy_against
        from qnewton.report.table import Column, table_of

        asked = SweepRequest(
            training=request.request_of(self),
            methods=request.read_methods(self.methods),
            shots=self.shots,
            epsilons=self.epsilons,
        )
        name, steps = self.training.workload, self.training.steps
        done = count()
        total = 1 + len(asked.methods) * len(self.shots) + len(self.epsilons)
        with Progress(f"{name}, {steps} steps a run", total, quiet=self.json) as shown:
            points = sweep_readout(asked, kept, lambda run: shown.update(next(done), run))
        rows, files = sweep_rows(points), []
        for swept in ("shots", "epsilon"):
            if any(row["swept"] == swept for row in rows):
                with optional_pictures():
                    picture = accuracy_against(swept, rows, name, steps)
                    files += save_chart(picture, folder, f"accuracy-against-{swept}")
        if self.json:
            print_json({"runs": rows, "files": [str(file) for file in files]})
            return
        columns: tuple[Column[SweepPoint], ...] = (
            Column("read-out", lambda p: p.readout, words=True),
            Column("shots", lambda p: UNKNOWN if p.shots is None else f"{p.shots:,}"),
            Column("ε", lambda p: f"{p.epsilon:g}"),
            Column("accuracy", lambda p: f"{p.test_accuracy:.1%}"),
            Column("angle", lambda p: number_text(p.median_angle)),
            Column("p", lambda p: number_text(p.success_probability)),
            Column("queries", lambda p: f"{p.queries:.1e}"),
        )
        title = f"{name}, {steps} steps of the emulated QSVT"
        say(_best(points))
        RESULTS.print(table_of(title, columns, points).rich())
        say_paths(f"written into {folder}")


def _best(points: "Sequence[SweepPoint]") -> str:
    """Return the accuracy of the ideal read-out, and the fewest shots that come near it."""
    ideal = max(point.test_accuracy for point in points if point.swept == "ideal")
    said = [f"Read ideally it reaches {ideal:.1%}."]
    kept = [point for point in points if point.test_accuracy >= ideal - _LOST]
    shots = [point for point in kept if point.shots is not None]
    if shots:
        least = min(shots, key=lambda point: point.shots or 0)
        said.append(f"{least.shots:,} shots by {least.readout} stay within {_LOST:.0%} of that.")
    elif any(point.shots is not None for point in points):
        said.append(f"No number of shots stays within {_LOST:.0%} of that.")
    return " ".join(said)
