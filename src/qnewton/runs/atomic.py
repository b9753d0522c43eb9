"""Files that are either the old one or the new one, whatever kills the process between."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from qnewton.runs.errors import storage

_LEFTOVER = ".tmp"
BINARY = getattr(os, "O_BINARY", 0)
"""Windows writes \\r\\n for \\n without it."""


def write_atomically(path: str | os.PathLike[str], *parts: bytes) -> None:
    """Replace the file at ``path`` by ``parts``, one after the other.

    The bytes go to a temporary file beside it, which is synced to disk, renamed over ``path``,
    and its folder synced: a reader, or a machine that lost its power, finds the whole old file
    or the whole new one.

    Args:
        path: The file to write; its folder must exist.
        parts: The contents, in order; several so that a large one is not copied.

    Raises:
        OSError: If the file cannot be written; ``path`` is then as it was.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "settings.json"
        >>> write_atomically(target, b'{"a": ', b"1}")
        >>> target.read_text()
        '{"a": 1}'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_LEFTOVER}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o666)
    try:
        try:
            for part in parts:
                write_fully(descriptor, part)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write ``text`` to ``path`` atomically, making its folder, and return the path.

    Raises:
        RunStorageError: If it cannot be written; what was there is then as it was.
    """
    path = Path(path)
    with storage("write", path, resumable=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    return path


def write_fully(descriptor: int, data: bytes) -> None:
    """Write all of ``data``, going on after a short write until the system says why."""
    view = memoryview(data)
    # A disk that fills up on the way takes fewer bytes; the next call then raises the reason.
    while len(view):
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Sync the names in ``folder`` to disk, so that a rename survives a power cut."""
    if os.name == "nt":  # Windows opens no folder; its file system keeps a journal of names.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_leftover(name: str) -> bool:
    """Tell whether a file name is that of a temporary file of ``write_atomically``."""
    return name.startswith(".") and name.endswith(_LEFTOVER)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files that a killed process left in ``folder``."""
    for entry in Path(folder).iterdir():
        if is_leftover(entry.name):
            entry.unlink()


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return ``$QNEWTON_CACHE``, else ``$XDG_CACHE_HOME/qnewton``, else ``~/.cache/qnewton``.

    Example:
        >>> cache_folder({"QNEWTON_CACHE": "somewhere"}).name
        'somewhere'
    """
    if environment.get("QNEWTON_CACHE"):
        return Path(environment["QNEWTON_CACHE"])
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "qnewton"
    return Path.home() / ".cache" / "qnewton"
