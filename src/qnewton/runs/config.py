"""What a run was asked to do, and on what: everything that resume and replay need."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from qnewton.records import SCHEMA_VERSION, Calibration, QuantumHardware, StepRecord, decode, encode
from qnewton.records.schema_1 import step_of_schema_1
from qnewton.runs import errors
from qnewton.runs.atomic import is_leftover, remove_leftovers, sync_folder, write_atomically
from qnewton.runs.older_audit import with_one_error

CONFIG_FILE = "config.json"

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The resolved request behind a run folder, frozen when the run begins.

    Attributes:
        kind: ``train`` for one training run, ``compare`` for a folder of them.
        workload: Name of the workload.
        policy: The scheduler's policy, or the method's name where none decides (``sgd``).
        seed: The seed that every random choice of the run follows from.
        options: Resolved options by name, defaults included; JSON values.
        versions: Version of each package that computes, by name.
        machine: Processor and operating system in words.
        threads: Threads the classical kernels used; ``None`` when nobody set or asked.
        created: ISO date and time at which the run began.
        calibration: The classical prices in force; they stay in force on resume and replay.
        hardware: The quantum machine that prices were made for; ``None``: no quantum quotes.
        profiles: Quantum machines to show beside the run, for comparison only.
        data: Where the workload's data came from; ``None`` in runs that did not record it.
        notes: What the workload had to do without, and what stands in for it.
        dtype: dtype of the parameters; ``None`` in runs that did not record it.
        schema: Version of the format that the folder was begun with; each line of a log names its
            own.

    Example:
        >>> config = RunConfig(kind="train", workload="digits", policy="paper", seed=0,
        ...                    options={"damping": 1.0}, versions={"qnewton": "0.1.0"},
        ...                    machine="2 cores", threads=2, created="2025-01-01T00:00:00")
        >>> decode(RunConfig, encode(config)) == config
        True
    """

    kind: Literal["train", "compare"]
    workload: str
    policy: str
    seed: int
    options: dict[str, Any]
    versions: dict[str, str]
    machine: str
    threads: int | None
    created: str
    calibration: Calibration | None = None
    hardware: QuantumHardware | None = None
    profiles: tuple[QuantumHardware, ...] = ()
    data: str | None = None
    notes: tuple[str, ...] = ()
    dtype: str | None = None
    schema: int = SCHEMA_VERSION


def create_folder(folder: str | os.PathLike[str], config: RunConfig) -> Path:
    """Make ``folder`` and write ``config.json`` into it.

    Args:
        folder: A path that does not exist yet, or an empty folder; parents are made.
        config: What the run, or the comparison of several runs below it, was asked to do.

    Returns:
        The folder.

    Raises:
        RunExistsError: If the folder already holds files.
        RunStorageError: If it cannot be made or written.

    Example:
        >>> import tempfile
        >>> config = RunConfig(kind="compare", workload="digits", policy="paper", seed=0,
        ...                    options={}, versions={}, machine="test", threads=1, created="")
        >>> folder = create_folder(Path(tempfile.mkdtemp()) / "compare", config)
        >>> [path.name for path in folder.iterdir()]
        ['config.json']
    """
    folder = Path(folder)
    with errors.storage("create", folder, resumable=False):
        folder.mkdir(parents=True, exist_ok=True)
        check_new_folder(folder)
        remove_leftovers(folder)
        write_config(folder, config)
        sync_folder(folder.parent)
    return folder


def check_new_folder(folder: str | os.PathLike[str]) -> None:
    """Raise ``RunExistsError`` if ``folder`` already holds files; it need not exist."""
    folder = Path(folder)
    # A process killed while it wrote config.json leaves a temporary file: no run yet.
    if folder.is_dir() and any(not is_leftover(entry.name) for entry in folder.iterdir()):
        raise errors.RunExistsError(
            f"{folder} already holds files: go on with that run with --resume, or choose "
            "another folder with --out"
        )


def write_config(folder: str | os.PathLike[str], config: RunConfig) -> None:
    """Write ``config.json`` into ``folder``, whole or not at all."""
    fields = encode(config)
    fields["checks"] = {name: _check(value) for name, value in fields.items()}
    text = json.dumps(fields, indent=2, allow_nan=False)
    write_atomically(Path(folder) / CONFIG_FILE, text.encode(), b"\n")


def check_config(folder: str | os.PathLike[str]) -> str:
    """Raise unless ``config.json`` holds what it was written with; return its SHA-256.

    A run that goes on depends on all of it. One that was written without checks is not checked.

    Raises:
        NotARunError: If there is no such folder or no ``config.json`` in it.
        CorruptRunError: If a field was changed; the line names it.
    """
    read_config(folder)
    path = Path(folder) / CONFIG_FILE
    data = path.read_bytes()
    fields = json.loads(data)
    checks = fields.get("checks") or {}
    if not isinstance(checks, dict):
        raise errors.CorruptRunError(
            f"{path} is damaged: its checks are none; restore it from a copy"
        )
    changed = [name for name, check in checks.items() if _check(fields.get(name)) != check]
    if changed:
        raise errors.CorruptRunError(
            f"{path}: {', '.join(changed)} was changed since the run began, which would go on to "
            "other numbers; put it back, or begin another run with --out"
        )
    return hashlib.sha256(data).hexdigest()


def _check(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def read_config(folder: str | os.PathLike[str]) -> RunConfig:
    """Return the configuration of the run in ``folder``.

    Raises:
        NotARunError: If there is no such folder or no ``config.json`` in it.
        NewerSchemaError: If a newer version of qnewton wrote it.
        CorruptRunError: If ``config.json`` is not what qnewton writes.
    """
    path = Path(folder) / CONFIG_FILE
    try:
        with errors.reading(path):
            text = path.read_text(encoding="utf-8")
    except NotADirectoryError:
        raise errors.NotARunError(f"{folder} is a file; name the run's folder") from None
    except FileNotFoundError:
        found = "has no config.json" if Path(folder).is_dir() else "does not exist"
        raise errors.NotARunError(
            f"{folder} {found}: not a run folder; name one that `qnewton train` or "
            "`qnewton compare` has written"
        ) from None
    return with_one_error(parse_record(RunConfig, text, where=str(path)))


def parse_record(record_type: type[Record], text: str | bytes, *, where: str) -> Record:
    """Return the record stored as JSON in ``text``, whichever schema it was written with.

    Raises:
        NewerSchemaError: If its ``schema`` is newer than this version knows.
        CorruptRunError: If it is not JSON, or not that record; the line begins with ``where``.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise errors.CorruptRunError(
            f"{where} is not valid JSON ({error}); restore it from a copy"
        ) from error
    schema = data.get("schema", 1) if isinstance(data, dict) else 1
    if type(schema) is not int or schema < 1:
        raise errors.CorruptRunError(
            f"{where} has schema {schema!r}, which is no version; restore it from a copy"
        )
    if schema > SCHEMA_VERSION:
        raise errors.NewerSchemaError(
            f"{where} was written with schema {schema}, and this qnewton reads up to "
            f"{SCHEMA_VERSION}; upgrade qnewton to read it"
        )
    try:
        if schema == 1 and record_type is StepRecord:
            data = step_of_schema_1(data)
        return decode(record_type, data)
    except (ValueError, TypeError) as error:
        raise errors.CorruptRunError(
            f"{where} is not a {record_type.__name__} ({error}); restore it from a copy"
        ) from error
