"""Records to JSON and back, without losing a NaN, an infinity or a tuple."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeVar

Record = TypeVar("Record")

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(value: Any) -> Any:
    """Return ``value`` as plain JSON types; non-finite floats become named strings.

    Raises:
        TypeError: If a value is none of the types records are made of.

    Example:
        >>> encode((1, float("nan")))
        [1, 'NaN']
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
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
    except (ValueError, TypeError):
        # The slower way knows where it is, and says what is wrong there.
        return _decode(record_type, data, record_type.__name__)


Reader = Callable[[Any], Any]


@cache
def _reader(expected: Any) -> Reader:
    """Return a function that reads data as ``_decode`` does, its type looked at once.

    A run's thousands of steps are read five times as fast as by ``_decode``.
    """
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if expected is Any:
        return lambda data: data
    if origin in (typing.Union, types.UnionType):
        return _read_union([_reader(a) for a in arguments if a is not type(None)], arguments)
    if origin is typing.Literal:
        return lambda data: data if data in arguments else _mismatch(data)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda data: tuple(map(item, data)) if type(data) is list else _mismatch(data)
    if dataclasses.is_dataclass(expected):
        return _read_record(typing.cast(type, expected))
    if expected in (float, int, str, bool):
        # Anything else, an integer for a float or a named NaN, takes the slower way.
        return lambda data: (
            data if type(data) is expected else _decode(expected, data, expected.__name__)
        )
    return lambda data: _decode(expected, data, str(expected))


def _read_union(readers: list[Reader], arguments: tuple[Any, ...]) -> Reader:
    if len(readers) == 1 and type(None) in arguments:
        (reader,) = readers
        return lambda data: None if data is None else reader(data)
    return lambda data: _decode_union(arguments, data, "union")


def _read_record(record_type: type) -> Reader:
    hints, readers = _hints(record_type), {}
    names = [field.name for field in dataclasses.fields(record_type)]

    def read(data: Any) -> Any:
        if type(data) is not dict:
            return _mismatch(data)
        if not readers:  # at the first use, so that types may refer to each other
            readers.update({name: _reader(hints[name]) for name in names})
        return record_type(**{name: readers[name](data[name]) for name in names if name in data})

    return read


def _mismatch(data: Any) -> Any:
    raise ValueError(repr(data))


@cache
def _hints(record_type: type) -> dict[str, Any]:
    return typing.get_type_hints(record_type)


def _decode(expected: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if expected is Any:
        return data
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, data, where)
    if origin is typing.Literal:
        if data not in arguments:
            raise ValueError(f"{where}: {data!r} is none of {arguments}")
        return data
    if origin is tuple:
        return _decode_tuple(arguments, data, where)
    if origin is dict:
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in data.items()}
    if _is_enum(expected):
        return _member(expected, data, where)
    if dataclasses.is_dataclass(expected):
        return _decode_record(typing.cast(type, expected), data, where)
    if expected is float and isinstance(data, str) and data in _NON_FINITE:
        return _NON_FINITE[data]
    if expected is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, expected):
        raise ValueError(f"{where}: expected {expected.__name__}, found {data!r}")
    return data


def _is_enum(expected: Any) -> bool:
    return isinstance(expected, type) and issubclass(expected, Enum)


def _member(expected: type[Enum], data: Any, where: str) -> Enum:
    try:
        return expected(data)
    except ValueError:
        raise ValueError(f"{where}: {data!r} is no {expected.__name__}") from None


def _decode_union(options: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in options:
        return None
    present = [option for option in options if option is not type(None)]
    for option in present[:-1]:
        try:
            return _decode(option, data, where)
        except ValueError:
            continue
    return _decode(present[-1], data, where)


def _decode_tuple(arguments: tuple[Any, ...], data: Any, where: str) -> Any:
    if not isinstance(data, list):
        raise ValueError(f"{where}: expected a list, found {data!r}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if len(arguments) != len(data):
        raise ValueError(f"{where}: expected {len(arguments)} items, found {len(data)}")
    return tuple(
        _decode(argument, item, where) for argument, item in zip(arguments, data, strict=True)
    )


def _decode_record(record_type: type, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{where}: expected an object, found {data!r}")
    hints, values = _hints(record_type), {}
    for field in dataclasses.fields(record_type):
        if field.name in data:
            values[field.name] = _decode(
                hints[field.name], data[field.name], f"{where}.{field.name}"
            )
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}: the field {field.name} is missing")
    return record_type(**values)
