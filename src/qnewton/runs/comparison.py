"""Several methods on one workload to one target: the paper's Tables III and IV as a record."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnewton.records import SCHEMA_VERSION, encode
from qnewton.runs.atomic import write_atomically
from qnewton.runs.config import parse_record, read_config
from qnewton.runs.errors import NotARunError, reading, storage

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
