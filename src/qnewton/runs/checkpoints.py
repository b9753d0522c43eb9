"""Checkpoints that are whole or absent, and that notice a flipped byte.

A checkpoint file is one line of JSON, its header, and then the payload. The header says how long
each log was at that moment, which is where a resumed run cuts them, and what they and the
configuration held. It ends with a SHA-256 over all that stands before it and the payload (neither
``torch.save`` nor safetensors notices a damaged byte). Format 1 had one of the payload alone.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from qnewton.runs.atomic import write_atomically
from qnewton.runs.errors import CorruptRunError, NewerSchemaError, storage

CHECKPOINT_FOLDER = "checkpoints"
KEPT_CHECKPOINTS = 2
FORMAT = 2
"""Version of a checkpoint file's layout; a newer one is refused."""

_BEFORE_DIGEST, _AFTER_DIGEST = b', "sha256": "', b'"}'

_NAME = re.compile(r"step-(\d+)\.ckpt")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after ``step``.

    Attributes:
        step: The last step the state contains.
        data: The payload, as it was given.
        log_lengths: Bytes in each log of the run when it was saved, by file name.
        log_digests: SHA-256 of those bytes, by file name; empty in files of format 1.
        config_digest: SHA-256 of the run's ``config.json``; ``None`` in files of format 1.
    """

    step: int
    data: bytes
    log_lengths: dict[str, int]
    log_digests: dict[str, str] = field(default_factory=dict)
    config_digest: str | None = None


def write_checkpoint(folder: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Store ``checkpoint`` in the run ``folder`` and remove all but the last two.

    Raises:
        RunStorageError: If it cannot be written; the earlier ones are then untouched.
    """
    path = Path(folder) / CHECKPOINT_FOLDER / f"step-{checkpoint.step:08d}.ckpt"
    header = {
        "format": FORMAT,
        "step": checkpoint.step,
        "bytes": len(checkpoint.data),
        "log_lengths": checkpoint.log_lengths,
        "log_digests": checkpoint.log_digests,
        "config_digest": checkpoint.config_digest,
    }
    covered = json.dumps(header).encode()[:-1] + _BEFORE_DIGEST
    head = covered + _digest(covered, checkpoint.data) + _AFTER_DIGEST + b"\n"
    with storage("write", path, resumable=True):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, head, checkpoint.data)
        remove_old_checkpoints(folder)
    return path


def remove_old_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Remove all but the last two checkpoints of a run."""
    for path in checkpoint_paths(folder)[:-KEPT_CHECKPOINTS]:
        path.unlink()


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Return the checkpoint stored at ``path`` after checking all of it.

    Raises:
        CorruptRunError: If it is cut short, damaged, under another step's name, or not a
            checkpoint.
        NewerSchemaError: If a newer version of qnewton wrote it.
    """
    try:
        head, separator, data = Path(path).read_bytes().partition(b"\n")
        header = json.loads(head)
        step, size, digest = header["step"], header["bytes"], header["sha256"]
        log_lengths, layout = header["log_lengths"], header.get("format", 1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptRunError(f"{path} is no readable checkpoint ({error})") from error
    if not separator or len(data) != size:
        raise CorruptRunError(f"{path} is cut short: {len(data)} of {size} bytes")
    # The first format's covers the payload alone.
    covered = b"" if layout == 1 else head.rpartition(_BEFORE_DIGEST)[0] + _BEFORE_DIGEST
    found = _digest(covered, data)
    whole = layout == 1 or head == covered + str(digest).encode() + _AFTER_DIGEST
    damaged = not whole or found != str(digest).encode()
    if isinstance(layout, int) and layout > FORMAT and not damaged:
        raise NewerSchemaError(
            f"{path} was written with format {layout}, and this qnewton reads up to {FORMAT}; "
            "upgrade qnewton to go on"
        )
    if damaged:
        raise CorruptRunError(f"{path} is damaged: its checksum does not match")
    named = _NAME.fullmatch(Path(path).name)
    if named is not None and int(named[1]) != step:
        raise CorruptRunError(f"{path} holds step {step}: it was renamed")
    return Checkpoint(
        step=step,
        data=data,
        log_lengths=log_lengths,
        log_digests=header.get("log_digests", {}),
        config_digest=header.get("config_digest"),
    )


def _digest(covered: bytes, data: bytes) -> bytes:
    digest = hashlib.sha256(covered)
    digest.update(data)
    return digest.hexdigest().encode()


def latest_checkpoint(folder: str | os.PathLike[str]) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """Return the newest intact checkpoint of a run, and a warning for each damaged one skipped.

    Args:
        folder: The run folder.

    Returns:
        The checkpoint, ``None`` when none was ever saved, and the warnings.

    Raises:
        CorruptRunError: If there are checkpoints and all are damaged: to begin again in the same
            folder would cut its logs to nothing.
        NewerSchemaError: If a newer version of qnewton wrote one.

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
    if warnings:
        raise CorruptRunError(
            f"{warnings[0].removesuffix('; skipped')}, and no other checkpoint of {folder} is "
            "intact; its records are kept: begin again with another --out"
        )
    return None, ()


def checkpoint_paths(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the checkpoint files of a run, oldest step first."""
    checkpoints = Path(folder) / CHECKPOINT_FOLDER
    paths = checkpoints.iterdir() if checkpoints.is_dir() else ()
    return sorted((path for path in paths if _NAME.fullmatch(path.name)), key=step_of)


def step_of(path: Path) -> int:
    """Return the step in the name of a checkpoint file."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not named like a checkpoint (step-00000007.ckpt)")
    return int(match[1])
