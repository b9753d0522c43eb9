"""Records to JSON and back, without losing a NaN, an infinity, a tuple, or which kind it is."""

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Callable, Mapping
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
        return _dict_reader(_reader(arguments[1]))
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
        found: list[Any] = []
        try:
            for each, item in zip(readers * len(data) if endless else readers, data, strict=True):
                found.append(each(item))
        except _MisfitError as misfit:
            misfit.where = f"[{len(found)}]{misfit.where}"
            raise
        return tuple(found)

    return read


def _dict_reader(item: Reader) -> Reader:
    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            _unexpected("an object", data)
        return _of_each(dict.fromkeys(data, item), data)

    return read


def _record_reader(record_type: type) -> Reader:
    fields = dataclasses.fields(record_type)
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    readers: dict[str, Reader] = {}

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            _unexpected("an object", data)
        if not readers:  # at the first use, so that types may refer to each other
            hints = typing.get_type_hints(record_type)
            readers.update({field.name: _reader(hints[field.name]) for field in fields})
        values = _of_each(readers, data)
        for name in needed:
            if name not in values:
                _refuse(f"the field {name} is missing")
        return record_type(**values)

    return read


def _of_each(readers: Mapping[str, Reader], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what readers make of the values that are there, by their names."""
    values: dict[str, Any] = {}
    name = ""
    try:
        for name, reader in readers.items():
            if name in data:
                values[name] = reader(data[name])
    except _MisfitError as misfit:
        misfit.where = f".{name}{misfit.where}"
        raise
    return values


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
