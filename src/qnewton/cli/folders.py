"""Where a run goes when nobody said where."""

from datetime import datetime
from pathlib import Path


def new_run_folder(name: str) -> Path:
    """Return ``runs/NAME-DATE-TIME``, with a number behind it if that is taken."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{name}-{stamp}"
    number = 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{stamp}-{number}"
    return folder
