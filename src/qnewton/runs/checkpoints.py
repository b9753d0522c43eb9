"""Checkpoints that are whole or absent, and that notice a flipped byte.

A checkpoint file is one line of JSON, its header, and then the payload. The header keeps the
payload's SHA-256 (neither ``torch.save`` nor safetensors notices a damaged byte) and how long
each log was at that moment, which is where a resumed run cuts them.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from qnewton.runs.atomic import write_atomically
from qnewton.runs.errors import CorruptRunError, storage

CHECKPOINT_FOLDER = "checkpoints"
KEPT_CHECKPOINTS = 2

_NAME = re.compile(r"step-(\d+)\.ckpt")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after ``step``.

    Attributes:
        step: The last step the state contains.
        data: The payload, as it was given.
        log_lengths: Bytes in each log of the run when it was saved, by file name.
    """

    step: int
    data: bytes
    log_lengths: dict[str, int]


def write_checkpoint(folder: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Store ``checkpoint`` in the run ``folder`` and remove all but the last two.

    Raises:
        RunStorageError: If it cannot be written; the earlier ones are then untouched.
    """
    path = Path(folder) / CHECKPOINT_FOLDER / f"step-{checkpoint.step:08d}.ckpt"
    header = {
        "step": checkpoint.step,
        "bytes": len(checkpoint.data),
        "sha256": hashlib.sha256(checkpoint.data).hexdigest(),
        "log_lengths": checkpoint.log_lengths,
    }
    with storage("write", path, resumable=True):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(header).encode() + b"\n", checkpoint.data)
        remove_old_checkpoints(folder)
    return path


def remove_old_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Remove all but the last two checkpoints of a run."""
    for path in checkpoint_paths(folder)[:-KEPT_CHECKPOINTS]:
        path.unlink()


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Return the checkpoint stored at ``path`` after checking it against its header.

    Raises:
        CorruptRunError: If it is cut short, damaged, or not a checkpoint.
    """
    try:
        head, separator, data = Path(path).read_bytes().partition(b"\n")
        header = json.loads(head)
        step, size, digest = header["step"], header["bytes"], header["sha256"]
        log_lengths = header["log_lengths"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptRunError(f"{path} is no readable checkpoint ({error})") from error
    if not separator or len(data) != size:
        raise CorruptRunError(f"{path} is cut short: {len(data)} of {size} bytes")
    if hashlib.sha256(data).hexdigest() != digest:
        raise CorruptRunError(f"{path} is damaged: its checksum does not match")
    return Checkpoint(step=step, data=data, log_lengths=log_lengths)


def latest_checkpoint(
    folder: str | os.PathLike[str],
) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """Return the newest intact checkpoint of a run, and a warning for each damaged one skipped.

    Args:
        folder: The run folder.

    Returns:
        The checkpoint, ``None`` when there is no intact one, and the warnings.

    Example:
        >>> import tempfile
        >>> latest_checkpoint(tempfile.mkdtemp())
        (None, ())
    """
    warnings: list[str] = []
    for path in reversed(checkpoint_paths(folder)):
        try:
            return read_checkpoint(path), tuple(warnings)
        except CorruptRunError as error:
            warnings.append(f"{error}; skipped")
    return None, tuple(warnings)


def checkpoint_paths(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the checkpoint files of a run, oldest step first."""
    checkpoints = Path(folder) / CHECKPOINT_FOLDER
    if not checkpoints.is_dir():
        return []
    return sorted(
        (path for path in checkpoints.iterdir() if _NAME.fullmatch(path.name)), key=step_of
    )


def step_of(path: Path) -> int:
    """Return the step in the name of a checkpoint file."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not named like a checkpoint (step-00000007.ckpt)")
    return int(match[1])
