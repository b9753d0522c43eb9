"""What errors and values are called in messages of one line."""

import math


def check(field: str, value: object, limits: str, holds: bool) -> None:
    """Raise a ValueError that names a field's value and its limits, where they do not hold.

    A number that is not finite is outside of any limits.
    """
    if not holds or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{field} is {value!r}; it {limits}")


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; empty where it says nothing."""
    return next(iter(str(error).strip().splitlines()), "")


def one_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its type where it says nothing."""
    return first_line(error) or type(error).__name__


def in_one_line(error: BaseException) -> str:
    """Return an error's class and the first line of what it says."""
    kind, said = type(error).__name__, first_line(error)
    return f"{kind}: {said}" if said else kind


def shown(value: object) -> str:
    """Return what stands for a value in a message of one line."""
    return " ".join(repr(value).split())[:80]
