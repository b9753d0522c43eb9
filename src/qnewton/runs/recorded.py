"""Short recorded runs that come with the package: what any solver or machine can be priced on."""

import gzip
import os
import shutil
from pathlib import Path

from qnewton.records.messages import choice_of
from qnewton.runs.config import CONFIG_FILE
from qnewton.runs.errors import NotARunError
from qnewton.runs.reader import PACKED_STEPS_FILE, Run, read_run
from qnewton.runs.writer import METRICS_FILE, STEPS_FILE

RECORDED = "recorded"
"""What stands for the folder of these runs where a run folder is asked for."""

_FOLDER = Path(__file__).parent / "data"


def recorded_names() -> tuple[str, ...]:
    """Return the names of the runs that come with the package.

    Example:
        >>> "digits" in recorded_names()
        True
    """
    return tuple(sorted(path.parent.name for path in _FOLDER.glob(f"*/{CONFIG_FILE}")))


def recorded(*names: str) -> tuple[Run, ...]:
    """Return runs that come with the package: digits, MNIST, BERT, Mistral and a PINN, shortened.

    Each was trained with policy ``hybrid``, so that its facts hold what a price asks for: κ with
    its bounds, norms, row sparsity, the largest eigenvalues, and the shape of gradient and
    direction. Machine and calibration are those of the recording.

    Args:
        names: Which; all of them by default.

    Raises:
        NotARunError: If none is called so.

    Cost: some milliseconds per recorded step.

    Example:
        >>> [run] = recorded("digits")
        >>> run.config.policy, len(run.steps) > 5
        ('hybrid', True)
    """
    return tuple(read_run(folder) for name in names or recorded_names() for folder in _named(name))


def run_folders(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Return the folders that a name on the command line stands for.

    ``recorded`` stands for all runs that come with the package, and ``recorded/NAME`` for one. A
    folder that is there is itself, or the runs in it where it holds several and is none.

    Raises:
        NotARunError: If no run that comes with the package is called so.

    Example:
        >>> [path.name for path in run_folders("recorded/mnist")], run_folders("runs/a")[0].name
        (['mnist'], 'a')
    """
    path = Path(folder)
    first, *names = path.parts or (".",)
    if first != RECORDED or path.exists():
        inside = tuple(sorted(config.parent for config in path.glob(f"*/{CONFIG_FILE}")))
        return inside if inside and not (path / CONFIG_FILE).exists() else (path,)
    if not names:
        return tuple(_FOLDER / name for name in recorded_names())
    return _named("/".join(names))


def pack_run(folder: Path, name: str, into: Path = _FOLDER) -> Path:
    """Store a run's configuration, steps and evaluations as one of these runs; return its folder.

    Args:
        folder: The run.
        name: What it is to be called.
        into: Where it goes.
    """
    packed = into / name
    shutil.rmtree(packed, ignore_errors=True)
    packed.mkdir(parents=True)
    for kept in (CONFIG_FILE, METRICS_FILE):
        shutil.copyfile(folder / kept, packed / kept)
    # Without a time in it, so that the same steps are the same file.
    steps = gzip.compress((folder / STEPS_FILE).read_bytes(), 9, mtime=0)
    (packed / PACKED_STEPS_FILE).write_bytes(steps)
    return packed


def _named(name: str) -> tuple[Path]:
    if name not in recorded_names():
        known = choice_of(name, recorded_names())
        raise NotARunError(f"no recorded run is called {name!r}; {known}")
    return (_FOLDER / name,)
