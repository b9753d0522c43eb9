"""Training runs that an experiment keeps as run folders, and reads again in place of training."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from qnewton.records import Calibration, MetricRecord, StepRecord, encode
from qnewton.runs import RunConfig, latest_checkpoint, read_run
from qnewton.training.loop import train
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare, resume
from qnewton.workloads import Workload, load_workload

_DECIDES = (
    "workload",
    "options",
    "versions",
    "threads",
    "calibration",
    "hardware",
    "data",
    "dtype",
)
"""What a run's numbers follow from, of its configuration."""


@dataclass(frozen=True)
class KeptRun:
    """What a finished run recorded.

    Attributes:
        steps: Its steps.
        metrics: Its evaluations.
    """

    steps: tuple[StepRecord, ...]
    metrics: tuple[MetricRecord, ...]


@dataclass(frozen=True)
class KeptRuns:
    """Runs below one folder.

    Attributes:
        calibration: Prices of the classical machine.
        folder: Where the runs are kept; ``None`` to keep none.
        data_dir: Where the workload's data are.
    """

    calibration: Calibration
    folder: Path | None = None
    data_dir: Path | None = None

    def run(self, request: TrainingRequest, name: str) -> KeptRun:
        """Return the run of a request: as it was kept, or gone on with, or trained now.

        Args:
            request: What is asked for.
            name: What its folder begins with; the rest tells it from every other request,
                version of a package, and machine.
        """
        workload = _workload(request.workload, request.seed, self.data_dir)
        session = prepare(request, workload, self.calibration)
        if self.folder is None:
            found = train(session)
            return KeptRun(found.records, found.metrics)
        folder = self.folder / f"{name}-{_digest(session.config)}"
        if not folder.exists():
            begin(session, folder)
        elif not _is_finished(folder, request):
            resume(folder, self.data_dir)
        run = read_run(folder)
        return KeptRun(run.steps, run.metrics)


@lru_cache(maxsize=4)
def _workload(name: str, seed: int, data_dir: Path | None) -> Workload:
    return load_workload(name, seed, data_dir)


def _digest(config: RunConfig) -> str:
    """Return a few characters that no other run has."""
    decides = {name: encode(getattr(config, name)) for name in _DECIDES}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:10]


def _is_finished(folder: Path, request: TrainingRequest) -> bool:
    """Return whether the run ended, and its last step was saved."""
    run, (checkpoint, _) = read_run(folder), latest_checkpoint(folder)
    if checkpoint is None or checkpoint.step != len(run.steps):
        return False
    accuracy = run.metrics[-1].test_accuracy if run.metrics else 0.0
    reached = request.target is not None and accuracy >= request.target
    return reached or len(run.steps) == request.steps
