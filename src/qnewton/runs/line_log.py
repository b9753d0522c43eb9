"""A file of records, one JSON line each, that only ever holds whole lines."""

import json
import os
from pathlib import Path
from typing import Any

from qnewton.records import SCHEMA_VERSION, encode
from qnewton.runs.atomic import write_fully
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
            self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    @property
    def length(self) -> int:
        """Bytes in the file."""
        return os.fstat(self.descriptor).st_size

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

    def cut(self, length: int) -> None:
        """Cut the file back to ``length`` bytes, the end of one of its lines.

        Raises:
            CorruptRunError: If the file is shorter than that.
            RunStorageError: If it cannot be cut.
        """
        if self.length < length:
            raise CorruptRunError(
                f"{self.path} holds {self.length} bytes where its checkpoint saw {length}: it was "
                "changed since; begin again with another --out"
            )
        with storage("cut back", self.path, resumable=True):
            os.ftruncate(self.descriptor, length)

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
