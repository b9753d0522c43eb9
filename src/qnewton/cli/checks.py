"""What a request is checked for before anything is calibrated, loaded or written."""

import os
from pathlib import Path

from qnewton import cost
from qnewton.cli.output import require
from qnewton.runs import check_new_folder
from qnewton.workloads import WORKLOADS


def check_workload(name: str, data_dir: Path | None) -> None:
    """Raise ``ValueError`` if no workload is called so, or the folder lacks its data."""
    source = WORKLOADS.get(name)
    if source.data is not None:
        source.data.check(data_dir)


def check_machine(name: str | None) -> None:
    """Raise ``ValueError`` if a quantum machine is named that is not known, or a damaged file."""
    if name is not None:
        cost.load_hardware(name)


def check_out(folder: Path | None) -> None:
    """Raise ``ValueError`` if a new run can not begin in the folder that ``--out`` names."""
    if folder is not None:
        check_place("--out", folder)
        check_new_folder(folder)


def check_place(option: str, path: Path | None) -> None:
    """Raise ``ValueError`` if a file or folder can not be made where an option wants it.

    Args:
        option: The option, for the message.
        path: What is to be made; its parents may have to be made, too.
    """
    if path is None:
        return
    place = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    file = place.is_file() and place != path
    require(not file, f"{option} is {path}, and {place} is a file; choose another place")
    writable = os.access(place, os.W_OK)
    require(writable, f"{option} is {path}, and {place} is not writable; choose another place")
