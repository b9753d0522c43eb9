"""Where a command's words go: results to standard output, everything else to standard error."""

import json
import sys
from typing import Any

from rich.console import Console

from qnewton.records import encode

RESULTS = Console(highlight=False)
"""Tables and results."""

PROGRESS = Console(stderr=True, highlight=False)
"""Progress and warnings, so that ``--json`` leaves standard output to the one object."""


def print_json(value: Any) -> None:
    """Print one JSON object and nothing else on standard output.

    JSON has no NaN and no infinity: as in run folders, they are the strings ``"NaN"``,
    ``"Infinity"`` and ``"-Infinity"``.
    """
    sys.stdout.write(json.dumps(encode(value), indent=2, allow_nan=False) + "\n")


def warn(message: str) -> None:
    """Print one line of warning."""
    PROGRESS.print(f"[yellow]warning:[/] {message}")


def require(holds: bool, message: str) -> None:
    """Raise ``ValueError`` with the message unless it holds."""
    if not holds:
        raise ValueError(message)
