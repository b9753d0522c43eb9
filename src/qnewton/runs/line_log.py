"""A file of records, one JSON line each, that only ever holds whole lines."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from qnewton.records import SCHEMA_VERSION, encode
from qnewton.runs.atomic import BINARY, write_fully
from qnewton.runs.errors import CorruptRunError, reading, storage


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
