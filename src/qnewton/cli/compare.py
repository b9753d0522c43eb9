"""``qnewton compare``: the paper's comparison on one workload."""

from dataclasses import dataclass, field
from typing import ClassVar

from qnewton.cli.calibrate import ClassicalOptions, load_or_calibrate
from qnewton.cli.checks import check_machine, check_out, check_workload
from qnewton.cli.live import event_told_too, live_page
from qnewton.cli.output import RESULTS, FolderOptions, Verbose, print_json, say, say_paths
from qnewton.cli.pages import write_page
from qnewton.cli.progress import TrainingProgress
from qnewton.training import request


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Train SGD and Newton to one target and price Newton's steps for every policy.

    Prints who wins, what Q-Newton pays and saves, and the paper's table (SGD, Classical-Only,
    Quantum-Only, Q-Newton) with the best classical solver beside it: steps, measured and modelled
    seconds in columns of their own, and of the modelled ones what finding κ and d costs. The run
    folder also gets pictures (PNG, SVG, CSV) and report.html. The target is the workload's unless
    one is given.

    Examples: qnewton compare digits; qnewton compare digits --seed 3 --hardware photonic-thz;
    qnewton compare digits --calibration nominal

    Attributes:
        max_sgd_steps: The most SGD steps, at each learning rate.
        sgd_learning_rates: Learning rates SGD is tuned over; the default is the workload's grid.
        agreement_every: Newton steps between checks that the charged solvers agree.
        live: Serve the page to this machine while it trains; the address is printed.
        verbose: Add the machines behind both clocks, and what each row rests on.
        json: Print the answer and the table as one JSON object.
    """

    usual: ClassVar[tuple[str, ...]] = (
        "workload",
        "steps",
        "target",
        "hardware",
        "calibration",
        "out",
        "verbose",
        "json",
    )

    training: request.RunOptions = field(default=request.RunOptions(steps=100))
    newton: request.NewtonOptions
    damping: request.DampingOptions
    warmup: request.WarmupOptions
    limits: request.LimitOptions
    quantum: request.ExecutedOptions
    classical: ClassicalOptions
    folders: FolderOptions
    max_sgd_steps: int = 1500
    sgd_learning_rates: tuple[float, ...] | None = None
    agreement_every: int = 10
    live: bool = False
    verbose: Verbose = False
    json: bool = False

    def __post_init__(self) -> None:
        request.check_counts(self, "max_sgd_steps", "agreement_every")
        if self.damping.damping == "auto":
            needed = "a comparison prices the same systems for every policy, with a λ that is a"
            way_out = "give one, or train with 'auto' by qnewton train"
            raise ValueError(f"--damping is 'auto'; {needed} number: {way_out}")

    def run(self) -> None:
        """Run the comparison, write its page, and print its table."""
        name = self.training.workload
        check_workload(name, self.folders.data_dir)
        check_machine(self.quantum.hardware)
        check_out(self.folders.out)
        named = self.classical.chosen()
        # Loaded after the request is checked: torch takes seconds that a wrong word need not.
        from qnewton.experiments.compare import CompareRequest, compare
        from qnewton.report import comparison_table
        from qnewton.report.answer import answer
        from qnewton.runs import read_config
        from qnewton.workloads import load_workload

        asked = CompareRequest(
            training=request.request_of(self),
            sgd_learning_rates=self.sgd_learning_rates,
            max_sgd_steps=self.max_sgd_steps,
            agreement_every=self.agreement_every,
        )
        folder = self.folders.new_folder(f"{name}-compare")
        workload = load_workload(name, self.training.seed, self.folders.data_dir)
        calibration = named or load_or_calibrate()
        label = f"comparing on {name}"
        with (
            TrainingProgress(quiet=self.json, label=label) as shown,
            live_page(folder, wanted=self.live) as live,
        ):
            priced = (asked, folder, workload, calibration)
            on_event = event_told_too(live, shown.on_event)
            comparison = compare(*priced, on_event, shown.on_stage)
        page = write_page(folder)
        config = read_config(folder)
        said = answer(comparison, config.hardware)
        if self.json:
            print_json(comparison.summary() | {"answer": said})
            return
        for sentence in said:
            say(sentence)
        RESULTS.print(comparison_table(comparison, config if self.verbose else None))
        say_paths(f"run folder {folder}" if page is None else f"page {page}")
