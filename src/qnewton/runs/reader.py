"""Reading a run folder back, whichever version of qnewton wrote it, and comparisons of runs."""

import gzip
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qnewton.records import SCHEMA_VERSION, MetricRecord, StepRecord, encode
from qnewton.runs.atomic import write_atomically
from qnewton.runs.config import RunConfig, parse_record, read_config
from qnewton.runs.errors import NotARunError, reading, storage
from qnewton.runs.writer import METRICS_FILE, STEPS_FILE

Record = TypeVar("Record")

PACKED_STEPS_FILE = f"{STEPS_FILE}.gz"
"""The steps of a run that is finished and kept small."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as its folder tells it.

    Attributes:
        folder: Where it was read from.
        config: What it was asked to do.
        steps: Its steps, in order.
        metrics: Its evaluations, in order.
        warnings: What had to be left out in reading, one line each.
    """

    folder: Path
    config: RunConfig
    steps: tuple[StepRecord, ...]
    metrics: tuple[MetricRecord, ...]
    warnings: tuple[str, ...] = ()

    def decisions(self) -> dict[str, int]:
        """Return :func:`count_decisions` of the run's steps."""
        return count_decisions(self.steps)


def count_decisions(steps: Iterable[StepRecord]) -> dict[str, int]:
    """Return how often each solver was chosen for a block that was then solved."""
    return dict(
        Counter(block.decision.chosen for step in steps for block in step.blocks if block.attempts)
    )


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Return the training run in ``folder``, which may still be running.

    A last line without its end (the process was killed while it wrote, or is writing now) is
    left out and named in ``warnings``.

    Args:
        folder: A run folder that ``qnewton train`` wrote, or one method's of a comparison.

    Raises:
        NotARunError: If it is not one.
        NewerSchemaError: If a newer version of qnewton wrote it.
        CorruptRunError: If a file is damaged; names the file and the line.

    Example:
        >>> read_run("no-such-run")
        Traceback (most recent call last):
        ...
        qnewton.runs.errors.NotARunError: no-such-run does not exist: not a run folder; name one \
that `qnewton train` or `qnewton compare` has written
    """
    folder = Path(folder)
    config = read_config(folder)
    if config.kind != "train":
        raise NotARunError(
            f"{folder} holds a {config.kind}, not one training run; name one of its subfolders"
        )
    packed = folder / PACKED_STEPS_FILE
    log = packed if packed.exists() else folder / STEPS_FILE
    steps, torn_step = read_lines(log, StepRecord)
    metrics, torn_metric = read_lines(folder / METRICS_FILE, MetricRecord)
    warnings = (*torn_step, *torn_metric)
    return Run(folder=folder, config=config, steps=steps, metrics=metrics, warnings=warnings)


def read_lines(path: Path, record_type: type[Record]) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Return the records of a log, if there is one, and a warning if its last line is torn."""
    try:
        with reading(path):
            data = path.read_bytes()
            if path.suffix == ".gz":
                data = gzip.decompress(data)
    except FileNotFoundError:
        return (), ()
    *lines, rest = data.split(b"\n")
    records = tuple(
        parse_record(record_type, line, where=f"{path}, line {number},")
        for number, line in enumerate(lines, start=1)
    )
    if not rest:
        return records, ()
    return records, (f"{path}, line {len(lines) + 1}, has no end: left out",)


COMPARISON_FILE = "comparison.json"

_NOT_PRINTED = frozenset({"run", "label", "learning_rate", "note"})
"""Fields of a row that a table or a page shows, and the printed object leaves out."""


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One method of a comparison.

    Attributes:
        method: ``sgd``, ``classical-only``, ``quantum-only``, ``q-newton``…
        steps: Steps until the target, or all that were taken.
        reached: Whether the target was reached.
        test_accuracy: Accuracy on the full test set at the last evaluation.
        measured_seconds: Wall-clock seconds on this machine; ``None`` when the method was
            priced from another one's recorded steps and so never ran on its own.
        modelled_seconds: Seconds the price models give all its steps.
        modelled_seconds_per_step: Those over ``steps``.
        modelled_survey_seconds: The part of them that measures the matrix: what the method has to
            know of κ and of the entries per row before it can choose; ``None`` where unknown.
        quantum_share: Share of the solves the quantum solver was chosen for, 0 to 1; ``None``
            where the method solves no system.
        run: Subfolder of the run the row comes from.
        label: The method as a table shows it.
        learning_rate: The rate chosen for it, where it needed one.
        note: What a reader must know about the row, in a sentence.
    """

    method: str
    steps: int
    reached: bool
    test_accuracy: float
    measured_seconds: float | None
    modelled_seconds: float | None
    modelled_seconds_per_step: float | None
    quantum_share: float | None
    run: str
    label: str
    learning_rate: float | None = None
    note: str | None = None
    modelled_survey_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What ``qnewton compare`` found.

    Attributes:
        workload: Name of the workload.
        target: Test accuracy to reach.
        seed: Seed of every run.
        run: Folder of the comparison.
        rows: One row per method.
        schema: Version of the format.
    """

    workload: str
    target: float
    seed: int
    run: str
    rows: tuple[ComparisonRow, ...]
    schema: int = SCHEMA_VERSION

    def summary(self) -> dict[str, Any]:
        """Return the plain object that ``qnewton compare --json`` prints.

        Example:
            >>> Comparison(workload="digits", target=0.95, seed=0, run="out", rows=()).summary()
            {'workload': 'digits', 'target': 0.95, 'seed': 0, 'run': 'out', 'rows': []}
        """
        printed = encode(self)
        del printed["schema"]
        printed["rows"] = [
            {name: value for name, value in row.items() if name not in _NOT_PRINTED}
            for row in printed["rows"]
        ]
        return printed


def write_comparison(folder: str | os.PathLike[str], comparison: Comparison) -> Path:
    """Write ``comparison.json`` into ``folder``, whole or not at all.

    Raises:
        RunStorageError: If it cannot be written.
    """
    path = Path(folder) / COMPARISON_FILE
    text = json.dumps(encode(comparison), indent=2, allow_nan=False)
    with storage("write", path, resumable=True):
        write_atomically(path, text.encode(), b"\n")
    return path


def read_comparison(folder: str | os.PathLike[str]) -> Comparison:
    """Return the comparison in ``folder``.

    Raises:
        NotARunError: If the folder holds none, or one that did not finish.
        NewerSchemaError: If a newer version of qnewton wrote it.
        CorruptRunError: If the file is damaged.
    """
    folder = Path(folder)
    config = read_config(folder)
    if config.kind != "compare":
        raise NotARunError(f"{folder} holds a {config.kind} run, not a comparison")
    path = folder / COMPARISON_FILE
    try:
        with reading(path):
            text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotARunError(
            f"{folder} holds a comparison that did not finish; run `qnewton compare` again"
        ) from None
    return parse_record(Comparison, text, where=str(path))
