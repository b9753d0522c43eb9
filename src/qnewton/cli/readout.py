"""``qnewton readout``: what shots and polynomial error do to training."""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.table import Table

from qnewton.cli.output import PROGRESS, RESULTS, print_json


@dataclass(frozen=True, kw_only=True)
class Readout:
    """Train through the emulated quantum solver at many numbers of shots and errors ε.

    Every run starts from the same weights and takes the same number of steps with policy
    quantum-only. Two pictures are written, test accuracy against shots and against ε, with their
    numbers.

    Examples: qnewton readout digits; qnewton readout digits --methods swap --shots 1000000

    Attributes:
        workload: What to train.
        methods: Read-outs to sweep over shots: amplitude, hadamard, swap.
        shots: Shots of every read-out.
        epsilons: Errors of the polynomial, read ideally.
        steps: Steps of every run.
        damping: The λ of H + λI.
        out: Folder for pictures and numbers.
        seed: Draws the split, the weights, the batches and the outcomes.
        data_dir: Local data folder, for workloads that need one (else QNEWTON_DATA).
        json: Print one JSON object with every run.
    """

    workload: tyro.conf.Positional[str] = "digits"
    methods: tuple[str, ...] = ("amplitude", "swap")
    shots: tuple[int, ...] = (2_000, 10_000, 50_000, 250_000, 10_000_000)
    epsilons: tuple[float, ...] = (0.2, 0.1, 1e-2, 1e-4)
    steps: int = 15
    damping: float = 1.0
    out: Path = Path("readout-results")
    seed: int = 0
    data_dir: Path | None = None
    json: bool = False

    def run(self) -> None:
        """Make every run, write the pictures, and print the table."""
        from qnewton.cost import nominal_calibration
        from qnewton.experiments.readout_sweep import SweepRequest, sweep_readout, sweep_rows
        from qnewton.report import save_chart
        from qnewton.report.readout_curves import accuracy_against
        from qnewton.training.request import TrainingRequest, read_methods
        from qnewton.workloads import load_workload

        request = SweepRequest(
            training=TrainingRequest(
                workload=self.workload, steps=self.steps, seed=self.seed, damping=self.damping
            ),
            methods=read_methods(self.methods),
            shots=self.shots,
            epsilons=self.epsilons,
        )
        workload = load_workload(self.workload, self.seed, self.data_dir)
        # Nothing is decided by a price, so no machine needs to be calibrated for it.
        with PROGRESS.status("starting") as status:
            points = sweep_readout(request, workload, nominal_calibration(), status.update)
        rows, files = sweep_rows(points), []
        for swept in ("shots", "epsilon"):
            if any(row["swept"] == swept for row in rows):
                picture = accuracy_against(swept, rows, self.workload, self.steps)
                files += save_chart(picture, self.out, f"accuracy-against-{swept}")
        if self.json:
            print_json({"runs": rows, "files": [str(file) for file in files]})
            return
        table = Table(title=f"{self.workload}, {self.steps} steps of the emulated QSVT")
        for heading in ("read-out", "shots", "ε", "accuracy", "angle", "p", "queries"):
            table.add_column(heading)
        for p in points:
            table.add_row(
                p.readout,
                "–" if p.shots is None else f"{p.shots:,}",
                f"{p.epsilon:g}",
                f"{p.test_accuracy:.1%}",
                "–" if p.median_angle is None else f"{p.median_angle:.2g}",
                "–" if p.success_probability is None else f"{p.success_probability:.2g}",
                f"{p.queries:.1e}",
            )
        RESULTS.print(table)
        RESULTS.print(f"written into {self.out}", highlight=False)
