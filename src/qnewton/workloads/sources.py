"""Where a workload's data come from: a local folder, the Hugging Face Hub, an optional library."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INSTALL = "pip install 'qnewton[text]'"


def data_folder(data_dir: Path | None) -> Path | None:
    """Return ``data_dir``, else the folder that QNEWTON_DATA names; ``None`` for neither."""
    named = os.environ.get("QNEWTON_DATA")
    return Path(named) if data_dir is None and named else data_dir


@contextmanager
def needing_library(why: str) -> Iterator[None]:
    """Turn a library that is missing into one line that says how to install it."""
    try:
        yield
    except ImportError as error:
        raise ValueError(f"{why} needs {error.name}; {INSTALL}") from None


@contextmanager
def fetching(what: str, way_out: str = "") -> Iterator[None]:
    """Turn a failed download into one line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{what} could not be fetched from the Hugging Face Hub ({reason}){way_out}"
        ) from error


def hub_dataset(what: str, folder: str, repository: str, *name: str, **options: str) -> Any:
    """Return the splits of a dataset repository of the Hub.

    Args:
        what: What is fetched, for messages.
        folder: What a local folder would have to hold instead, for messages.
        repository: Its name, or a local folder of its layout.
        name: The configuration, where the repository has several.
        options: Passed on, such as the revision.

    Raises:
        ValueError: If the Hub's loader is missing or the Hub cannot be reached.
    """
    way_out = f"pass --data-dir (or QNEWTON_DATA) with {folder}"
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]  # extra
    except ImportError:
        raise ValueError(
            f"{what} is needed: {way_out}, or install the Hub's loader with {INSTALL} pillow"
        ) from None
    with fetching(what, f"; {way_out}"):
        return load_dataset(repository, *name, **options)
