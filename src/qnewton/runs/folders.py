"""Beginning a run folder: new or empty, with its configuration in it."""

import os
from pathlib import Path

from qnewton.runs.atomic import is_leftover, remove_leftovers, sync_folder
from qnewton.runs.config import RunConfig, write_config
from qnewton.runs.errors import RunExistsError, storage


def create_folder(folder: str | os.PathLike[str], config: RunConfig) -> Path:
    """Make ``folder`` and write ``config.json`` into it.

    Args:
        folder: A path that does not exist yet, or an empty folder; parents are made.
        config: What the run, or the comparison of several runs below it, was asked to do.

    Returns:
        The folder.

    Raises:
        RunExistsError: If the folder already holds files.
        RunStorageError: If it cannot be made or written.

    Example:
        >>> import tempfile
        >>> config = RunConfig(kind="compare", workload="digits", policy="paper", seed=0,
        ...                    options={}, versions={}, machine="test", threads=1, created="")
        >>> folder = create_folder(Path(tempfile.mkdtemp()) / "compare", config)
        >>> [path.name for path in folder.iterdir()]
        ['config.json']
    """
    folder = Path(folder)
    with storage("create", folder, resumable=False):
        folder.mkdir(parents=True, exist_ok=True)
        # A process killed while it wrote config.json leaves a temporary file: no run yet.
        if any(not is_leftover(entry.name) for entry in folder.iterdir()):
            raise RunExistsError(
                f"{folder} already holds files: go on with that run with --resume, or choose "
                "another folder with --out"
            )
        remove_leftovers(folder)
        write_config(folder, config)
        sync_folder(folder.parent)
    return folder
