"""Writing a run folder so that killing the process at any instant loses nothing."""

import hashlib
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from qnewton.records import SCHEMA_VERSION, MetricRecord, StepRecord, encode
from qnewton.runs import checkpoints
from qnewton.runs.atomic import BINARY, remove_leftovers, write_fully
from qnewton.runs.config import CONFIG_FILE, RunConfig, check_config, create_folder, read_config
from qnewton.runs.errors import CorruptRunError, RunStorageError, reading, storage


class LineLog:
    """An append-only log of records in the run folder.

    A line reaches the file in one write. When that fails part-way (full disk, file-size limit)
    the file is cut back to its last whole line before the error is raised, so that a later
    line never lands behind half a record.

    Args:
        path: The file; created if missing.

    Raises:
        RunStorageError: If it cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage("open", path, resumable=True):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | BINARY
            self.descriptor = os.open(path, flags, 0o666)
        self._digest: Any = None

    @property
    def length(self) -> int:
        """Bytes in the file."""
        return os.fstat(self.descriptor).st_size

    def digest(self) -> str:
        """Return the SHA-256 of what the file holds; the file is read at the first call alone."""
        if self._digest is None:
            self._digest = _digest_of(self.path, self.length)
        return self._digest.hexdigest()

    def append(self, record: Any) -> None:
        """Append ``record`` as one line; where that fails the file is as it was."""
        line = {"schema": SCHEMA_VERSION} | encode(record)
        data = json.dumps(line, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        start = self.length
        with storage("append to", self.path, resumable=True):
            try:
                write_fully(self.descriptor, data)
            except OSError:
                os.ftruncate(self.descriptor, start)
                raise
        if self._digest is not None:
            self._digest.update(data)

    def check(self, length: int, digest: str | None) -> None:
        """Raise ``CorruptRunError`` unless the file begins with the bytes that a checkpoint saw.

        Args:
            length: How many they were.
            digest: Their SHA-256; ``None`` where nobody kept it.
        """
        if self.length < length:
            fault = f"holds {self.length} bytes where its checkpoint saw {length}"
        elif digest not in (None, _digest_of(self.path, length).hexdigest()):
            fault = f"does not hold the {length} bytes that its checkpoint saw"
        else:
            return
        raise CorruptRunError(
            f"{self.path} {fault}: it was changed since; begin again with another --out"
        )

    def cut(self, length: int) -> None:
        """Cut the file back to ``length`` bytes, the end of one of its lines."""
        with storage("cut back", self.path, resumable=True):
            os.ftruncate(self.descriptor, length)
        self._digest = None

    def sync(self) -> None:
        """Make sure that what was appended survives a power cut."""
        with storage("sync", self.path, resumable=True):
            os.fsync(self.descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def _digest_of(path: Path, length: int) -> Any:
    """Return the SHA-256 of the first ``length`` bytes of a file, to which more can be added."""
    with reading(path), path.open("rb") as file:
        return hashlib.sha256(file.read(length))


STEPS_FILE = "steps.jsonl"
METRICS_FILE = "metrics.jsonl"
LOCK_FILE = ".writer.lock"


class RunWriter:
    """The one process that writes a run folder; make it with ``create`` or ``resume``.

    Append a step, then its evaluation if there is one, then save the checkpoint: a checkpoint
    remembers how far the logs had come, and ``resume`` cuts them back to exactly there, so that
    a resumed run writes what the uninterrupted one would have written.

    Attributes:
        folder: The run folder.
        config: What the run was asked to do.

    Example:
        >>> import tempfile
        >>> from qnewton.runs import latest_checkpoint
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> config = RunConfig(kind="train", workload="digits", policy="classical", seed=0,
        ...                    options={}, versions={}, machine="test", threads=1, created="")
        >>> with RunWriter.create(folder, config) as writer:
        ...     _ = writer.save_checkpoint(0, b"state after step 0")
        >>> checkpoint, warnings = latest_checkpoint(folder)
        >>> with RunWriter.resume(folder, checkpoint) as writer:
        ...     writer.config.workload, checkpoint.step, checkpoint.data
        ('digits', 0, b'state after step 0')
    """

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder = folder
        self.config = config
        self._logs: dict[str, LineLog] = {}
        with ExitStack() as opened:
            opened.callback(_locked(folder).release)
            self._config_digest = check_config(folder)
            for name in (STEPS_FILE, METRICS_FILE):
                self._logs[name] = LineLog(folder / name)
                opened.callback(self._logs[name].close)
            self._opened = opened.pop_all()

    @classmethod
    def create(cls, folder: str | os.PathLike[str], config: RunConfig) -> Self:
        """Begin a run in a new or empty folder.

        Raises:
            RunExistsError: If the folder already holds files.
            RunStorageError: If it cannot be made or written.
        """
        return cls(create_folder(folder, config), config)

    @classmethod
    def resume(
        cls, folder: str | os.PathLike[str], checkpoint: checkpoints.Checkpoint | None
    ) -> Self:
        """Go on with a run from ``checkpoint``, as if nothing after it had happened.

        Later checkpoints are removed and the logs cut back to where they were when it was
        saved; a torn last line goes with them. Repeating it changes nothing.

        Args:
            folder: The run folder.
            checkpoint: What ``latest_checkpoint`` found; ``None`` begins again at step 0.

        Raises:
            NotARunError: If the folder holds no run.
            RunStorageError: If another process is writing the run, or the folder is not
                writable.
            CorruptRunError: If ``config.json`` or what a log held when the checkpoint was saved
                has changed; nothing is removed then.
        """
        folder = Path(folder)
        writer = cls(folder, read_config(folder))
        try:
            writer._go_back_to(checkpoint)
        except BaseException:
            writer.close()
            raise
        return writer

    def append_step(self, record: StepRecord) -> None:
        """Append one step's record to ``steps.jsonl``.

        Raises:
            RunStorageError: If it cannot be written; the log still ends with its last record.
        """
        self._logs[STEPS_FILE].append(record)

    def append_metric(self, record: MetricRecord) -> None:
        """Append one evaluation to ``metrics.jsonl``.

        Raises:
            RunStorageError: If it cannot be written; the log still ends with its last record.
        """
        self._logs[METRICS_FILE].append(record)

    def save_checkpoint(self, step: int, data: bytes) -> Path:
        """Save the state after ``step``; the two newest checkpoints are kept.

        The logs are synced first: a checkpoint never stands for records that a power cut takes.

        Args:
            step: The last step the state contains.
            data: The state, opaque here.

        Raises:
            RunStorageError: If it cannot be written; earlier checkpoints are untouched.
        """
        for log in self._logs.values():
            log.sync()
        checkpoint = checkpoints.Checkpoint(
            step=step,
            data=data,
            log_lengths={name: log.length for name, log in self._logs.items()},
            log_digests={name: log.digest() for name, log in self._logs.items()},
            config_digest=self._config_digest,
        )
        return checkpoints.write_checkpoint(self.folder, checkpoint)

    def close(self) -> None:
        """Close the logs and let another process write the run."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _go_back_to(self, checkpoint: checkpoints.Checkpoint | None) -> None:
        last = -1 if checkpoint is None else checkpoint.step
        lengths = {} if checkpoint is None else checkpoint.log_lengths
        if checkpoint is not None:
            self._check(checkpoint)
        saved = self.folder / checkpoints.CHECKPOINT_FOLDER
        with storage("go on in", self.folder, resumable=True):
            remove_leftovers(self.folder)
            if saved.is_dir():
                remove_leftovers(saved)
            # Before the logs: a later checkpoint must not outlive the records it stands for.
            for path in checkpoints.checkpoint_paths(self.folder):
                if checkpoints.step_of(path) > last:
                    path.unlink()
            checkpoints.remove_old_checkpoints(self.folder)
        for name, log in self._logs.items():
            log.cut(lengths.get(name, 0))

    def _check(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Raise unless the run is the one that the checkpoint belongs to, as far as it had come."""
        if checkpoint.config_digest not in (None, self._config_digest):
            raise CorruptRunError(
                f"{self.folder / CONFIG_FILE} is not the file that the checkpoint of step "
                f"{checkpoint.step} was saved beside; put that one back, or begin another run "
                "with --out"
            )
        if checkpoint.log_lengths.keys() != self._logs.keys():
            raise CorruptRunError(
                f"the checkpoint of step {checkpoint.step} in {self.folder} knows the logs "
                f"{sorted(checkpoint.log_lengths)}, and a run has {STEPS_FILE} and {METRICS_FILE}; "
                "begin again with another --out"
            )
        for name, log in self._logs.items():
            log.check(checkpoint.log_lengths[name], checkpoint.log_digests.get(name))


def _locked(folder: Path) -> FileLock:
    """Return the lock of a run, held; the system lets go of it however the process ends."""
    path = folder / LOCK_FILE
    lock = FileLock(path, blocking=False, thread_local=False)
    with storage("lock", path, resumable=True):
        try:
            lock.acquire()
        except Timeout:
            raise RunStorageError(
                f"another process is writing the run in {folder}; wait for it or stop it, "
                "then go on with --resume"
            ) from None
        except NotImplementedError as error:
            raise RunStorageError(
                f"cannot lock {path}: {error}; keep run folders on a local disk"
            ) from error
    return lock
