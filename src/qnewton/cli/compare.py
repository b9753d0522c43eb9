"""``qnewton compare``: the paper's comparison on one workload."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from qnewton.cli.calibrate import load_or_calibrate
from qnewton.cli.folders import new_run_folder
from qnewton.cli.output import RESULTS, print_json
from qnewton.cli.progress import TrainingProgress
from qnewton.training.request import (
    NewtonOptions,
    TrainingRequest,
    at_least_one,
    options_of,
)

if TYPE_CHECKING:
    from qnewton.experiments.compare import CompareEvent


@dataclass(frozen=True, kw_only=True)
class Compare(NewtonOptions):
    """Train SGD and Newton to one target and price Newton's steps for every policy.

    Prints the paper's table (SGD, classical-only, quantum-only, Q-Newton): steps, seconds a step
    and in total, measured and modelled seconds in columns of their own. The run folder also gets
    pictures (PNG, SVG, CSV) and report.html. The target is the workload's unless one is given.

    Examples: qnewton compare digits; qnewton compare digits --seed 3 --hardware photonic-thz;
    qnewton compare digits --calibration nominal

    Attributes:
        steps: Newton steps at most.
        max_sgd_steps: SGD steps at most, at each learning rate.
        sgd_learning_rates: Learning rates SGD is tuned over; the default is the workload's grid.
        agreement_every: Newton steps between checks that the charged solvers agree.
        calibration: Classical machine that prices are of, in place of this one: nominal, a
            profile's name or a TOML file. What is measured stays this machine's.
        out: New folder; the default is runs/WORKLOAD-compare-DATE-TIME.
        data_dir: Local data folder, for workloads that need one (else QNEWTON_DATA).
        json: Print the table as one JSON object.
    """

    workload: tyro.conf.Positional[str] = "digits"
    steps: int = 100
    max_sgd_steps: int = 1500
    sgd_learning_rates: tuple[float, ...] | None = None
    agreement_every: int = 10
    calibration: str | None = None
    out: Path | None = None
    data_dir: Path | None = None
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_sgd_steps", "agreement_every"):
            at_least_one(self, name)
        if self.damping == "auto":
            raise ValueError(
                "--damping is 'auto'; a comparison prices the same systems for every policy, with "
                "a λ that is a number: give one, or train with 'auto' by qnewton train"
            )

    def run(self) -> None:
        """Run the comparison, write its page, and print its table."""
        training = options_of(self, TrainingRequest)
        # Loaded after the options are checked: torch takes seconds that a wrong word need not.
        from qnewton.cli.price import chosen_calibration
        from qnewton.experiments.compare import CompareRequest, compare
        from qnewton.report import comparison_table, write_pictures, write_report
        from qnewton.runs import read_config
        from qnewton.workloads import load_workload

        request = CompareRequest(
            training=training,
            sgd_learning_rates=self.sgd_learning_rates,
            max_sgd_steps=self.max_sgd_steps,
            agreement_every=self.agreement_every,
        )
        folder = self.out or new_run_folder(f"{self.workload}-compare")
        workload = load_workload(self.workload, self.seed, self.data_dir)
        calibration = (
            load_or_calibrate()
            if self.calibration is None
            else chosen_calibration(self.calibration)
        )
        with TrainingProgress(quiet=self.json) as progress:

            def on_event(event: CompareEvent) -> None:
                progress.start(event.label, event.steps)
                if event.progress is not None:
                    progress.on_step(event.progress)

            comparison = compare(
                request, folder, workload, calibration, on_event, progress.on_stage
            )
        report = write_report(folder)
        write_pictures(folder)
        if self.json:
            print_json(comparison.summary())
            return
        RESULTS.print(comparison_table(comparison, read_config(folder)))
        RESULTS.print(f"run folder {folder}, page {report}", highlight=False)
