"""``qnewton train``: one training run into a run folder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from qnewton.cli.auditing import TrainingAudit
from qnewton.cli.calibrate import load_or_calibrate
from qnewton.cli.checks import check_machine, check_out, check_workload
from qnewton.cli.live import live_page, told_too
from qnewton.cli.output import FolderOptions, Verbose, print_json, say, say_paths, warn
from qnewton.cli.pages import write_page
from qnewton.cli.progress import TrainingProgress
from qnewton.cost import DEFAULT_AUDIT
from qnewton.runs import read_config
from qnewton.training import request

if TYPE_CHECKING:
    from qnewton.training.loop import Session, TrainingResult


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a workload with one policy into a run folder.

    The folder holds config.json, one line per step in steps.jsonl (facts, quotes, decision, both
    clocks), one line per evaluation in metrics.jsonl, checkpoints and report.html. An interrupted
    run goes on with --resume FOLDER and ends at the same parameters, to the bit.

    Examples: qnewton train digits; qnewton train digits --policy paper --hardware photonic-thz;
    qnewton train --resume runs/digits-20250101-120000

    Attributes:
        resume: Go on with the interrupted run in this folder; its own options stay in force.
        print_every: Print one line about every so many-th step: loss, λ, ρ, solvers, seconds, and
            why nothing was changed.
        live: Serve the run's page to this machine while it trains; the address is printed.
        verbose: Add the machines behind both clocks, and how solves compared with their prices.
        json: Print one JSON object with the result.
    """

    usual: ClassVar[tuple[str, ...]] = (
        "workload",
        "steps",
        "policy",
        "damping",
        "hardware",
        "target",
        "out",
        "verbose",
        "json",
    )

    training: request.RunOptions
    method: request.MethodOptions
    newton: request.NewtonOptions
    damping: request.DampingOptions
    warmup: request.WarmupOptions
    limits: request.LimitOptions
    quantum: request.QuantumOptions
    price: TrainingAudit
    folders: FolderOptions
    resume: Path | None = None
    print_every: int | None = None
    live: bool = False
    verbose: Verbose = False
    json: bool = False

    def __post_init__(self) -> None:
        request.check_counts(self, "print_every")

    def run(self) -> None:
        """Train, or go on training, and print the result."""
        folder, session, result = self._trained()
        from qnewton.cost import measured_drifts
        from qnewton.report.run_summary import (
            clocks_text,
            measured_text,
            modelled_text,
            quantum_summary,
            summary_texts,
        )
        from qnewton.runs import count_decisions

        page = write_page(folder)
        calibration = session.config.calibration
        assert calibration is not None
        drifts = measured_drifts(result.records, calibration)
        last, metric = result.records[-1], result.metrics[-1]
        decisions = count_decisions(result.records)
        quantum = quantum_summary(result.records)
        if self.json:
            print_json(
                {
                    "run": str(folder),
                    "steps": len(result.records),
                    "loss": last.loss,
                    "test_accuracy": metric.test_accuracy,
                    "measured_seconds": metric.measured_seconds,
                    "modelled_seconds": metric.modelled_seconds,
                    "decisions": decisions,
                    "drifts": {drift.solver: drift.ratio for drift in drifts},
                    "newton_share": last.newton_share,
                    "first_order_blocks": last.first_order_blocks,
                    "quantum": None if quantum is None else asdict(quantum),
                    "clocks": clocks_text(session.config, result.records),
                }
            )
            return
        modelled = metric.modelled_seconds
        chosen = ", ".join(f"{name} {count}×" for name, count in decisions.items())
        say(
            f"{len(result.records)} steps, loss {last.loss:.4f}, test accuracy "
            f"{metric.test_accuracy:.1%}; measured {metric.measured_seconds:.2f} s, modelled "
            f"{'unknown' if modelled is None else f'{modelled:.3g} s'}"
            f"{'; solvers: ' + chosen if chosen else ''}"
        )
        if last.damping is not None and last.damping.converged is not None:
            say(f"converged: {last.damping.converged.sentence}")
        for text in summary_texts(session.config, result.records).values():
            say(text)
        if self.verbose:
            say(measured_text(session.config))
            say(modelled_text(session.config))
        if self.verbose and drifts:
            drifted = ", ".join(f"{drift.solver} {drift.ratio:.2f}×" for drift in drifts)
            command = f"`qnewton calibrate --drift {folder}`"
            say(f"solves took, of their price: {drifted}; {command} prices later runs with that")
        say_paths(f"run folder {folder}{'' if page is None else f', page {page}'}")

    def _trained(self) -> "tuple[Path, Session, TrainingResult]":
        """Return the run's folder, what was trained, and its result."""
        if self.resume is not None:
            return self._resumed(self.resume)
        name, seed = self.training.workload, self.training.seed
        asked = request.request_of(self, audit=self.price.over(DEFAULT_AUDIT))
        check_workload(name, self.folders.data_dir)
        check_machine(asked.quantum_hardware)
        check_out(self.folders.out)
        # Loaded after the request is checked: torch takes seconds that a wrong word need not.
        from qnewton.training.session import begin, prepare
        from qnewton.workloads import load_workload

        workload = load_workload(name, seed, self.folders.data_dir)
        session = prepare(asked, workload, load_or_calibrate())
        folder = self.folders.new_folder(name)
        steps = self.training.steps
        with self._progress(steps) as shown, live_page(folder, wanted=self.live) as page:
            on_step = told_too(page, shown.on_step, steps)
            return folder, session, begin(session, folder, on_step, shown.on_stage)

    def _resumed(self, folder: Path) -> "tuple[Path, Session, TrainingResult]":
        steps = read_config(folder).options.get("steps")
        from qnewton.training.session import resume

        with self._progress(steps) as shown, live_page(folder, wanted=self.live) as page:
            told = (told_too(page, shown.on_step, steps), shown.on_stage, warn)
            return folder, *resume(folder, self.folders.data_dir, *told)

    def _progress(self, steps: int | None) -> TrainingProgress:
        return TrainingProgress(steps, quiet=self.json, every=self.print_every)
