"""What can go wrong with a run folder, each in one line that names the way out."""

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NotARunError(ValueError):
    """The folder holds no run, or no comparison, to read."""


class NewerSchemaError(ValueError):
    """The folder was written by a newer version of qnewton than this one."""


class CorruptRunError(ValueError):
    """A file of the run folder holds something no version of qnewton wrote."""


class RunExistsError(ValueError):
    """A new run was asked for in a folder that already holds files."""


class RunStorageError(OSError):
    """The operating system refused to write; everything written before is still there.

    Attributes:
        wrong_place: Whether another folder would have done: it is the request that was wrong,
            not the run that failed.
    """

    def __init__(self, message: str, *, wrong_place: bool = False) -> None:
        super().__init__(message)
        self.wrong_place = wrong_place


@contextmanager
def storage(action: str, path: str | os.PathLike[str], *, resumable: bool) -> Iterator[None]:
    """Turn the operating system's errors into one line with a way out.

    Args:
        action: What was attempted, as it completes "cannot …".
        path: The file or folder it was attempted on.
        resumable: Whether ``--resume`` can go on from what is already written.

    Raises:
        RunStorageError: In place of any other ``OSError`` of the body.

    Example:
        >>> with storage("create", "runs/new", resumable=False):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        ...
        qnewton.runs.errors.RunStorageError: cannot create runs/new: No space left on device; \
free space there or choose another folder with --out
    """
    try:
        yield
    except RunStorageError:
        raise
    except OSError as error:
        raise RunStorageError(
            f"cannot {action} {os.fspath(path)}: {error.strerror or error}; "
            f"{_way_out(error.errno, resumable=resumable)}",
            wrong_place=not resumable and error.errno not in _FULL,
        ) from error


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors in reading a file of a run into one line; one that is missing stays as it is."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CorruptRunError(f"cannot read {path}: {why}; restore it from a copy") from error


def _way_out(number: int | None, *, resumable: bool) -> str:
    if resumable:
        mend = "free space there" if number in _FULL else "make it writable"
        return f"what was written before is kept: {mend}, then go on with --resume"
    if number in _FULL:
        return "free space there or choose another folder with --out"
    return "choose a writable folder with --out"
