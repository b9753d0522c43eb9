"""Where a command writes: results, progress and warnings, and the folder of a run."""

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.markup import escape

from qnewton.records import encode

RESULTS = Console(highlight=False)
"""Tables and results."""

PROGRESS = Console(stderr=True, highlight=False)
"""Progress and warnings, so that ``--json`` leaves standard output to the one object."""


Verbose = Annotated[bool, tyro.conf.arg(aliases=("-v",))]
"""Whether a command shows the details behind its results."""


def say(text: str) -> None:
    """Print a sentence of results, in lines as wide as the terminal."""
    RESULTS.print(text, markup=False)


def say_paths(*texts: str) -> None:
    """Print lines that hold paths, which stay whole so that they can be copied."""
    for text in texts:
        RESULTS.print(text, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON object and nothing else on standard output.

    JSON has no NaN and no infinity: as in run folders, they are the strings ``"NaN"``,
    ``"Infinity"`` and ``"-Infinity"``.
    """
    sys.stdout.write(json.dumps(encode(value), indent=2, allow_nan=False) + "\n")


def warn(message: str) -> None:
    """Print one line of warning."""
    PROGRESS.print(f"[yellow]warning:[/] {escape(message)}", soft_wrap=True)


def note(message: str) -> None:
    """Print one line beside the results: what was chosen or done where nobody asked."""
    PROGRESS.print(message, markup=False, soft_wrap=True)


def require(holds: bool, message: str) -> None:
    """Raise ``ValueError`` with the message unless it holds."""
    if not holds:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """Where data come from, and where results go.

    Attributes:
        out: New folder for the results; by default one below runs/ is named by workload and time.
        data_dir: Local folder with data, for workloads that need one (else QNEWTON_DATA).
    """

    out: Path | None = None
    data_dir: Path | None = None

    def new_folder(self, name: str) -> Path:
        """Return the folder asked for, else ``runs/NAME-DATE-TIME``, numbered if that is taken."""
        if self.out is not None:
            return self.out
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        folder, number = Path("runs") / f"{name}-{stamp}", 1
        while folder.exists():
            number += 1
            folder = folder.with_name(f"{name}-{stamp}-{number}")
        return folder
