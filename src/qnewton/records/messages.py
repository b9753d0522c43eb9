"""What errors and values are called in messages of one line."""

import difflib
import math
from collections.abc import Iterable


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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a mistyped one most likely meant; ``None`` if none is near.

    Example:
        >>> nearest("digtis", ["mnist", "digits"]), nearest("cifar", ["mnist", "digits"])
        ('digits', None)
    """
    return next(iter(difflib.get_close_matches(name, tuple(known), n=1)), None)


def choice_of(name: str, known: Iterable[str]) -> str:
    """Return how a message ends that refuses a name: the nearest known one, and all of them.

    Example:
        >>> choice_of("papre", ["classical", "paper"])
        'did you mean paper? It can be classical, paper'
        >>> choice_of("best", ["classical", "paper"])
        'choose classical, paper'
    """
    names = tuple(known)
    near = nearest(name, names)
    return f"{f'did you mean {near}? It can be' if near else 'choose'} {', '.join(names)}"
