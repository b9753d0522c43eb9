"""A file of records, one JSON line each, that only ever holds whole lines."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from qnewton.records import SCHEMA_VERSION, encode
from qnewton.runs.atomic import BINARY, write_fully
from qnewton.runs.errors import CorruptRunError, storage


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
        """Return the SHA-256 of what the file holds.

        Cost: reads the file once; after that lines are added to it as they come.

        Raises:
            CorruptRunError: If it cannot be read.
        """
        if self._digest is None:
            self._digest = hashlib.sha256(_beginning(self.path, self.length))
        return self._digest.hexdigest()

    def append(self, record: Any) -> None:
        """Append ``record`` as one line.

        Raises:
            RunStorageError: If it cannot be written; the file is then as it was.
        """
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
        """Raise unless the file begins with the ``length`` bytes that a checkpoint saw.

        Args:
            length: How many.
            digest: Their SHA-256; ``None`` where nobody kept it.

        Raises:
            CorruptRunError: If the file is shorter than that, or holds others.
        """
        if self.length < length:
            raise CorruptRunError(
                f"{self.path} holds {self.length} bytes where its checkpoint saw {length}: it was "
                "changed since; begin again with another --out"
            )
        if digest is not None:
            found = hashlib.sha256(_beginning(self.path, length)).hexdigest()
            if found != digest:
                raise CorruptRunError(
                    f"{self.path} does not hold the {length} bytes that its checkpoint saw: it was "
                    "changed since; begin again with another --out"
                )

    def cut(self, length: int) -> None:
        """Cut the file back to ``length`` bytes, the end of one of its lines.

        Raises:
            RunStorageError: If it cannot be cut.
        """
        with storage("cut back", self.path, resumable=True):
            os.ftruncate(self.descriptor, length)
        self._digest = None

    def sync(self) -> None:
        """Make sure that what was appended survives a power cut.

        Raises:
            RunStorageError: If the disk refuses.
        """
        with storage("sync", self.path, resumable=True):
            os.fsync(self.descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def _beginning(path: Path, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError as error:
        raise CorruptRunError(f"cannot read {path}: {error.strerror}") from error
