"""Writing one file of results, whole or not at all, with errors a person can act on."""

import os
from pathlib import Path

from qnewton.runs.atomic import write_atomically
from qnewton.runs.errors import storage


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
