"""What options a command has, read from its dataclasses: for short help, and for typos."""

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tyro.conf import Positional

_POSITIONAL = get_args(Positional[str])[1]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option, or one word without a name.

    Attributes:
        name: What is typed, such as ``--batch-size``; of a word without a name, ``WORKLOAD``.
        positional: Whether it is a word without a name.
        help: What it means.
        default: Its value where it is not given; ``None`` for nothing.
        optional: Whether it may be ``None``.
        choices: Words that it may be.
        number: Whether it may be a whole number (``int``) or any (``float``); ``None`` for neither.
        values: How many words follow its name; ``None`` for any number of them.
    """

    name: str
    positional: bool
    help: str
    default: Any
    optional: bool
    choices: tuple[str, ...]
    number: type[int] | type[float] | None
    values: int | None

    def accepts(self, word: str) -> bool:
        """Return whether a word can be its value; one that is free text takes any."""
        if word in self.choices or not (self.choices or self.number):
            return True
        if word == "None":
            return self.optional
        try:
            return self.number is not None and self.read(word) is not None
        except ValueError:
            return False

    def read(self, word: str) -> int | float:
        """Return the number that a word is; a whole one may be written as 1e6.

        Raises:
            ValueError: If it is none.
        """
        return whole_number(word) if self.number is int else float(word)

    @property
    def limits(self) -> str:
        """What its value has to be."""
        kinds = {int: "a whole number", float: "a number", None: ""}[self.number]
        return " or ".join(filter(None, (kinds, ", ".join(self.choices))))


_MOST_DIGITS = 30


def whole_number(word: str) -> int:
    """Return a whole number, which may be written with a power of ten.

    Raises:
        ValueError: If it is none.

    Example:
        >>> whole_number("12"), whole_number("1.5e3")
        (12, 1500)
    """
    try:
        return int(word)
    except ValueError:
        return _from_decimal(word)


def _from_decimal(word: str) -> int:
    try:
        value = Decimal(word)
    except InvalidOperation:
        raise ValueError(f"{word!r} is no number") from None
    if not value.is_finite() or value.adjusted() > _MOST_DIGITS or value != int(value):
        raise ValueError(f"{word!r} is no whole number")
    return int(value)


@cache
def options_of(command: type) -> tuple[Option, ...]:
    """Return every option of a command, those of its groups included, in order."""
    return tuple(_walk(command, dataclasses.MISSING))


def _walk(command: type, defaults: Any) -> Iterator[Option]:
    hints = get_type_hints(command, include_extras=True)
    for field in dataclasses.fields(command):
        default = (
            field.default if defaults is dataclasses.MISSING else getattr(defaults, field.name)
        )
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from _walk(kind, default)
        else:
            yield _option(command, field.name, kind, default)


def _option(command: type, name: str, kind: Any, default: Any) -> Option:
    positional = get_origin(kind) is Annotated and _POSITIONAL in get_args(kind)[1:]
    kinds = set(_parts(kind))
    lengths = {_length(part) for part in kinds} - {0}
    inside = {part for outer in kinds for part in (get_args(outer) or (outer,))}
    return Option(
        name=name.upper() if positional else f"--{name.replace('_', '-')}",
        positional=positional,
        help=_said(command).get(name, ""),
        default=None if default is dataclasses.MISSING else default,
        optional=type(None) in kinds,
        choices=tuple(word for part in _parts(kind) for word in _words(part)),
        number=float if float in inside else int if int in inside else None,
        values=0 if kinds == {bool} else lengths.pop(),
    )


def _parts(kind: Any) -> Iterator[Any]:
    """Yield the types that a value may have."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _parts(get_args(kind)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _parts(part)
    else:
        yield kind


def _words(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return tuple(map(str, get_args(kind)))
    return ("True", "False") if kind is bool else ()


def _length(kind: Any) -> int | None:
    """Return how many words a value of this type is; ``None`` for any number."""
    if get_origin(kind) is not tuple:
        return 0 if kind is type(None) else 1
    inside = get_args(kind)
    return None if Ellipsis in inside else len(inside)


@cache
def _said(command: type) -> dict[str, str]:
    """Return what the docstrings of a class and of those it extends say of its fields."""
    said: dict[str, str] = {}
    for parent in reversed(command.__mro__):
        text = inspect.cleandoc(parent.__doc__ or "").partition("Attributes:\n")[2]
        for item in re.split(r"\n    (?=\w+: )", f"\n{text}"):
            name, _, meaning = item.strip().partition(": ")
            said[name] = " ".join(meaning.split())
    return said
