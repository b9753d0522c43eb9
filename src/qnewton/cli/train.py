"""``qnewton train``: one training run into a run folder."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from qnewton.cli.calibrate import load_or_calibrate
from qnewton.cli.folders import new_run_folder
from qnewton.cli.output import RESULTS, print_json, warn
from qnewton.cli.progress import TrainingProgress
from qnewton.cost import DEFAULT_AUDIT, Audit
from qnewton.training.request import TrainingRequest, at_least_one, options_of


@dataclass(frozen=True, kw_only=True)
class Train(TrainingRequest):
    """Train a workload with one policy into a run folder.

    The folder holds config.json, one line a step in steps.jsonl (facts, quotes, decision, both
    clocks), one line an evaluation in metrics.jsonl, checkpoints and report.html. An interrupted
    run goes on with --resume FOLDER and ends at the same parameters, to the bit.

    Examples: qnewton train digits; qnewton train digits --policy paper --hardware photonic-thz;
    qnewton train --resume runs/digits-20250101-120000

    Attributes:
        out: New folder for the run; the default is runs/WORKLOAD-DATE-TIME.
        resume: Go on with the interrupted run in this folder; its own options stay in force.
        print_every: Print one line about every so many-th step: loss, λ, ρ, solvers, seconds, and
            why nothing was changed.
        data_dir: Local data folder, for workloads that need one (else QNEWTON_DATA).
        query_set: Policy hybrid: counts of the audited price: paper, rigorous, warm-start (the
            norm is known) or optimistic.
        state_error: Policy hybrid: error of the solution state in the audited price.
        state_readout: Policy hybrid: how that state is read in the audited price: simulated
            shots, provable shots, coherent, or none.
        tables: Policy hybrid: where the matrix is read from: qrom, or qram, which nobody has built.
        error_correction: Policy hybrid: auto (qdk where installed), qdk, closed-form, or perfect.
        json: Print one JSON object with the result.
    """

    audit: tyro.conf.Suppress[Audit] = DEFAULT_AUDIT
    workload: tyro.conf.Positional[str] = "digits"
    out: Path | None = None
    resume: Path | None = None
    print_every: int | None = None
    data_dir: Path | None = None
    query_set: Literal["paper", "rigorous", "warm-start", "optimistic"] = DEFAULT_AUDIT.query_set
    state_error: float = DEFAULT_AUDIT.epsilon
    state_readout: Literal["simulated", "provable", "coherent", "none"] = DEFAULT_AUDIT.readout
    tables: Literal["qrom", "qram"] = DEFAULT_AUDIT.tables
    error_correction: Literal["auto", "qdk", "closed-form", "perfect"] = (
        DEFAULT_AUDIT.error_correction
    )
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "print_every")

    def run(self) -> None:
        """Train, or go on training, and print the result."""
        from qnewton.cost import measured_drifts
        from qnewton.report import write_pictures, write_report
        from qnewton.report.run_summary import (
            clocks_text,
            coverage_text,
            quantum_summary,
            quantum_text,
            rescaling_text,
        )
        from qnewton.runs import count_decisions
        from qnewton.training.session import begin, prepare, resume
        from qnewton.workloads import load_workload

        if self.resume is not None:
            folder = self.resume
            with TrainingProgress(quiet=self.json, every=self.print_every) as progress:
                session, result = resume(
                    folder,
                    self.data_dir,
                    on_step=progress.on_step,
                    on_stage=progress.on_stage,
                    on_warning=warn,
                )
        else:
            workload = load_workload(self.workload, self.seed, self.data_dir)
            request = replace(options_of(self, TrainingRequest), audit=self._audit())
            session = prepare(request, workload, load_or_calibrate())
            folder = self.out or new_run_folder(self.workload)
            with TrainingProgress(self.steps, quiet=self.json, every=self.print_every) as progress:
                result = begin(session, folder, progress.on_step, progress.on_stage)
        report = write_report(folder)
        write_pictures(folder)
        assert session.config.calibration is not None
        drifts = measured_drifts(result.records, session.config.calibration)
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
        chosen = ", ".join(f"{name} {count}×" for name, count in decisions.items())
        drifted = ", ".join(f"{drift.solver} {drift.ratio:.2f}×" for drift in drifts)
        if drifted:
            drifted = (
                f"solves took, of their price: {drifted}; `qnewton calibrate --drift {folder}` "
                "prices later runs with that\n"
            )
        texts = (coverage_text, rescaling_text, quantum_text)
        notes = [text(result.records) for text in texts]
        notes.append(clocks_text(session.config, result.records))
        noted = "".join(f"{note}\n" for note in notes if note is not None)
        modelled = metric.modelled_seconds
        RESULTS.print(
            f"{len(result.records)} steps, loss {last.loss:.4f}, test accuracy "
            f"{metric.test_accuracy:.1%}; measured {metric.measured_seconds:.2f} s, modelled "
            f"{'unknown' if modelled is None else f'{modelled:.3g} s'}"
            f"{'; solvers: ' + chosen if chosen else ''}\n"
            f"{noted}{drifted}"
            f"run folder {folder}, page {report}",
            highlight=False,
        )

    def _audit(self) -> Audit:
        return Audit(
            query_set=self.query_set,
            epsilon=self.state_error,
            readout=self.state_readout,
            tables=self.tables,
            error_correction=self.error_correction,
        )
