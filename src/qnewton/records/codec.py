"""Records to JSON and back, without losing a NaN, an infinity, a tuple, or which kind it is."""

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, TypeVar

Record = TypeVar("Record")

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(value: Any) -> Any:
    """Return ``value`` as plain JSON types; non-finite floats become named strings.

    A record whose class has a ``KIND`` is written with it, as ``kind``.

    Raises:
        TypeError: If a value is none of the types records are made of.

    Example:
        >>> encode((1, float("nan")))
        [1, 'NaN']
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        kind = getattr(value, "KIND", None)
        return fields if kind is None else {"kind": kind, **fields}
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot store a {type(value).__name__} in a record: {value!r}")


def decode(record_type: type[Record], data: Any) -> Record:
    """Return the record of ``record_type`` that ``encode`` made ``data`` from.

    Fields that ``data`` lacks take their default; keys the type does not know are ignored, so
    that older and newer files of one schema read alike.

    Raises:
        ValueError: If a required field is missing or a value has the wrong shape.
    """
    try:
        return _reader(record_type)(data)
    except _MisfitError as misfit:
        raise ValueError(f"{record_type.__name__}{misfit.where}: {misfit}") from None


class _MisfitError(ValueError):
    """Data that is not what a type asks for, and the path to it."""

    where = ""


def _refuse(what: str) -> NoReturn:
    raise _MisfitError(what)


Reader = Callable[[Any], Any]


@cache
def _reader(expected: Any) -> Reader:
    """Return a function that reads data of a type, which is looked at once for all data."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if expected is Any:
        return lambda data: data
    if origin in (typing.Union, types.UnionType):
        return _union_reader(arguments)
    if origin is typing.Literal:
        return lambda data: (
            data if data in arguments else _refuse(f"{data!r} is none of {arguments}")
        )
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is dict:
        item = _reader(arguments[1])
        return lambda data: {key: _at(f".{key}", item, value) for key, value in data.items()}
    if dataclasses.is_dataclass(expected):
        return _record_reader(typing.cast(type, expected))
    if expected is float:
        return _read_float
    if issubclass(expected, enum.Enum):
        return _enum_reader(expected)
    return lambda data: data if isinstance(data, expected) else _unexpected(expected.__name__, data)


def _enum_reader(expected: type[enum.Enum]) -> Reader:
    def read(data: Any) -> Any:
        try:
            return expected(data)
        except ValueError:
            _refuse(f"{data!r} is no {expected.__name__}")

    return read


def _union_reader(options: tuple[Any, ...]) -> Reader:
    present = [option for option in options if option is not type(None)]
    readers = [_reader(option) for option in present]
    names = (getattr(option, "KIND", None) for option in present)
    kinds = dict(zip(names, readers, strict=True))

    def by_kind(data: Any) -> Any:
        kind = data.get("kind") if isinstance(data, dict) else data
        return kinds[kind](data) if kind in [*kinds] else _refuse(f"{kind!r} is none of {[*kinds]}")

    def first_that_fits(data: Any) -> Any:
        for reader in readers[:-1]:
            try:
                return reader(data)
            except _MisfitError:
                continue
        return readers[-1](data)

    read = first_that_fits if None in kinds else by_kind
    read = readers[0] if len(readers) == 1 else read
    return (lambda data: None if data is None else read(data)) if type(None) in options else read


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    endless = len(arguments) == 2 and arguments[1] is Ellipsis
    readers = [_reader(argument) for argument in arguments[: 1 if endless else None]]

    def read(data: Any) -> Any:
        if not isinstance(data, list):
            _unexpected("a list", data)
        if not endless and len(data) != len(readers):
            _refuse(f"expected {len(readers)} items, found {len(data)}")
        each = readers * len(data) if endless else readers
        return tuple(_at(f"[{i}]", *pair) for i, pair in enumerate(zip(each, data, strict=True)))

    return read


def _record_reader(record_type: type) -> Reader:
    fields = dataclasses.fields(record_type)
    readers: dict[str, Reader] = {}

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            _unexpected("an object", data)
        if not readers:  # at the first use, so that types may refer to each other
            hints = typing.get_type_hints(record_type)
            readers.update({field.name: _reader(hints[field.name]) for field in fields})
        values = {
            name: _at(f".{name}", reader, data[name])
            for name, reader in readers.items()
            if name in data
        }
        for field in fields:
            required = field.default is field.default_factory is dataclasses.MISSING
            if required and field.name not in values:
                _refuse(f"the field {field.name} is missing")
        return record_type(**values)

    return read


def _at(place: str, reader: Reader, data: Any) -> Any:
    try:
        return reader(data)
    except _MisfitError as misfit:
        misfit.where = place + misfit.where
        raise


def _read_float(data: Any) -> float:
    if type(data) is float:
        return data
    if isinstance(data, str) and data in _NON_FINITE:
        return _NON_FINITE[data]
    if isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    _unexpected("float", data)


def _unexpected(what: str, data: Any) -> NoReturn:
    _refuse(f"expected {what}, found {data!r}")
