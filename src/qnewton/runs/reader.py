"""Reading a run folder back, whichever version of qnewton wrote it."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from qnewton.records import MetricRecord, StepRecord
from qnewton.runs.config import RunConfig, parse_record, read_config
from qnewton.runs.errors import NotARunError, reading
from qnewton.runs.writer import METRICS_FILE, STEPS_FILE

Record = TypeVar("Record")


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
    steps, torn_step = read_lines(folder / STEPS_FILE, StepRecord)
    metrics, torn_metric = read_lines(folder / METRICS_FILE, MetricRecord)
    warnings = (*torn_step, *torn_metric)
    return Run(folder=folder, config=config, steps=steps, metrics=metrics, warnings=warnings)


def read_lines(path: Path, record_type: type[Record]) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Return the records of a log, if there is one, and a warning if its last line is torn."""
    try:
        with reading(path):
            data = path.read_bytes()
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
